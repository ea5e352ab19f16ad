"""The pages without JavaScript: complete, safe, and for their owner alone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import escape
from html.parser import HTMLParser
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from quart import render_template_string
from quart.testing import QuartClient as _Client

from actors import Status, submit
from actors.report import Step
from actors.store import Store
from dev.processes import ROOT
from web import create_app
from web.http.display import read

from .conftest import Serving
from .support import jobs
from .support.jobs import ALICE, BOB
from .support.kitchen import Kitchen

HTML = {"Accept": "text/html"}


async def page(client: _Client, path: str, status: int = 200, **headers: str) -> str:
    answer = await client.get(path, headers={**HTML, **ALICE, **headers})
    assert answer.status_code == status
    assert answer.content_type == "text/html; charset=utf-8"
    return (await answer.get_data()).decode()


async def test_the_first_page_has_a_form_for_every_recipe(client: _Client) -> None:
    html = await page(client, "/")

    assert "<h1" in html
    for name in ("render", "counter", "counter-bulk"):
        assert f'data-backend="{name}"' in html
    width = re.search(r'<input type="number"[^>]*name="width"[^>]*>', html)
    assert width
    assert 'min="16"' in width[0]
    assert 'max="2000"' in width[0]
    assert 'value="1280"' in width[0]


async def test_a_job_starts_and_stops_without_javascript(client: _Client) -> None:
    form = {"backend": "counter", "total": "7", "seconds": "60", "silent": "true"}
    started = await client.post("/start", form=form, headers=ALICE)
    assert started.status_code == 303
    address = started.headers["Location"]

    html = await page(client, address)
    assert 'data-status="queued"' in html
    assert '<meta http-equiv="refresh" content="2">' in html
    stopped = await client.post(f"{address}/cancel", headers=ALICE)

    assert stopped.status_code == 303
    assert 'data-status="stopping"' in await page(client, address)


async def test_a_refused_form_says_why_and_keeps_what_was_typed(
    client: _Client,
) -> None:
    form = {"backend": "counter", "total": "5000000", "seconds": "3.5"}
    answer = await client.post("/start", form=form, headers={**HTML, **ALICE})
    html = (await answer.get_data()).decode()

    assert answer.status_code == 422
    assert "The parameter total does not fit" in html
    assert 'value="5000000"' in html
    assert 'value="3.5"' in html


GROUPED = """
title = "Oven"
url = "http://127.0.0.1:9"
adopt = { pattern = "[0-9a-f]{4}", title = "Tray" }
[params.properties.heat]
type = "object"
required = ["degrees"]
additionalProperties = false
[params.properties.heat.properties]
degrees = { type = "integer", minimum = 1 }
fan = { type = "boolean" }
grill = { type = "object", properties = { name = { type = "string" } } }
[params.properties.tins]
type = "array"
[start]
request = "POST /loaves"
ref = "id"
[status]
request = "GET /loaves/{ref}"
state = "state"
states = { succeeded = ["baked"], failed = [] }
"""


@pytest.fixture
async def grouped(serving: Serving, tmp_path: Path) -> AsyncIterator[_Client]:
    """A client of a page with one recipe, whose params are in groups."""
    (tmp_path / "oven.toml").write_text(GROUPED)
    async with serving(recipes=(tmp_path,), api_tokens=jobs.TOKENS) as app:
        yield app.test_client()


async def test_params_in_groups_are_fields_and_are_sent_as_objects(
    grouped: _Client,
) -> None:
    html = await page(grouped, "/")
    assert "<legend>Heat</legend>" in html
    assert 'name="heat.degrees"' in html
    form = {
        "backend": "oven",
        "heat.degrees": "220",
        "heat.fan": "true",
        "heat.grill.name": "7",
        "tins": "[1, 2]",
    }

    started = await grouped.post("/start", form=form, headers=ALICE)

    answer = await grouped.get(started.headers["Location"], headers=ALICE)
    assert (await answer.get_json())["params"] == {
        "heat": {"degrees": 220, "fan": True, "grill": {"name": "7"}},
        "tins": [1, 2],
    }


async def test_a_refused_group_keeps_what_was_typed(grouped: _Client) -> None:
    form = {"backend": "oven", "heat.degrees": "0", "heat.grill.name": "<b>"}

    answer = await grouped.post("/start", form=form, headers={**HTML, **ALICE})

    html = (await answer.get_data()).decode()
    assert answer.status_code == 422
    assert 'value="0"' in html
    assert 'value="&lt;b&gt;"' in html


async def test_a_job_that_runs_elsewhere_is_watched_without_javascript(
    grouped: _Client,
) -> None:
    assert '<label for="adopt-oven">Tray</label>' in await page(grouped, "/")
    form = {"backend": "oven", "ref": " 1a2b "}

    answer = await grouped.post("/adopt", form=form, headers=ALICE)

    assert answer.status_code == 303
    html = await page(grouped, answer.headers["Location"])
    assert 'data-adopted="true"' in html


@pytest.mark.parametrize("ref", ["<nope>", ""])
async def test_a_name_that_does_not_fit_is_refused_at_the_form(
    grouped: _Client, ref: str
) -> None:
    form = {"backend": "oven", "ref": ref}

    answer = await grouped.post("/adopt", form=form, headers={**HTML, **ALICE})

    html = (await answer.get_data()).decode()
    assert answer.status_code == 422
    assert f'value="{escape(ref)}"' in html
    assert "does not fit" in html
    assert '<details class="adopt" open>' in html


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("none", 422, "There is no backend called &#39;none&#39;."),
        ("", 422, "There is no backend called &#39;&#39;."),
        ("counter", 409, "Jobs of counter cannot be adopted."),
    ],
)
async def test_a_backend_that_has_no_form_is_refused_on_a_page_of_its_own(
    grouped: _Client, name: str, status: int, says: str
) -> None:
    form = {"backend": name, "ref": "1a2b"}

    answer = await grouped.post("/adopt", form=form, headers={**HTML, **ALICE})

    html = (await answer.get_data()).decode()
    assert answer.status_code == status
    assert says in html


async def test_one_job_too_many_is_not_adopted_on_the_page(
    serving: Serving, tmp_path: Path
) -> None:
    (tmp_path / "oven.toml").write_text(GROUPED)
    form = {"backend": "oven", "ref": "1a2b"}
    async with serving(recipes=(tmp_path,), max_active_jobs=1) as app:
        client = app.test_client()
        assert (await client.post("/adopt", form=form)).status_code == 303

        answer = await client.post("/adopt", form=form, headers=HTML)

        html = (await answer.get_data()).decode()
    assert answer.status_code == 429
    assert "You have 1 unfinished jobs" in html
    assert '<details class="adopt" open>' in html


async def test_only_backends_that_allow_it_have_a_form_to_adopt(
    client: _Client,
) -> None:
    assert 'action="/adopt"' not in await page(client, "/")


@pytest.mark.parametrize(
    "typed", ["many", "null", "1e999", '"><script>alert(1)', "[" * 20_000, "\x00"]
)
async def test_whatever_is_typed_is_refused_with_a_sentence(
    client: _Client, typed: str
) -> None:
    form = {"backend": "counter", "total": typed}
    answer = await client.post("/start", form=form, headers={**HTML, **ALICE})
    html = (await answer.get_data()).decode()

    assert answer.status_code == 422
    assert "The parameter total does not fit" in html
    assert "<script>alert" not in html


async def test_one_job_too_many_is_refused_on_the_page(serving: Serving) -> None:
    form = {"backend": "counter", "total": "7"}
    async with serving(max_active_jobs=1) as app:
        client = app.test_client()
        assert (await client.post("/start", form=form)).status_code == 303

        answer = await client.post("/start", form=form, headers=HTML)

        html = (await answer.get_data()).decode()
    assert answer.status_code == 429
    assert "You have 1 unfinished jobs" in html
    assert 'value="7"' in html


async def test_nothing_on_a_page_needs_a_laxer_policy(
    client: _Client, store: Store
) -> None:
    """Inline scripts and styles would be blocked by our own headers."""
    job = await jobs.run(store, await jobs.add(store), 10)

    for path in ("/", f"/jobs/{job.job}"):
        html = await page(client, path)
        assert not re.search(r"<script(?![^>]*\bsrc=)", html)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)


def imported(module: str) -> set[str]:
    """All modules that a script's module imports, and those that they import."""
    source = (ROOT / "static" / module).read_text()
    names = set(re.findall(r'^import[^"]*"\./([\w-]+\.js)"$', source, re.MULTILINE))
    return names.union(*(imported(name) for name in names))


