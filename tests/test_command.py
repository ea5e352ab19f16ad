"""The command `progrock`, as an operator types it, against the demo service."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.backends import Handle
from actors.backends.answers import Reader
from actors.recipes.load import load_recipe
from actors.settings import SHIPPED_RECIPES
from command.findings import Finding, Heard, findings
from command.output import Output
from command.secrets import Mask
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
# The planted mistake, and the claim that must fail.
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


@pytest.mark.parametrize(
    "text",
    [
        f"it is {SECRET}",
        "x" * 290 + SECRET,
        '{"key": "a \\"quoted\\" secret"}',
        "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode(),
        "http://bob:pass-word-9@example.com",
    ],
)
def test_secrets_are_masked_in_every_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "oven.toml"
    path.write_text(
        RECIPE.format(url="${URL}").replace(
            "[headers]", 'basic = { user = "ann", password = "${KEY}" }\n[headers]'
        )
        + '[every.headers]\nX-Other = "${OTHER}"\n'
    )
    environ = {"KEY": SECRET, "OTHER": 'a "quoted" secret'}
    environ["URL"] = "http://bob:pass-word-9@example.com"
    printed = io.StringIO()

    Output(printed, Mask.of(path, environ)).table([Finding("a claim", False, text)])

    secrets = ("secret", "pass-word-9", base64.b64encode(SECRET.encode()).decode()[:8])
    assert not any(secret in printed.getvalue() for secret in secrets)


def heard(*bodies: str, **status: str) -> dict[str, bool | None]:
    """What is found of these answers, by claim."""
    recipe = {"state": "state", **status}
    keys = "".join(f'{key} = "{where}"\n' for key, where in recipe.items())
    text = f"""
title = "Oven"
url = "http://127.0.0.1:9"
start = {{ request = "POST /loaves", ref = "id" }}
[status]
request = "GET /loaves/{{ref}}"
{keys}states = {{ running = ["on"], succeeded = ["ok"], failed = ["bad"] }}
"""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        loaded = load_recipe(Path(file.name), {})
    reader = Reader(loaded)
    answers = [
        Heard("j", reader.one(json.loads(body), Handle("7")), body.encode())
        for body in bodies
    ]
    return {each.claim: each.holds for each in findings(loaded, answers)}


def test_a_percentage_over_100_is_no_percentage() -> None:
    found = heard('{"state": "on", "n": 120}', '{"state": "on", "n": 300}', percent="n")

    assert found["a percentage is at most 100"] is False


@pytest.mark.parametrize(("where", "holds"), [("why", True), ("wyh", False)])
def test_a_job_that_failed_shows_where_its_reason_is(where: str, holds: bool) -> None:
    found = heard('{"state": "bad", "why": "No flour."}', error=where)

    assert found["status.error"] is holds


def test_a_number_that_moves_and_is_not_used_is_told() -> None:
    bodies = [f'{{"state": "on", "counts": 1, "count": {n}}}' for n in range(4)]

    assert "the service also tells count" in heard(*bodies, percent="counts")


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
