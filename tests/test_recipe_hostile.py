"""Answers that no service should give: each is a report or a miss."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings, strategies as st

from actors import Action
from actors.backends import BackendError, Handle, Report
from actors.backends.http import HttpBackend
from actors.job import Job
from actors.recipes.load import load_recipe
from dev.redis import free_port

RECIPE = """
title = "Oven"
url = "http://127.0.0.1:{port}"
[start]
request = "POST /loaves"
ref = "id"
keep.extra = "extra"
[status]
state = "loaf.state"
states = {{ running = ["baking", 1, true], succeeded = ["baked"], failed = ["burnt"] }}
percent = "loaf.percent"
fraction = "loaf.fraction"
done = "loaf.done"
total = "loaf.total"
message = "join(' ', [loaf.note, match(loaf.note, '([0-9]+)')])"
error = "loaf.why"
epoch = "loaf.epoch"
absent.when = "loaf.gone"
[status.steps]
items = "loaf.steps"
title = "name"
state = "state"
percent = "percent"
done = "done"
total = "total"
weight = "weight"
[status.calls.loaf]
request = "GET /loaves/{{ref}}"
keep = {{ number = "number", place = {{ link = "place" }} }}
[status.calls.tray]
request = "GET {{place}}"
optional = true
[cancel]
request = "DELETE /loaves/{{ref}}"
refused = {{ when = "state == 'no'", says = "why" }}
[result]
values.all = "loaf"
"""
KEYS = ["state", "percent", "fraction", "done", "total", "note", "why", "epoch"]
KEYS += ["gone", "steps", "number", "place", "id", "extra", "name", "weight"]
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["NaN", "1e999", "-1", "3/0", "9" * 50, "50 %", "1,000"]),
)
WORDS = st.sampled_from(
    ["baking", "baked", "burnt", "", "/x", "//x", "../x", "\0", "no"]
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=20))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    ),
    max_leaves=12,
)
DOCUMENTS = st.one_of(VALUES, st.dictionaries(st.sampled_from(KEYS), VALUES))
BODIES = st.one_of(DOCUMENTS.map(lambda it: json.dumps(it).encode()), st.binary())
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 204, 302, 400, 404, 409, 500, 503])
HAND_MADE = [
    b'{"state": "baking", "percent": NaN}',
    b'{"state": "baking", "done": Infinity}',
    b'{"state": "baking", "state": "baked"}',
    b'{"state": "baking", "done": 1' + b"0" * 400 + b"}",
    b'{"state": "baking", "steps": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"[" * 900_000,
    b'{"note": "' + b"x" * 900_000 + b'"}',
    b'{"state": "baking", "note": "' + b"9" * 500_000 + b'"}',
    b"\xff\xfe{\x00}\x00",
    b'{"state": "b\xc3(king"}',
    b'{"state": "\\ud800"}',
    b'{"number": "' + b"x" * 501 + b'", "state": "baking"}',
    b'{"place": "http://evil.example/x", "state": "baking"}',
    b'{"place": "/x\\r\\nHost: evil.example", "state": "baking"}',
    b"null",
    b"0",
    b"",
]


class Hostile(NamedTuple):
    """A server whose every answer is the next one, and a backend on it."""

    runner: asyncio.Runner
    backend: HttpBackend
    answer: list[Any]

    def outcome(self, asked: Coroutine[Any, Any, Any], *said: Any) -> Any:
        """What comes of a call: its value, or its BackendError."""
        self.answer[:] = said
        try:
            return self.runner.run(asked)
        except BackendError as error:
            return error

    def reports(self, status: int, body: bytes) -> Report | BackendError:
        self.answer[:] = [status, body]
        job = Handle("7", "our-id", kept={"place": "/trays/1"})
        [report] = self.runner.run(self.backend.reports([job]))
        return report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    port, said = free_port(), [200, b""]

    async def answer(_: web.Request) -> web.Response:
        status, body = said
        return web.Response(status=status, body=body if status != 204 else b"")

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    path: Path = tmp_path_factory.mktemp("recipes") / "oven.toml"
    path.write_text(RECIPE.format(port=port))
    with asyncio.Runner() as runner:
        server = runner.run(serve())
        backend = HttpBackend("oven", load_recipe(path, {}), 200, 2000)
        yield Hostile(runner, backend, said)
        runner.run(backend.close())
        runner.run(server.cleanup())


def check(answer: Report | BackendError) -> None:
    """A report fits into a snapshot, and a miss is a sentence."""
    if isinstance(answer, BackendError):
        assert answer.message
        assert len(answer.message) <= 600
        return
    now = "2026-01-01T12:00:00.000Z"
    job = Job(job="j", backend="oven", created_at=now, changed_at=now)
    after = job.started(1).heard(answer, 2)
    assert msgspec.json.decode(msgspec.json.encode(after), type=Job) == after
    assert after.progress is None or 0 <= after.progress <= 100
    assert len(after.message or "") <= 500
    assert len(after.steps or ()) <= 50


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(status=STATUSES, body=BODIES)
def test_any_answer_is_a_report_or_a_miss(
    hostile: Hostile, status: int, body: bytes
) -> None:
    check(hostile.reports(status, body))


@pytest.mark.parametrize("body", HAND_MADE, ids=lambda body: repr(body[:40]))
def test_a_hostile_answer_is_a_report_or_a_miss(hostile: Hostile, body: bytes) -> None:
    check(hostile.reports(200, body))


@settings(max_examples=150, deadline=None)
@given(status=STATUSES, body=BODIES)
def test_any_answer_to_a_start_is_a_start_or_an_error(
    hostile: Hostile, status: int, body: bytes
) -> None:
    begun = hostile.outcome(hostile.backend.start("our-id", {}), status, body)

    if isinstance(begun, BackendError):
        may_be_sent_again = status in (408, 425, 429, 503)
        assert begun.permanent or may_be_sent_again
    else:
        assert 1 <= len(begun.ref) <= 2000


@settings(max_examples=100, deadline=None)
@given(status=STATUSES, body=BODIES)
def test_any_answer_to_a_stop_is_taken_or_an_error(
    hostile: Hostile, status: int, body: bytes
) -> None:
    asked = hostile.backend.send(Action.CANCEL, Handle("7", "our-id"))

    outcome = hostile.outcome(asked, status, body)

    assert outcome is None or outcome.message