async def test_a_page_asks_for_all_of_its_modules_at_once(
    client: _Client, store: Store
) -> None:
    job = (await jobs.add(store)).job

    for path, script in (("/", "start.js"), (f"/jobs/{job}", "job-progress.js")):
        html = await page(client, path)
        assert f'<script type="module" src="/static/{script}">' in html
        preloaded = re.findall(r'<link rel="modulepreload" href="/static/(.*)">', html)
        assert sorted(preloaded) == sorted(imported(script))


async def test_a_form_for_no_backend_is_refused(client: _Client) -> None:
    answer = await client.post("/start", form={"backend": "x"}, headers=ALICE)

    assert answer.status_code == 422


async def test_what_a_backend_says_is_never_markup(
    client: _Client, store: Store
) -> None:
    job = await jobs.move(store, await jobs.add(store), message="<script>alert(1)")

    for path in ("/", f"/jobs/{job.job}"):
        html = await page(client, path)
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)" in html


async def test_an_ended_job_no_longer_refreshes(client: _Client, store: Store) -> None:
    job = await jobs.end(store, await jobs.add(store))

    assert "http-equiv" not in await page(client, f"/jobs/{job.job}")


async def test_nobody_else_sees_a_job(client: _Client, store: Store) -> None:
    job = (await jobs.add(store)).job

    assert job in await page(client, "/")
    assert job not in await page(client, "/", **BOB)
    html = await page(client, f"/jobs/{job}", status=404, **BOB)
    assert "There is no such job." in html
    assert (await client.post(f"/jobs/{job}/cancel", headers=BOB)).status_code == 404


