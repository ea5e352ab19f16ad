"""`progrock recipe new`: flags, lines or a terminal answer, and a recipe begins."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from actors.recipes.load import load_recipe
from command.questions import QUESTIONS
from command.samples import Sample
from dev.processes import ROOT
from tests.test_command import progrock

from .test_demo import running_demo

COUNTER = {
    "title": "Counter",
    "start": "POST /counters",
    "params": "seconds:number, total:integer",
    "state": "state",
    "running": "counting",
    "succeeded": "complete",
    "failed": "broken",
    "cancelled": "stopped",
    "done": "count",
    "total": "total",
    "message": "message",
    "error": "error",
    "cancel": "DELETE /counters/{ref}",
}

NOT_ASKED_FOR = {"params", "paused", "pause", "done"}


def piped(lines: str, *arguments: str) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "command", "recipe", "new", *arguments],
        input=lines,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def flags(**answers: str) -> list[str]:
    return [part for name, text in answers.items() for part in (f"--{name}", text)]


def test_the_recipe_that_the_answers_make_is_proved(tmp_path: Path) -> None:
    path = tmp_path / "counter.toml"
    with running_demo(tmp_path / "log") as demo:
        url = str(demo.http.base_url).rstrip("/")
        code, said = piped("", str(path), *flags(url=url, **COUNTER))
        params = ["-p", "seconds=2", "-p", "total=50"]
        proved, seen = progrock("recipe", "check", str(path), *params)

    assert code == 0, said
    assert f"progrock recipe check {path} -p seconds=… -p total=…" in said
    assert path.read_text().startswith("#:schema ")
    assert proved == 0, seen


def test_lines_answer_the_questions_in_turn_and_empty_ones_take_the_default(
    tmp_path: Path,
) -> None:
    path = tmp_path / "oven.toml"
    given = {"title": "Bread", "auth": "bearer", "cancel": "POST /jobs/{ref}/stop"}
    asked = [each.name for each in QUESTIONS if not set(each.needs) & NOT_ASKED_FOR]
    lines = "".join(f"{given.get(name, '')}\n" for name in asked)

    code, said = piped(lines, str(path))
    text = path.read_text()

    assert code == 0, said
    assert 'Authorization = "Bearer ${OVEN_TOKEN}"' in text
    recipe = load_recipe(path, {"OVEN_TOKEN": "x"})
    assert recipe.title == "Bread"
    assert recipe.url == "http://127.0.0.1:8000"
    assert recipe.cancel is not None


def test_a_terminal_asks_again_for_an_answer_that_cannot_be_used(
    tmp_path: Path,
) -> None:
    path = tmp_path / "oven.toml"
    ours, theirs = pty.openpty()
    typed = ["Bread", "nowhere", "http://127.0.0.1:9", "", "", "GET", "POST /loaves"]
    with subprocess.Popen(
        [sys.executable, "-m", "command", "recipe", "new", str(path)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        text=True,
    ) as asked:
        os.close(theirs)
        os.write(ours, "".join(f"{line}\n" for line in [*typed, *[""] * 30]).encode())
        said, _ = asked.communicate(timeout=60)
    os.close(ours)

    assert asked.returncode == 0, said
    assert "It must be an http or https address." in said
    assert "must be a method and a path" in said
    assert load_recipe(path, {}).calls["status"].request is not None


def test_a_saved_answer_suggests_expressions(tmp_path: Path) -> None:
    path, answer = tmp_path / "oven.toml", tmp_path / "answer.json"
    answer.write_text(
        json.dumps(
            {
                "job": {"jobId": "7", "phase": "BAKING", "status": "IN_PROGRESS"},
                "progress": {"percent-complete": 40},
                "error": None,
            }
        )
    )

    code, said = piped("", str(path), "--answer", str(answer))
    recipe = load_recipe(path, {})

    assert code == 0, said
    assert recipe.start.ref.body is not None
    assert recipe.start.ref.body.text == "job.jobId"
    assert recipe.status.state is not None
    assert recipe.status.state.text == "job.status"
    assert recipe.status.percent is not None
    assert recipe.status.percent.text == 'progress."percent-complete"'
    assert "IN_PROGRESS" in str(recipe.status.words)


def test_a_fraction_is_no_percentage() -> None:
    assert Sample({"progress": 0.4}).where == {"fraction": "progress"}
    assert Sample({"progress": 40, "done": 3}).where == {"percent": "progress"}
    assert Sample({"done": 3, "total": 9}).where == {"done": "done", "total": "total"}
    assert Sample([1, 2]).where == {}


def test_without_a_terminal_and_answers_it_says_how_to_go_on(tmp_path: Path) -> None:
    code, said = piped("", str(tmp_path / "oven.toml"))

    assert code == 2
    assert "give answers as flags" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("url", "ftp://example.com"),
        ("start", "/jobs"),
        ("state", "a..b"),
        ("status", "GET /jobs"),
        ("percent", "minus(a)"),
        ("params", "pages:whole"),
        ("auth", "magic"),
        ("answer", "/missing.json"),
        ("title", "-"),
    ],
)
def test_a_wrong_answer_ends_with_2_and_writes_nothing(
    tmp_path: Path, name: str, answer: str
) -> None:
    code, said = piped("", str(tmp_path / "oven.toml"), *flags(**{name: answer}))

    assert code == 2, said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_only_replaced_if_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "oven.toml"
    path.write_text("mine")

    code, said = piped("", str(path), "--title", "Bread")
    kept = path.read_text()
    forced, _ = piped("", str(path), "--title", "Bread", "--force")

    assert (code, kept, forced) == (2, "mine", 0)
    assert "--force" in said
    assert load_recipe(path, {}).title == "Bread"
