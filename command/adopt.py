"""`progrock adopt`: has a running ProgRock watch a job that others have started.

Without the name of a job it prints those that run there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from .output import Output
from .secrets import Mask

TOKEN, ADDRESS = "PROGROCK_TOKEN", "PROGROCK_URL"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 10
FAILED, WRONG_USE = 1, 2
EXAMPLES = f"""The token is one of those in PROGROCK_API_TOKENS, and stands in {TOKEN}.

examples:
  progrock adopt aria2
  progrock adopt aria2 2089b05ecca3d829
  progrock adopt jenkins 1234 --url https://progrock.example.com
"""


class RefusedError(Exception):
    """The job is not watched; the message says why."""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    adopt = commands.add_parser(
        "adopt",
        help="watch a job that others have started",
        description="Have a running ProgRock watch a job that others have started. "
        "Without REF, list those that run there, if the recipe has a list.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adopt.add_argument("backend", help="the recipe's name, as in /backends")
    adopt.add_argument("ref", nargs="?", help="the name of the job there")
    adopt.add_argument(
        "--url", help=f"where ProgRock is; {ADDRESS}, or {DEFAULT_ADDRESS}, without it"
    )
    adopt.set_defaults(run=_adopt)


def _adopt(chosen: argparse.Namespace) -> int:
    token = os.environ.get(TOKEN, "")
    mask = Mask([(f"${{{TOKEN}}}", token)] if token else [])
    if not token:
        Output(sys.stderr, mask).mistake(f"Set {TOKEN} to a token of that ProgRock.")
        return WRONG_USE
    address = (chosen.url or os.environ.get(ADDRESS) or DEFAULT_ADDRESS).rstrip("/")
    try:
        lines = asyncio.run(_told(address, token, chosen.backend, chosen.ref))
    except RefusedError as error:
        Output(sys.stderr, mask).mistake(" ".join(str(error).split()))
        return FAILED
    for line in lines:
        Output(sys.stdout, mask).line(line)
    return 0


async def _told(
    address: str, token: str, backend: str, ref: str | None
) -> Sequence[str]:
    """Adopt a job, or list the jobs; raises RefusedError."""
    if ref is None:
        path = f"{address}/backends/{quote(backend, safe='')}/jobs"
        said = await _answer(address, token, path, None)
        jobs = said["jobs"] if isinstance(said["jobs"], list) else []
        return [_line(each) for each in jobs if isinstance(each, dict)]
    order = {"backend": backend, "ref": ref}
    job = (await _answer(address, token, f"{address}/jobs", order)).get("job")
    return [f"{job} {address}/jobs/{job}"]


def _line(job: Any) -> str:
    """The name of a job, and what it is called; a terminal obeys none of it."""
    words = f"{job.get('ref')} {job.get('title') or ''}".rstrip()
    return "".join(each if each.isprintable() else "�" for each in words)


async def _answer(
    address: str, token: str, url: str, order: dict[str, str] | None
) -> dict[str, Any]:
    """What ProgRock says if it does as it is asked; raises RefusedError."""
    if "@" in address:  # not repeated: a password may stand in it
        raise RefusedError(f"The address has a user in it; only {TOKEN} is sent.")
    try:
        status, body = await _sent(url, token, order)
    except (aiohttp.ClientError, TimeoutError) as error:
        why = _why(error)
        raise RefusedError(f"There is no ProgRock at {address}: {why}.") from error
    except ValueError as error:  # aiohttp's, for a line break in a header
        raise RefusedError(f"{TOKEN} is not a token: it cannot be sent.") from error
    said = _object(body)
    wanted_status, wanted = (200, "jobs") if order is None else (202, "job")
    if status == wanted_status and wanted in said:
        return said
    if status == 401:
        raise RefusedError(f"The token in {TOKEN} is not one of that ProgRock.")
    raise RefusedError(str(said.get("detail") or f"{address} answered with {status}."))


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"nothing answered in {TIMEOUT_S} s"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "this is not the address of a server"
        case aiohttp.ClientSSLError():
            return "no safe connection can be made"
        case aiohttp.ClientConnectorError():
            return "no connection can be made"
        case _:
            return "the connection broke"


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none, as a proxy's page."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


async def _sent(
    url: str, token: str, order: dict[str, str] | None
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True
        ) as session,
        session.request(
            "GET" if order is None else "POST",
            url,
            json=order,
            headers={"Authorization": f"Bearer {token}"},
            allow_redirects=False,
        ) as response,
    ):
        return response.status, await response.read()
