"""The command `progrock doctor`, as an operator types it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from dev.processes import ROOT, Stack, running
from dev.redis import Server, embedded

NOWHERE = "redis://:a-password@127.0.0.1:1/0"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with embedded(append_only=True) as server:
        yield server


@pytest.fixture(scope="module")
def whole(server: Server) -> Iterator[Stack]:
    """All of ProgRock, in good health."""
    with running(server.url) as stack:
        yield stack


def doctor(stack: Stack, **environ: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit code, the state and words of each check, and all that was printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PROGROCK_")}
    ran = subprocess.run(
        [sys.executable, "-m", "command", "doctor"],
        env={**clean, **stack.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    checks = {}
    for line in ran.stdout.splitlines():
        state, _, rest = line.partition(" ")
        what, _, seen = rest.strip().partition(": ")
        checks[what] = state, seen
    return ran.returncode, checks, ran.stdout


def test_all_is_well(whole: Stack) -> None:
    code, checks, _ = doctor(whole)

    assert code == 0
    assert {what: state for what, (state, _) in checks.items() if state != "well"} == {
        "Redis fsync": "care"  # as fast as tests need it, not as safe as jobs do
    }
    assert checks["Redis version"][1].startswith(("Redis ", "Valkey "))
    assert checks["recipes"][1] == "render, counter, counter-bulk."
    assert checks["backend render"][1].startswith("It answers (")
    assert checks["broker"][1] == "It is the same Redis."
    assert checks["workers"][1] == "One was here in the last 5 s."
    assert checks["jobs"][1] == "None is unfinished."


def test_what_is_wrong_is_said_with_the_way_out(whole: Stack, server: Server) -> None:
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        try:
            code, checks, _ = doctor(whole, DEMO_URL="http://127.0.0.1:9")
        finally:
            admin.config_set("maxmemory-policy", "noeviction")

    assert code == 1
    state, seen = checks["Redis eviction"]
    assert (state, seen) == (
        "ill",
        "allkeys-lru may delete running jobs; set maxmemory-policy noeviction.",
    )
    state, seen = checks["backend render"]
    assert state == "ill"
    assert "cannot be reached" in seen


def test_a_replica_a_lack_of_rights_and_no_worker_are_found() -> None:
    with embedded() as server, Stack(server.url) as stack:
        with redis.Redis.from_url(server.url) as admin:
            admin.acl_setuser(
                "rock", True, passwords=["+a-password"], keys=["*"], commands=["+@all"]
            )
            admin.execute_command("ACL", "SETUSER", "rock", "resetchannels")
        address = server.url.replace("unix://", "unix://rock:a-password@")
        code, checks, text = doctor(stack, REDIS_URL=address, BROKER_URL=server.url)
        assert code == 1
        assert checks["Redis rights"][0] == "ill"
        assert "progrock:2:feed" in checks["Redis rights"][1]
        assert checks["workers"][0] == "ill"
        assert checks["broker rights"][0] == "well"
        assert "a-password" not in text

        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        _, checks, _ = doctor(stack)
        assert checks["Redis role"] == (
            "ill",
            "This is a slave, which takes no writes; name the master.",
        )


def test_a_redis_that_is_away_is_one_line_without_its_password(whole: Stack) -> None:
    code, checks, text = doctor(whole, REDIS_URL=NOWHERE, BROKER_URL="")

    assert code == 1
    assert checks["Redis"][0] == "ill"
    assert checks["Redis"][1].startswith("It cannot be used: Error 111 connecting to")
    assert checks["workers"][0] == "unknown"
    assert "a-password" not in text


def test_a_recipe_that_makes_no_sense_is_named(whole: Stack, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('title = "Odd"')

    code, _, text = doctor(whole, PROGROCK_RECIPES=str(tmp_path))

    assert code == 2
    assert "odd.toml" in text


def test_a_terminal_is_shown_a_table_in_colours(whole: Stack) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "command", "doctor"],
        env={**os.environ, **whole.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
        cwd=ROOT,
        stdout=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux's way to say that the other side has closed
        pass
    os.close(ours)

    assert process.wait(30) == 0
    assert b"\x1b[32mwell\x1b[0m" in shown
