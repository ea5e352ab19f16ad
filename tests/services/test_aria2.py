"""Downloads by a real aria2, through the whole of ProgRock."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from dev.processes import Process, Stack, wait_for
from dev.redis import free_port
from tests.conftest import missing
from tests.support.chromium import page_at

from .page import card_of, start
from .progrock import Job, ProgRock, progrock, proved, served

SECRET = "a secret of aria2's"
LIMIT = 200_000  # bytes in a second, for each download
SMALL, LARGE = 500_000, 50_000_000


class Aria2:
    """An aria2 that keeps nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: Process | None = None

    def start(self, stack: Stack) -> None:
        """Start it; returns as soon as it answers."""
        options = {
            "enable-rpc": "true",
            "rpc-listen-port": str(self.port),
            "rpc-secret": SECRET,
            "dir": str(self.folder),
            "max-download-limit": str(LIMIT),
            "file-allocation": "none",
            "max-tries": "1",
        }
        command = ["aria2c", "--no-conf", *(f"--{k}={v}" for k, v in options.items())]
        self._process = stack.start(command, self.folder)
        wait_for(self._answers, self._process)

    def stop(self) -> None:
        assert self._process is not None
        self._process.end()

    def ask(self, method: str, *params: Any) -> Any:
        """Ask aria2 itself; returns the result, or the sentence of the error."""
        said = httpx.post(
            f"{self.url}/jsonrpc",
            json={
                "jsonrpc": "2.0",
                "id": "test",
                "method": f"aria2.{method}",
                "params": [f"token:{SECRET}", *params],
            },
            trust_env=False,
        ).json()
        return said["result"] if "result" in said else said["error"]["message"]

    def only(self) -> Any:
        """The status of the only download."""
        [found] = [
            *self.ask("tellActive"),
            *self.ask("tellWaiting", 0, 10),
            *self.ask("tellStopped", 0, 10),
        ]
        return found

    def _answers(self) -> bool:
        try:
            return "version" in self.ask("getVersion")
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "small.bin").write_bytes(bytes(range(250)) * (SMALL // 250))
    with (folder / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProgRock, Aria2]]:
    if shutil.which("aria2c") is None:
        missing("aria2c")
    aria2 = Aria2(tmp_path_factory.mktemp("downloads"))
    with progrock("aria2", ARIA2_URL=aria2.url, ARIA2_SECRET=SECRET) as ours:
        yield ours, aria2


@pytest.fixture
def aria2(ours: tuple[ProgRock, Aria2]) -> Iterator[Aria2]:
    """An aria2 that has no downloads yet."""
    rock, aria2 = ours
    aria2.start(rock.stack)
    yield aria2
    aria2.stop()


@pytest.fixture
def rock(ours: tuple[ProgRock, Aria2]) -> ProgRock:
    return ours[0]


def has_begun(job: Job) -> bool:
    return bool(job["status"] == "running" and job["done"])


def test_a_download_is_followed_in_bytes_to_its_end(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    job = rock.start("aria2", address=f"{site}/small.bin")
    told = rock.told(job, lambda job: job["finished"])

    ended = told[-1]
    assert (ended["status"], ended["progress"]) == ("succeeded", 100)
    assert (ended["done"], ended["total"], ended["unit"]) == (SMALL, SMALL, "bytes")
    assert any(0 < (each["progress"] or 0) < 100 for each in told)
    file = Path(ended["result"]["file"])
    assert file.stat().st_size == SMALL
    assert aria2.only()["status"] == "complete"


def test_the_recipe_is_proved(aria2: Aria2, site: str) -> None:
    environ = {"ARIA2_URL": aria2.url, "ARIA2_SECRET": SECRET}
    said = proved("aria2", f"address={site}/small.bin", **environ)

    for action in ("pause", "resume", "cancel"):
        assert f"holds     {action}" in said
    assert SECRET not in said


def test_a_download_can_be_paused_and_go_on(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    job = rock.until(rock.start("aria2", address=f"{site}/large.bin"), has_begun)
    assert {"cancel", "pause"} <= set(job["can"])

    rock.ask(job, "pause")
    paused = rock.until(job, lambda job: job["status"] == "paused")
    assert aria2.only()["status"] == "paused"

    rock.ask(paused, "resume")
    going = rock.until(
        paused,
        lambda job: job["status"] == "running" and job["done"] > paused["done"],
    )
    assert aria2.only()["status"] == "active"
    assert going["total"] == LARGE


def test_a_download_is_stopped_and_aria2_confirms_it(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    job = rock.until(rock.start("aria2", address=f"{site}/large.bin"), has_begun)
    gid = aria2.only()["gid"]

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert aria2.ask("tellStatus", gid, ["status"]) == {"status": "removed"}
    assert aria2.ask("tellActive") == []


def test_a_download_is_paused_and_stopped_by_the_buttons_of_the_page(
    rock: ProgRock, aria2: Aria2, site: str, tmp_path: Path
) -> None:
    with page_at(rock.stack.url) as page:
        start(page, "aria2", address=f"{site}/large.bin")
        card = card_of(page)
        amount = card.locator("[data-field=amount]")
        expect(amount).to_have_text(re.compile(r"^[\d.]+ [kM]B of 50 MB$"))
        before = amount.inner_text()
        expect(amount).not_to_have_text(before)

        card.get_by_role("button", name="Pause").click()
        expect(card).to_have_attribute("data-status", "paused")
        assert aria2.only()["status"] == "paused"
        page.screenshot(path=tmp_path / "aria2.png")

        card.get_by_role("button", name="Resume").click()
        expect(card).to_have_attribute("data-status", "running")
        expect(amount).not_to_have_text(amount.inner_text())
        card.get_by_role("button", name="Stop").click()
        expect(card).to_have_attribute("data-status", "cancelled")
    assert aria2.only()["status"] == "removed"


def test_a_paused_download_that_aria2_forgets_when_it_is_stopped_was_stopped(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    job = rock.until(rock.start("aria2", address=f"{site}/large.bin"), has_begun)
    gid = aria2.only()["gid"]
    rock.ask(job, "pause")
    paused = rock.until(job, lambda job: job["status"] == "paused")

    assert rock.stop(paused)["status"] == "cancelled"
    gone = aria2.ask("tellStatus", gid, ["status"])
    assert gone == f"GID {gid} is not found" or gone == {"status": "removed"}
    assert aria2.ask("tellWaiting", 0, 10) == []


def test_a_file_that_is_not_there_fails_in_aria2_s_words(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    ended = rock.end(rock.start("aria2", address=f"{site}/missing.bin"))

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "backend_failed"
    assert "not found" in ended["error"]["message"].lower()


def test_a_download_that_a_restart_of_aria2_loses_has_failed(
    rock: ProgRock, aria2: Aria2, site: str
) -> None:
    job = rock.until(rock.start("aria2", address=f"{site}/large.bin"), has_begun)

    aria2.stop()
    rock.until(job, lambda job: not job["reachable"])
    aria2.start(rock.stack)
    ended = rock.end(job)

    assert ended["status"] == "failed"
    assert ended["error"] == {
        "code": "gone",
        "message": "Download with aria2 no longer knows this job.",
    }


def test_an_address_that_is_not_of_the_web_is_refused(rock: ProgRock) -> None:
    order = {"backend": "aria2", "params": {"address": "ftp://127.0.0.1/secret"}}

    answer = rock.client.post("/jobs", json=order)

    assert answer.status_code == 422
