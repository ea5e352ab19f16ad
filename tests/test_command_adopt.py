"""The command `progrock adopt`, as an operator types it, against real web processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

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


async def typed(
    *arguments: str, token: str = TOKEN, **settings: str
) -> tuple[int, str, str]:
    """The exit code of the command, its output, and its complaints."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PROGROCK_")}
    environ |= {**settings, **({"PROGROCK_TOKEN": token} if token else {})}
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
    ours, process = served

    code, out, err = await typed("oven", "1a2b", "--url", process.url)

    assert (code, err) == (0, "")
    job_id, address = out.split(" ")
    assert address == f"{process.url}/jobs/{job_id}"
    job = await ours.store.load(job_id)
    assert job
    assert (job.backend, job.adopted) == ("oven", True)


async def test_without_a_name_the_jobs_that_run_there_are_printed(
    tmp_path: Path,
) -> None:
    async def answer(_: web.Request) -> web.Response:
        loaves = [{"id": "1a2b", "name": "Rye \x1b[31m"}, {"id": "3c4d"}]
        return web.json_response({"loaves": loaves})

    app = web.Application()
    app.router.add_get("/loaves", answer)
    async with TestServer(app) as oven, site() as ours:
        listed = RECIPE.replace("http://127.0.0.1:9", str(oven.make_url("/")))
        rule = 'request = "GET /loaves", items = "loaves", ref = "id", title = "name"'
        listed = listed.replace("[status]", f"list = {{ {rule} }}\n[status]", 1)
        (tmp_path / "oven.toml").write_text(listed)
        process = await ours.serve(PROGROCK_RECIPES=str(tmp_path))

        code, out, err = await typed("oven", "--url", process.url)
        refused = await typed("counter", "--url", process.url)

    assert (code, err) == (0, "")
    assert out.splitlines() == ["1a2b Rye �[31m", "3c4d"]
    assert refused == (1, "", "Jobs of counter cannot be listed.")


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


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9", "no connection can be made"),
        ("http://127.0.0.1:9/x", "no connection can be made"),
        ("http://nowhere.invalid", "no connection can be made"),
        ("nonsense", "this is not the address of a server"),
        ("http://[", "this is not the address of a server"),
        ("ftp://127.0.0.1", "this is not the address of a server"),
    ],
)
async def test_where_there_is_no_progrock_one_sentence_says_why(
    url: str, why: str
) -> None:
    code, out, err = await typed("oven", "1a2b", "--url", url)

    assert (code, out) == (1, "")
    assert err == f"There is no ProgRock at {url}: {why}."


async def test_the_address_may_stand_in_the_environment(
    served: tuple[Site, Web],
) -> None:
    url = served[1].url

    code, out, err = await typed("oven", "1a2b", PROGROCK_URL=f"{url}/")

    assert (code, err) == (0, "")
    assert f" {url}/jobs/" in out


async def test_a_password_in_the_address_is_neither_sent_nor_printed() -> None:
    url = "http://ann:a-secret-of-ann@127.0.0.1:9"

    code, out, err = await typed("oven", "1a2b", "--url", url)

    assert (code, out) == (1, "")
    assert "a-secret-of-ann" not in err
    assert "The address has a user in it" in err


async def test_a_token_that_cannot_be_sent_is_said_to_be_none(
    served: tuple[Site, Web],
) -> None:
    token = "a-secret\nof-ann"

    code, out, err = await typed("oven", "1a2b", "--url", served[1].url, token=token)

    assert (code, out) == (1, "")
    assert err == "PROGROCK_TOKEN is not a token: it cannot be sent."


async def test_one_job_too_many_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oven.toml").write_text(RECIPE)
    recipes = str(tmp_path)
    async with site() as ours:
        full = await ours.serve(PROGROCK_RECIPES=recipes, PROGROCK_MAX_ACTIVE_JOBS="1")
        url = full.url
        assert (await typed("oven", "1a2b", "--url", url))[0] == 0

        code, out, err = await typed("oven", "3c4d", "--url", url)

    assert (code, out) == (1, "")
    assert err.startswith("You have 1 unfinished jobs")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (502, b"<h1>Bad gateway</h1>", "answered with 502."),
        (302, b"", "answered with 302."),
        (202, b"[1]", "answered with 202."),
        (200, b"\xff", "answered with 200."),
        (500, b"[" * 100_000, "answered with 500."),
        (429, b'{"detail": "Slow\\ndown."}', "Slow down."),
    ],
)
async def test_what_is_no_answer_of_a_progrock_is_one_sentence(
    status: int, body: bytes, says: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:9/"} if status == 302 else {}
        return web.Response(status=status, body=body, headers=headers)

    app = web.Application()
    app.router.add_post("/jobs", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")

        code, out, err = await typed("oven", "1a2b", "--url", url)

    assert (code, out) == (1, "")
    assert err == (says if status == 429 else f"{url} {says}")