@pytest.mark.parametrize("path", ["/start", "/adopt"])
async def test_another_sites_form_is_refused(client: _Client, path: str) -> None:
    headers = {**ALICE, "Origin": "https://elsewhere.example"}
    answer = await client.post(path, form={"backend": "counter"}, headers=headers)

    assert answer.status_code == 403


async def test_a_job_with_many_steps_shows_fifty_of_them(
    client: _Client, store: Store
) -> None:
    steps = tuple(Step(title=f"Part {number}") for number in range(60))
    job = await jobs.move(store, await jobs.add(store), steps=steps)

    for path in ("/", f"/jobs/{job.job}"):
        html = await page(client, path)
        card = Card(html.partition("<template")[0])
        assert (len(card.steps), card.fields["steps-done"]) == (
            50,
            "0 of 50 steps done",
        )
        assert ('<details class="steps" open' in html) == (path != "/")


class Card(HTMLParser):
    """A card as one reads it: its texts, its bar, its buttons and its result."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.bar: str | None = None
        self.buttons: list[str] = []
        self.steps: list[str] = []
        self.stopping = False
        self._result: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self._field = ""
        self.feed(html)

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        given = dict(attributes)
        action = given.get("data-action")
        if name := given.get("data-field"):
            self._field = name
            self.fields[name] = ""
        elif self._field == "result":
            self._result.append((tag, given))
            self._texts.append("")
        if tag == "li":
            self.steps.append("")
            self._field = "step"
        if tag == "progress":
            self.bar = given.get("value")
        if action and "hidden" not in given:
            self.buttons.append(action)
        self.stopping |= tag == "button" and "disabled" in given

    def handle_endtag(self, tag: str) -> None:
        is_in_step = self._field == "step" and tag == "span"
        if tag in ("p", "span", "div", "pre", "li", "summary") and not is_in_step:
            self._field = ""

    def handle_data(self, data: str) -> None:
        if self._field == "result" and self._texts:
            self._texts[-1] += data
        elif self._field == "step":
            self.steps[-1] += data
        elif self._field:
            self.fields[self._field] += data

    @property
    def result(self) -> dict[str, Any] | None:
        if not self._result:
            return None
        tag, given = self._result[0]
        if tag == "dl":
            texts = self._texts[1:]
            rows = [list(row) for row in zip(texts[::2], texts[1::2], strict=True)]
            return {"kind": "values", "rows": rows}
        if len(self._result) == 1:
            label = self._texts[0]
            return {"kind": "download", "href": given["href"], "label": label}
        picture, source = self._result[1]
        assert (picture, source["src"]) == ("img", given["href"])
        return {"kind": "picture", "href": given["href"]}


CASES = json.loads((ROOT / "tests/static/display_cases.json").read_text())


@pytest.mark.parametrize("case", CASES["cases"], ids=itemgetter("name"))
async def test_a_page_shows_a_job_as_the_scripts_do(case: dict[str, Any]) -> None:
    job = read(json.dumps({**CASES["base"], **case["job"]}).encode())
    async with create_app().app_context():
        html = await render_template_string(
            "{% from '_job.html' import card, headline %}"
            "{{ headline(job) }}\n{{ card(job, [], now, page=true) }}",
            job=job,
            now=CASES["now"],
        )
    headline, _, card = html.partition("\n")
    shown = Card(card)

    readings = {
        **shown.fields,
        "headline": headline,
        "bar": shown.bar,
        "buttons": sorted(shown.buttons),
        "stopping": shown.stopping,
        "result": shown.result,
        "steps": shown.steps,
        "snapshot": shown.fields["snapshot"].split("\n"),
    }
    assert {key: readings[key] for key in case["shows"]} == case["shows"]


async def test_a_job_is_paused_and_goes_on_without_javascript(
    client: _Client, kitchen: Kitchen
) -> None:
    job = (await submit(kitchen.store, kitchen.oven, {}, owner=jobs.ALICES)).job

    async def offered(status: Status) -> list[str]:
        await kitchen.until(job, lambda job: job.status is status)
        return Card(await page(client, f"/jobs/{job}")).buttons

    async def ask(action: str, status: int = 303, **headers: str) -> Any:
        headers = {**HTML, **ALICE, **headers}
        answer = await client.post(f"/jobs/{job}/{action}", headers=headers)
        assert answer.status_code == status
        return answer

    await kitchen.until(job, lambda job: job.observed_at)
    assert await offered(Status.RUNNING) == ["pause", "cancel"]
    await ask("pause", 403, Origin="https://elsewhere.example")
    await ask("pause", 404, **BOB)
    assert (await ask("pause")).headers["Location"] == f"/jobs/{job}"
    assert await offered(Status.PAUSED) == ["resume", "cancel"]
    refused = await (await ask("pause", 409)).get_data()
    assert b"A job that is paused cannot be paused." in refused
    await ask("resume")
    assert await offered(Status.RUNNING) == ["pause", "cancel"]
    # A poll and the message of a request may both find it unsent.
    asked = dict.fromkeys(action for action, _ in kitchen.oven.requests)
    assert list(asked) == ["pause", "resume"]
