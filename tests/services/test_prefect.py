"""Flow runs of a real Prefect server, through the whole of ProgRock: `make prefect`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from actors.backends.http import HttpBackend
from actors.backends.offered import SERVICES
from actors.recipes.load import load_recipe
from dev.processes import ROOT, Stack, wait_for
from dev.redis import embedded, free_port

from .progrock import ProgRock, progrock, proved

BIN = ROOT / ".venv-prefect/bin"
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}


class Prefect:
    """A server, and a process that runs its flows."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        environ = {
            **QUIET,
            "PREFECT_HOME": str(folder),
            "PREFECT_API_URL": f"{self.url}/api",
        }
        settings = ["env", *(f"{name}={value}" for name, value in environ.items())]
        address = ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        server = [*settings, str(BIN / "prefect"), "server", "start", *address]
        wait_for(self._answers, stack.start(server, folder))
        flows = str(Path(__file__).with_name("flows.py"))
        running = stack.start([*settings, str(BIN / "python"), flows], folder)
        wait_for(lambda: self.deployment("burn"), running)

    def deployment(self, flow: str) -> str:
        """The id of a flow's deployment; empty if it is not there yet."""
        answer = httpx.get(
            f"{self.url}/api/deployments/name/{flow}/oven", trust_env=False
        )
        return str(answer.json()["id"]) if answer.status_code == 200 else ""

    def environ(self, flow: str) -> dict[str, str]:
        """What the recipe wants to know."""
        return {"PREFECT_URL": self.url, "PREFECT_DEPLOYMENT": self.deployment(flow)}

    def runs(self) -> list[Any]:
        """The flow runs that there are, the newest first."""
        answer = httpx.post(
            f"{self.url}/api/flow_runs/filter",
            json={"sort": "EXPECTED_START_TIME_DESC"},
            trust_env=False,
        )
        found: list[Any] = answer.json()
        return found

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health", trust_env=False).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    if not (BIN / "prefect").exists():
        pytest.skip("Prefect is large: `make prefect` installs it and runs this.")
    with embedded() as redis, Stack(redis.url) as stack:
        yield Prefect(stack, tmp_path_factory.mktemp("prefect"))


@pytest.fixture(scope="module")
def rock(prefect: Prefect) -> Iterator[ProgRock]:
    with progrock("prefect", **prefect.environ("bake")) as ours:
        yield ours


def test_the_recipe_is_proved(prefect: Prefect) -> None:
    said = proved("prefect", **prefect.environ("bake"))

    assert "holds     cancel: the job becomes cancelled" in said
    assert "holds     status.percent: 0 … 100" in said


def test_a_flow_is_followed_by_its_progress_artifact(rock: ProgRock) -> None:
    told = rock.told(rock.start("prefect"), lambda job: job["finished"])

    assert (told[-1]["status"], told[-1]["progress"]) == ("succeeded", 100)
    assert len({job["progress"] for job in told if job["status"] == "running"}) > 5


def test_a_flow_is_stopped_and_prefect_confirms_it(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.until(rock.start("prefect"), lambda job: job["progress"])

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert ended["progress"] < 100
    assert prefect.runs()[0]["state"]["type"] == "CANCELLED"


def test_a_flow_that_fails_is_told_in_prefect_s_words(prefect: Prefect) -> None:
    with progrock("prefect", **prefect.environ("burn")) as rock:
        ended = rock.end(rock.start("prefect"))

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "backend_failed"
    assert "The loaf is burnt." in ended["error"]["message"]


async def test_a_start_that_is_sent_twice_is_one_flow_run(prefect: Prefect) -> None:
    before = len(prefect.runs())
    environ = {**os.environ, **prefect.environ("bake")}
    recipe = load_recipe(SERVICES / "prefect.toml", environ)
    backend = HttpBackend("prefect", recipe, 200, 2000)

    first = await backend.start("the-same-job", {})
    second = await backend.start("the-same-job", {})
    await backend.close()

    assert first.ref == second.ref
    assert len(prefect.runs()) == before + 1
