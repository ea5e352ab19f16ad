"""The command `progrock`, as an operator types it, against the demo service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.settings import SHIPPED_RECIPES
from dev.processes import ROOT

from .test_demo import running_demo

SMALL = ["-p", "width=200", "-p", "height=150", "-p", "iterations=3000"]
SECRET = "a secret of the demo's"
RECIPE = """
title = "Counter"
url = "{url}"
[headers]
X-Key = "${{KEY}}"
[params.properties]
seconds = {{ type = "number", default = 2 }}
total = {{ type = "integer", default = 50 }}
fail_at = {{ type = "integer" }}
[start]
request = "POST /counters"
ref = "id"
[status]
request = "GET /counters/{{ref}}"
state = "state"
done = "count"
total = "total"
message = "message"
error = "error"
[status.states]
running = ["counting"]
succeeded = ["complete"]
failed = ["broken"]
cancelled = ["stopped"]
[cancel]
request = "DELETE /counters/{{ref}}"
[result.values]
count = "count"
"""
# What is planted, and the claim that must fail.
MISTAKES = {
    "where the name is": ('ref = "id"', 'ref = "di"', "start"),
    "the path of the start": ("POST /counters", "POST /counter", "start"),
    "the path of the status": ("GET /counters/", "GET /counterz/", "the job ends"),
    "where the state is": ('state = "state"', 'state = "stat"', "understood"),
    "a word for running": ('["counting"]', '["running"]', "understood"),
    "a word for succeeded": ('["complete"]', '["ended"]', "understood"),
    "where done is": ('done = "count"', 'done = "cuont"', "status.done"),
    "where total is": ('total = "total"', 'total = "todal"', "status.total"),
    "the wrong way round": (
        'done = "count"\ntotal = "total"',
        'done = "total"\ntotal = "count"',
        "at most total",
    ),
    "the path of the stop": ("DELETE /counters/", "PUT /counters/", "cancel"),
    "a stop for a success": ('failed = ["broken"]\ncancelled', "failed", "cancel"),
    "where the result is": ('count = "count"', 'count = "cnt"', "result.values.count"),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_demo(tmp_path_factory.mktemp("demo") / "log") as demo:
        yield str(demo.http.base_url).rstrip("/")


def progrock(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command; returns the exit code and all that it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "command", *arguments],
        env={**os.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def written(tmp_path: Path, url: str, old: str = "", new: str = "") -> str:
    text = RECIPE.format(url=url)
    assert old in text
    path = tmp_path / "counter.toml"
    path.write_text(text.replace(old, new, 1))
    return str(path)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("render", SMALL),
        ("counter", ["-p", "seconds=2"]),
        ("counter-bulk", ["-p", "seconds=2"]),
    ],
)
def test_the_recipes_of_the_demo_are_proved(
    url: str, name: str, params: list[str]
) -> None:
    path = str(SHIPPED_RECIPES / f"{name}.toml")

    code, said = progrock("recipe", "check", path, *params, DEMO_URL=url)

    assert code == 0, said
    assert "fails" not in said
    assert "holds     cancel: the job becomes cancelled" in said


@pytest.mark.parametrize(("old", "new", "claim"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_fails_with_its_reason(
    url: str, tmp_path: Path, old: str, new: str, claim: str
) -> None:
    path = written(tmp_path, url, old, new)

    code, said = progrock("recipe", "check", path, "--timeout", "4", KEY=SECRET)

    assert code == 1, said
    failures = [line for line in said.splitlines() if line.startswith("fails")]
    assert any(claim in line for line in failures), said
    assert SECRET not in said


def test_only_watching_stops_nothing(url: str, tmp_path: Path) -> None:
    path = written(tmp_path, url)

    code, said = progrock("recipe", "check", path, "--only", "watch", KEY=SECRET)

    assert code == 0, said
    assert "cancel" not in said.replace("status: cancelled", "")


def test_a_job_that_fails_proves_nothing(url: str, tmp_path: Path) -> None:
    path = written(tmp_path, url)
    params = ["-p", "fail_at=20", "--only", "watch"]

    code, said = progrock("recipe", "check", path, *params, KEY=SECRET)

    assert code == 1
    assert "fails     the job succeeds: failed" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.toml"],
        [str(SHIPPED_RECIPES / "counter.toml"), "-p", "seconds"],
        [str(SHIPPED_RECIPES / "counter.toml"), "-p", "seconds=never"],
    ],
)
def test_wrong_use_ends_with_2_and_one_line(arguments: list[str]) -> None:
    code, said = progrock("recipe", "check", *arguments)

    assert code == 2
    assert len(said.strip().splitlines()) == 1


def test_saved_answers_are_read_without_a_service(tmp_path: Path) -> None:
    path = written(tmp_path, "http://127.0.0.1:9")
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"state": "counting", "count": 5, "total": 20}')
    bad.write_text('{"state": "dreaming"}')

    code, said = progrock("recipe", "try", path, "--answer", str(good), KEY=SECRET)
    wrong, reason = progrock("recipe", "try", path, "--answer", str(bad), KEY=SECRET)

    assert code == 0
    assert '"status":"running","progress":25.0,"done":5,"total":20' in said
    assert wrong == 1
    assert "unexpected_answer" in reason


def test_shipped_recipes_are_listed_and_shown() -> None:
    code, listed = progrock("recipe", "list")
    shown = progrock("recipe", "show", "rclone")
    missing = progrock("recipe", "show", "nothing")

    assert code == 0
    assert {"rclone", "aria2", "counter"} <= {
        line.split()[0] for line in listed.split("\n") if line
    }
    assert shown[0] == 0
    assert "[status.calls.stats]" in shown[1]
    assert missing[0] == 2


def test_the_help_teaches() -> None:
    for arguments in (["--help"], ["recipe", "--help"], ["recipe", "check", "--help"]):
        code, said = progrock(*arguments)

        assert code == 0
        assert "recipe" in said
