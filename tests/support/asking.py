"""Requests to the API, and how its refusals look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from quart import Quart, Response
from quart.testing import QuartClient as _Client

Serving = Callable[..., AbstractAsyncContextManager[Quart]]

ORDER = {"backend": "counter", "params": {"total": 5, "seconds": 1}}
ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FOREIGN = {"Origin": "https://elsewhere.example"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NO_CANCEL = """
title = "Unstoppable"
url = "http://127.0.0.1:9"
[start]
request = "POST /things"
ref.body = "id"
[status]
request = "GET /things/{ref}"
state = "state"
states.succeeded = ["done"]
states.failed = ["failed"]
"""


async def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem that an answer is, after a look at its shape."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = await response.get_json(force=True)
    assert found["status"] == status
    assert found["title"]
    assert found["detail"].endswith((".", "…"))
    return found


async def start(client: _Client, **headers: str) -> dict[str, Any]:
    response = await client.post("/jobs", json=ORDER, headers=headers)
    assert response.status_code == 202
    job: dict[str, Any] = await response.get_json()
    return job
