"""From a click to a picture, as another program would go."""

from __future__ import annotations

import time

import httpx

from dev.processes import Stack


def test_a_render_ends_with_its_picture(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        order = {"backend": "render", "params": {"width": 64, "height": 48}}
        answer = client.post("/jobs", json=order)

        assert answer.status_code == 202
        assert answer.headers["Retry-After"] == "1"
        address = answer.headers["Location"]
        job = answer.json()
        assert address == f"/jobs/{job['job']}"
        assert job["status"] == "queued"

        deadline = time.monotonic() + 20
        while not job["finished"]:
            assert time.monotonic() < deadline
            job = client.get(address).json()

        assert job["status"] == "succeeded"
        assert job["progress"] == 100
        assert job["complete"] is True
        assert job["result"] == {
            "url": f"{address}/result",
            "content_type": "image/png",
        }
        picture = client.get(job["result"]["url"])
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG\r\n")
