"""Copies by a real rclone, through the whole of ProgRock."""

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
from .progrock import Job, ProgRock, progrock, proved

USER, PASSWORD = "ann", "a password of rclone's"
LIMIT = "60M"  # bytes in a second
SMALL, LARGE = 40_000_000, 400_000_000


class Rclone:
    """An rclone with two remotes, which keeps nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        self.depot, self.backup = folder / "depot", folder / "backup"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: Process | None = None

    def start(self, stack: Stack) -> None:
        """Start it; returns as soon as it answers."""
        command = [
            *("rclone", "rcd", f"--rc-addr={self.url.removeprefix('http://')}"),
            *(f"--rc-user={USER}", f"--rc-pass={PASSWORD}", f"--bwlimit={LIMIT}"),
            "--multi-thread-streams=0",
        ]
        remotes = {"DEPOT": self.depot, "BACKUP": self.backup}
        environ = {
            f"RCLONE_CONFIG_{name}_{key}": value
            for name, folder in remotes.items()
            for key, value in (("TYPE", "alias"), ("REMOTE", str(folder)))
        }
        assignments = [f"{name}={value}" for name, value in environ.items()]
        self._process = stack.start(["env", *assignments, *command], self.depot)
        wait_for(self._answers, self._process)

    def stop(self) -> None:
        assert self._process is not None
        self._process.end()

    def ask(self, path: str, **params: Any) -> Any:
        said = httpx.post(
            f"{self.url}/{path}", json=params, auth=(USER, PASSWORD), trust_env=False
        )
        return said.json()

    def copies(self) -> list[Any]:
        """Its jobs that are copies; each question is a job of rclone's, too."""
        numbers = self.ask("job/list")["jobids"]
        jobs = [self.ask("job/status", jobid=number) for number in numbers]
        return [job for job in jobs if not job.get("group", "job/").startswith("job/")]

    def _answers(self) -> bool:
        try:
            return "pid" in self.ask("core/pid")
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProgRock, Rclone]]:
    if shutil.which("rclone") is None:
        missing("rclone")
    rclone = Rclone(tmp_path_factory.mktemp("remotes"))
    for name, size in (("small", SMALL), ("large", LARGE)):
        (rclone.depot / name).mkdir(parents=True)
        with (rclone.depot / name / "file.bin").open("wb") as file:
            file.truncate(size)
    environ = {"RCLONE_USER": USER, "RCLONE_PASSWORD": PASSWORD}
    with progrock("rclone", RCLONE_URL=rclone.url, **environ) as ours:
        yield ours, rclone


@pytest.fixture
def rclone(ours: tuple[ProgRock, Rclone]) -> Iterator[Rclone]:
    """An rclone that has no jobs yet, and a backup without files."""
    rock, rclone = ours
    shutil.rmtree(rclone.backup, ignore_errors=True)
    rclone.backup.mkdir()
    rclone.start(rock.stack)
    yield rclone
    rclone.stop()


@pytest.fixture
def rock(ours: tuple[ProgRock, Rclone]) -> ProgRock:
    return ours[0]


def copy(rock: ProgRock, folder: str) -> Job:
    return rock.start("rclone", source=f"depot:{folder}", target="backup:")


def has_begun(job: Job) -> bool:
    return bool(job["status"] == "running" and job["done"])


def test_a_copy_is_followed_in_bytes_to_its_end(rock: ProgRock, rclone: Rclone) -> None:
    told = rock.told(copy(rock, "small"), lambda job: job["finished"])

    ended = told[-1]
    assert (ended["status"], ended["progress"]) == ("succeeded", 100)
    assert (ended["done"], ended["total"], ended["unit"]) == (SMALL, SMALL, "bytes")
    assert any(0 < (each["progress"] or 0) < 100 for each in told)
    assert any(each["message"] == "file.bin" for each in told)
    assert (rclone.backup / "file.bin").stat().st_size == SMALL


def test_the_recipe_is_proved(rclone: Rclone) -> None:
    environ = {"RCLONE_USER": USER, "RCLONE_PASSWORD": PASSWORD}
    said = proved("rclone", "source=depot:large", RCLONE_URL=rclone.url, **environ)

    assert "holds     cancel" in said
    assert PASSWORD not in said


def test_a_copy_is_stopped_and_rclone_confirms_it(
    rock: ProgRock, rclone: Rclone
) -> None:
    job = rock.until(copy(rock, "large"), has_begun)

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert ended["done"] < LARGE
    [told] = rclone.copies()
    assert (told["finished"], told["error"]) == (True, "context canceled")
    assert not (rclone.backup / "file.bin").exists()


def test_a_copy_is_seen_on_the_page_and_stopped_by_its_button(
    rock: ProgRock, rclone: Rclone, tmp_path: Path
) -> None:
    with page_at(rock.stack.url) as page:
        start(page, "rclone", source="depot:large", target="backup:")
        card = card_of(page)
        amount = card.locator("[data-field=amount]")
        expect(amount).to_have_text(re.compile(r"^[\d.]+ MB of 400 MB$"))
        before = amount.inner_text()
        expect(amount).not_to_have_text(before)
        page.screenshot(path=tmp_path / "rclone.png")

        card.get_by_role("button", name="Stop").click()

        expect(card).to_have_attribute("data-status", "cancelled")
    [told] = rclone.copies()
    assert (told["finished"], told["error"]) == (True, "context canceled")
    assert not (rclone.backup / "file.bin").exists()


def test_a_folder_that_is_not_there_fails_in_rclone_s_words(
    rock: ProgRock, rclone: Rclone
) -> None:
    ended = rock.end(copy(rock, "missing"))

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "backend_failed"
    assert "directory not found" in ended["error"]["message"]


def test_a_job_that_a_restart_of_rclone_loses_has_failed(
    rock: ProgRock, rclone: Rclone
) -> None:
    job = rock.until(copy(rock, "large"), has_begun)

    rclone.stop()
    rock.until(job, lambda job: not job["reachable"])
    rclone.start(rock.stack)
    ended = rock.end(job)

    assert ended["status"] == "failed"
    assert ended["error"]["code"] in ("gone", "lost")


def test_another_job_with_the_same_number_is_not_taken_for_ours(
    rock: ProgRock, rclone: Rclone
) -> None:
    first = rock.until(copy(rock, "large"), has_begun)
    rclone.stop()
    rock.until(first, lambda job: not job["reachable"])
    rclone.start(rock.stack)
    rclone.ask(
        "sync/copy", srcFs="depot:large", dstFs="backup:other", _async=True, _group="x"
    )

    ended = rock.end(first)

    assert ended["status"] == "failed"
    assert ended["error"]["code"] in ("gone", "lost")


@pytest.mark.parametrize(
    "source", ["depot:../..", "/etc", "backup:", "depot:a/../../b", ":local:/etc"]
)
def test_a_visitor_cannot_copy_from_elsewhere(
    rock: ProgRock, rclone: Rclone, source: str
) -> None:
    params = {"source": source, "target": "backup:"}
    answer = rock.client.post("/jobs", json={"backend": "rclone", "params": params})

    assert answer.status_code == 422
    assert rclone.copies() == []
