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
    address = chosen.url or os.environ.get(ADDRESS) or DEFAULT_ADDRESS
    order = {"backend": chosen.backend, "ref": chosen.ref}
    try:
        job = asyncio.run(_adopted(address.rstrip("/"), token, order))
    except RefusedError as error:
        Output(sys.stderr, mask).mistake(str(error))
        return FAILED
    Output(sys.stdout, mask).line(f"{address.rstrip('/')}/jobs/{job}")
    return 0


async def _adopted(address: str, token: str, order: dict[str, str]) -> str:
    """Return the id of the job; raises RefusedError."""
    try:
        status, said = await _posted(f"{address}/jobs", token, order)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise RefusedError(f"There is no ProgRock at {address}: {error!r}.") from error
    if status == 202 and isinstance(said, dict) and isinstance(said.get("job"), str):
        return str(said["job"])
    if status in (401, 403):
        raise RefusedError(f"The token in {TOKEN} is not one of that ProgRock.")
    detail = said.get("detail") if isinstance(said, dict) else None
    raise RefusedError(str(detail or f"{address} answered with {status}."))


async def _posted(url: str, token: str, order: dict[str, str]) -> tuple[int, Any]:
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
        return response.status, json.loads(await response.read())
