"""The command `progrock adopt`, as an operator types it, against real web processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .support.site import TOKEN, Site, Web, site

RECIPE = """
title = "Oven"
url = "http://127.0.0.1:9"
adopt = { pattern = "[0-9a-f]{4}", title = "Tray" }
start = { request = "POST /loaves", ref = "id" }
[status]
request = "GET /loaves/{ref}"
state = "state"
states = { succeeded = ["baked"], failed = [] }
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Site, Web]]:
    (tmp_path / "oven.toml").write_text(RECIPE)
    async with site() as ours:
        yield ours, await ours.serve(PROGROCK_RECIPES=str(tmp_path))


async def typed(*arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
    """The exit code of the command, what it printed, and what it complained of."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PROGROCK_")}
    environ |= {"PROGROCK_TOKEN": token} if token else {}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "command", "adopt", *arguments),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode().strip(), err.decode().strip()


async def test_a_job_that_others_have_started_is_watched_from_then_on(
    served: tuple[Site, Web],
) -> None:
    ours, web = served

    code, out, err = await typed("oven", "1a2b", "--url", web.url)

    assert (code, err) == (0, "")
    assert out.startswith(f"{web.url}/jobs/")
    job = await ours.store.load(out.rpartition("/")[2])
    assert job
    assert (job.backend, job.adopted) == ("oven", True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("oven", "nope"), "does not fit"),
        (("counter", "1a2b"), "cannot be adopted"),
        (("nothing", "1a2b"), "nothing"),
    ],
)
async def test_a_refusal_is_one_sentence(
    served: tuple[Site, Web], arguments: tuple[str, str], says: str
) -> None:
    code, out, err = await typed(*arguments, "--url", served[1].url)

    assert (code, out) == (1, "")
    assert says in err
    assert "\n" not in err


async def test_a_token_that_is_not_known_is_not_printed(
    served: tuple[Site, Web],
) -> None:
    secret = "a-token-of-somebody-else"

    code, out, err = await typed("oven", "1a2b", "--url", served[1].url, token=secret)

    assert (code, out) == (1, "")
    assert "PROGROCK_TOKEN" in err
    assert secret not in err


async def test_without_a_token_the_command_says_what_to_set() -> None:
    code, out, err = await typed("oven", "1a2b", token="")

    assert (code, out) == (2, "")
    assert "PROGROCK_TOKEN" in err


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[", ""])
async def test_where_there_is_no_progrock_it_says_so(url: str) -> None:
    code, out, err = await typed("oven", "1a2b", "--url", url or "http://127.0.0.1:9/x")

    assert (code, out) == (1, "")
    assert "There is no ProgRock at" in err
