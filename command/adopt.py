"""`progrock adopt`: has a running ProgRock watch a job that others have started."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import Any

import aiohttp

from .output import Output
from .secrets import Mask

TOKEN, ADDRESS = "PROGROCK_TOKEN", "PROGROCK_URL"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 10
FAILED, WRONG_USE = 1, 2
EXAMPLES = f"""The token is one of those in PROGROCK_API_TOKENS, and stands in {TOKEN}.

examples:
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
        description="Have a running ProgRock watch a job that others have started.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    adopt.add_argument("backend", help="the recipe's name, as in /backends")
    adopt.add_argument("ref", help="the name of the job there")
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
    order = {"backend": chosen.backend, "ref": chosen.ref}
    try:
        job = asyncio.run(_adopted(address, token, order))
    except RefusedError as error:
        Output(sys.stderr, mask).mistake(" ".join(str(error).split()))
        return FAILED
    Output(sys.stdout, mask).line(f"{job} {address}/jobs/{job}")
    return 0


async def _adopted(address: str, token: str, order: dict[str, str]) -> str:
    """Return the id of the job; raises RefusedError."""
    if "@" in address:  # not repeated: a password may stand in it
        raise RefusedError(f"The address has a user in it; only {TOKEN} is sent.")
    try:
        status, body = await _posted(f"{address}/jobs", token, order)
    except (aiohttp.ClientError, TimeoutError) as error:
        why = _why(error)
        raise RefusedError(f"There is no ProgRock at {address}: {why}.") from error
    except ValueError as error:  # aiohttp's, for a line break in a header
        raise RefusedError(f"{TOKEN} is not a token: it cannot be sent.") from error
    said = _object(body)
    if status == 202 and isinstance(said.get("job"), str):
        return str(said["job"])
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


async def _posted(url: str, token: str, order: dict[str, str]) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True
        ) as session,
        session.post(
            url,
            json=order,
            headers={"Authorization": f"Bearer {token}"},
            allow_redirects=False,
        ) as response,
    ):
        return response.status, await response.read()
