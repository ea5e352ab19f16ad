"""A real Prefect, of a virtual environment of its own: `make prefect` installs it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx

from dev.processes import ROOT, Process, Stack, wait_for
from dev.redis import free_port

BIN = ROOT / ".venv-prefect" / "bin"
FLOWS = Path(__file__).parent / "flows.py"
USER, PASSWORD = "ann", "a password of Prefect's"
START_S = 90  # it makes its database first


class Prefect:
    """A server that asks for a password, a process that runs its flow, and their API.

    The flow has two deployments: one is served, the other by nobody.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._login = f"{USER}:{PASSWORD}"
        shutil.copy(FLOWS, folder)

    @property
    def environ(self) -> dict[str, str]:
        """What both processes need; none of them tells anybody that it is used."""
        return {
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_API_AUTH_STRING": self._login,
            "PREFECT_SERVER_API_AUTH_STRING": self._login,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def start(self, stack: Stack) -> None:
        """Start both; returns as soon as both deployments are there."""
        options = ["--host", "127.0.0.1", "--port", str(self.port)]
        command = [str(BIN / "prefect"), "server", "start", *options]
        server = stack.start(command, self.folder, **self.environ)
        wait_for(self._answers, server, START_S)
        flows = [str(BIN / "python"), FLOWS.name]
        self.flows: Process = stack.start(flows, self.folder, **self.environ)
        wait_for(lambda: bool(self.post("/deployments/filter")), self.flows, START_S)
        [served] = self.post("/deployments/filter")
        body = {"name": "unserved", "flow_id": served["flow_id"]}
        self.served: str = served["id"]
        self.unserved: str = self.post("/deployments/", body)["id"]

    @property
    def version(self) -> str:
        return str(self._ask("GET", "/admin/version"))

    def runs(self, job_id: str) -> list[Any]:
        """All runs that a job of ours has begun."""
        wanted = {"flow_runs": {"idempotency_key": {"any_": [job_id]}}}
        found: list[Any] = self.post("/flow_runs/filter", wanted)
        return found

    def run(self, job_id: str) -> Any:
        """The run of a job of ours; there is no other."""
        [run] = self.runs(job_id)
        return run

    def resume(self, run_id: str) -> None:
        assert self.post(f"/flow_runs/{run_id}/resume")["status"] == "ACCEPT"

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, body or {})

    def change(self, parameters: dict[str, Any]) -> None:
        """Change the parameters of the deployment's next runs."""
        path = f"/deployments/{self.served}"
        self._ask("PATCH", path, {"parameters": parameters})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"{self.url}/api{path}",
            json=body,
            auth=(USER, PASSWORD),
            trust_env=False,
            timeout=30,
        ).raise_for_status()
        return answer.json() if answer.content else None

    def _answers(self) -> bool:
        try:
            return bool(self.version)
        except httpx.HTTPError:
            return False
