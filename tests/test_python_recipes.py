"""Recipes that name a class in Python: which are offered, and which stop a process."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Action, Handle, PythonBackend, Report, Status
from actors.backends import Backend
from actors.backends.registry import Backends
from actors.settings import SettingError, Settings
from dev.processes import ROOT, WEB, worker

from .support.oven import toml

CLASSES = """
import msgspec
from actors import PythonBackend, Report, Started, Status

class Options(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    shelf: int = 1

class Pan(PythonBackend):
    def __init__(self, setup):
        super().__init__(setup)
        self.options = setup.read_options(Options)

    async def start(self, job_id, params):
        return Started(job_id)

    async def report(self, job):
        return Report(status=Status.RUNNING)

class Stoppable(Pan):
    async def cancel(self, job):
        pass

class Picky(Pan):
    def __init__(self, setup):
        raise ValueError(f"the key {setup.options['key']} is worn out")

class Broken(Pan):
    def __init__(self, setup):
        super().__init__(setup)
        self.missing = setup.options["no"]

class Unmade(Pan):
    def __init__(self, setup):
        pass

class Half(PythonBackend):
    async def start(self, job_id, params):
        return Started(job_id)

class Startless(PythonBackend):
    async def report(self, job):
        return Report(status=Status.RUNNING)

class Blocking(Pan):
    def report(self, job):
        return Report(status=Status.RUNNING)

class Pausing(Pan):
    async def pause(self, job):
        pass

class Other:
    pass
"""
SECRET = "a key of the pan's"
PAN = {
    "title": "Pan",
    "backend": "pans_of_a_test:Pan",
    "unit": "eggs",
    "options": {"key": "${PAN_KEY}", "shelf": 3},
}


@pytest.fixture(autouse=True)
def pans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module on Python's path, as an operator would put it there."""
    (tmp_path / "pans_of_a_test.py").write_text(CLASSES)
    (tmp_path / "burnt_pans.py").write_text("1 / 0")
    (tmp_path / "poor_pans.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PAN_KEY", SECRET)
    yield
    sys.modules.pop("pans_of_a_test", None)


def write(folder: Path, **changes: object) -> None:
    tables = PAN | changes
    lines = [f"{k} = {toml(v)}" for k, v in tables.items() if v is not None]
    (folder / "pan.toml").write_text("\n".join(lines))


def offered(folder: Path) -> Backends:
    environ = {"REDIS_URL": "redis://x", "PROGROCK_RECIPES": str(folder)}
    return Backends.read(Settings.read(environ))


def complaint(folder: Path, **changes: object) -> str:
    write(folder, **changes)
    with pytest.raises(SettingError) as ended:
        offered(folder)
    line = str(ended.value)
    assert line.startswith(f"PROGROCK_RECIPES: {folder / 'pan.toml'}: ")
    assert "\n" not in line
    assert SECRET not in line
    return line


async def test_a_class_is_offered_beside_the_recipes_of_http(tmp_path: Path) -> None:
    write(tmp_path, order=-1, give_up_after_s=7, deadline_s=9, poll_interval_ms=300)

    backends = offered(tmp_path)
    pan = backends["pan"]

    assert next(iter(backends)) == "pan"
    assert "render" in backends
    assert (pan.title, pan.can, pan.starts_once) == ("Pan", (), True)
    assert (pan.give_up_after_s, pan.deadline_s) == (7, 9)
    assert (pan.poll_interval_ms, pan.idle_interval_ms) == (300, 2000)
    assert pan.check({}) == {}
    await backends.close()


def test_it_can_do_that_for_which_it_has_methods(tmp_path: Path) -> None:
    write(tmp_path, backend="pans_of_a_test:Stoppable")

    assert offered(tmp_path)["pan"].can == ("cancel",)


def test_the_params_are_checked_and_have_defaults(tmp_path: Path) -> None:
    params = {"properties": {"eggs": {"type": "integer", "default": 2}}}
    write(tmp_path, params=params)
    pan = offered(tmp_path)["pan"]

    assert pan.check({}) == {"eggs": 2}
    assert pan.params["additionalProperties"] is False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://x"}, "`url` is only for HTTP services"),
        ({"status": {"state": "x"}}, "at `$.status`"),
        ({"titel": "x"}, "`titel` is not a key - at `$`; did you mean `title`?"),
        ({"title": None}, "the key `title` is missing - at `$`"),
        ({"timeout_s": 0}, "at `$.timeout_s`"),
        ({"backend": "pans"}, "must be a module and a class, such as"),
        ({"backend": "pan-s:Pan"}, "must be a module and a class, such as"),
        ({"backend": "no.such:Pan"}, "no module no.such on Python's path"),
        ({"backend": "pans_of_a_test:Pot"}, "pans_of_a_test has no class Pot"),
        ({"backend": "pans_of_a_test:Other"}, "subclass of actors.PythonBackend"),
        ({"backend": "pans_of_a_test:Half"}, "must have a method report"),
        ({"backend": "pans_of_a_test:Startless"}, "must have a method start"),
        ({"backend": "pans_of_a_test:Blocking"}, "must have report as an async def"),
        ({"backend": "pans_of_a_test:Pausing"}, "both of pause and resume"),
        ({"backend": "burnt_pans:Pan"}, "cannot be imported (ZeroDivisionError)"),
        ({"backend": "poor_pans:Pan"}, "needs no_such_library, which is not installed"),
        ({"backend": "pans_of_a_test:Picky"}, "the key ${PAN_KEY} is worn out"),
        ({"backend": "pans_of_a_test:Broken"}, "KeyError: 'no' - at `$.options`"),
        ({"backend": "pans_of_a_test:Unmade"}, "has no attribute"),
        ({"options": {}}, "missing required field `key` - at `$.options`"),
        ({"options": {"key": "x", "shelf": "3"}}, "`int`, got `str` - at `$.options.s"),
        ({"options": {"key": "${NO_KEY}"}}, "NO_KEY is not set - at `$.options.key`"),
        ({"params": {"type": 7}}, "at `$.params.type`"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    assert said in complaint(tmp_path, **changes)


def test_the_log_has_the_cause_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        complaint(tmp_path, backend="pans_of_a_test:Picky")

    assert "in __init__" in caplog.text
    assert "${PAN_KEY}" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("command", [WEB, worker()], ids=["web", "worker"])
def test_it_stops_web_and_worker(tmp_path: Path, command: list[str]) -> None:
    write(tmp_path, backend="pans_of_a_test:Half")
    environ = {
        **os.environ,
        "PROGROCK_RECIPES": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "SECRET_KEY": "a secret of sixteen",
    }

    ended = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30
    )

    assert ended.returncode != 0
    assert "pan.toml: the class Half must have a method report" in ended.stderr


def test_the_base_alone_is_no_backend(tmp_path: Path) -> None:
    assert PythonBackend.__name__ in complaint(tmp_path, backend="actors:BackendError")
    assert "must have a method start" in complaint(
        tmp_path, backend="actors:PythonBackend"
    )


async def status(backend: Backend, ref: str) -> Status:
    [answer] = await backend.reports([Handle(ref)])
    assert isinstance(answer, Report)
    return answer.status


async def test_the_walk_in_the_docs_leads_to_a_backend(tmp_path: Path) -> None:
    walk = (ROOT / "docs" / "backends.md").read_text()
    [code, recipe] = [
        textwrap.dedent(re.findall(rf"(?s)   ```{kind}\n(.*?)   ```", walk)[0])
        for kind in ("python", "toml")
    ]
    (tmp_path / "pans_of_the_docs.py").write_text(code)
    recipe = recipe.replace("pans:Pan", "pans_of_the_docs:Pan")
    (tmp_path / "pan.toml").write_text(recipe)
    backends = offered(tmp_path)
    pan = backends["pan"]

    started = await pan.start("egg", pan.check({"seconds": 60}))
    assert await status(pan, started.ref) is Status.RUNNING
    await pan.send(Action.CANCEL, Handle(started.ref))
    async with asyncio.timeout(5):
        while await status(pan, started.ref) is not Status.CANCELLED:
            pass
    await backends.close()
