"""`make run` starts everything and leaves nothing behind."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import httpx
import psutil

from dev.processes import Process, answers, wait_for
from dev.redis import free_port


def test_everything_starts_a_job_ends_and_nothing_stays(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"PORT": str(port), "TMPDIR": str(tmp_path)}
    run = Process([sys.executable, "-m", "dev"], environ)
    try:
        wait_for(lambda: f"ProgRock is at {url}" in run.log(), run, timeout_s=40)
        assert answers(f"{url}/health/ready")
        assert _count_to_the_end(url)["status"] == "succeeded"
        family = psutil.Process(run.pid).children(recursive=True)
        assert len(family) >= 4

        run.popen.send_signal(signal.SIGINT)

        assert run.wait() == 0, run.log()
        wait_for(lambda: not any(process.is_running() for process in family))
        assert "Traceback" not in run.log()
    finally:
        run.end()
    assert list(tmp_path.glob("progrock*")) == []
    assert Path(tempfile.gettempdir()).exists()


def _count_to_the_end(url: str) -> dict[str, object]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        order = {"backend": "counter", "params": {"seconds": 0.5}}
        job = client.post("/jobs", json=order).json()
        address = f"/jobs/{job['job']}"
        wait_for(lambda: bool(client.get(address).json()["finished"]))
        ended: dict[str, object] = client.get(address).json()
        return ended
