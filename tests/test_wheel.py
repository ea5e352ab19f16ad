"""The wheel, installed elsewhere with the locked versions, is all that is needed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from dev.processes import ROOT, Process, Stack, answers, wait_for
from dev.redis import embedded

LOCK = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]


@dataclass
class Installed:
    """A fresh environment with the wheel in it."""

    wheel: Path
    bin: Path

    def command(self, name: str, *arguments: str) -> list[str]:
        return [str(self.bin / name), *arguments]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("progrock-*.whl")
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    python = str(folder / "venv" / "bin" / "python")
    lock = str(ROOT / "requirements.txt")
    pip(python, "install", "--require-hashes", "--requirement", lock)
    pip(python, "install", "--no-deps", str(wheel))
    return Installed(wheel, folder / "venv" / "bin")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory that is not the checkout."""
    return tmp_path


@pytest.fixture
def stack() -> Iterator[Stack]:
    with embedded() as server, Stack(server.url) as stack:
        yield stack


def pip(python: str, *arguments: str) -> None:
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def start_web(stack: Stack, installed: Installed, directory: Path) -> Process:
    web = stack.start(installed.command("python", "-m", "web"), directory)
    wait_for(lambda: answers(f"{stack.url}/health/ready"), web)
    return web


def start_worker(stack: Stack, installed: Installed, directory: Path) -> Process:
    command = installed.command("dramatiq", "actors", "--processes", "1")
    worker = stack.start(command, directory)
    wait_for(lambda: "ready for action" in worker.log(), worker)
    return worker


def test_it_holds_all_that_is_read_at_run_time(installed: Installed) -> None:
    held = set(zipfile.ZipFile(installed.wheel).namelist())
    files = {
        *(path.relative_to(ROOT) for path in (ROOT / "actors").rglob("*.lua")),
        *(path.relative_to(ROOT) for path in (ROOT / "actors").rglob("*.toml")),
        *(path.relative_to(ROOT) for path in (ROOT / "actors").rglob("*.py")),
        *(path.relative_to(ROOT) for path in (ROOT / "web").rglob("*.py")),
        *("web" / path.relative_to(ROOT) for path in (ROOT / "templates").iterdir()),
        *("web" / path.relative_to(ROOT) for path in (ROOT / "static").iterdir()),
    } - {path.relative_to(ROOT) for path in ROOT.rglob("ruff.toml")}

    assert {str(path) for path in files} - held == set()
    assert {name.partition("/")[0] for name in held} == {
        *("actors", "command", "web", "demo"),
        f"progrock-{PROJECT['version']}.dist-info",
    }


def test_one_job_runs_to_its_end(
    installed: Installed, stack: Stack, elsewhere: Path
) -> None:
    demo = stack.start(installed.command("python", "-m", "demo"), elsewhere)
    wait_for(lambda: answers(f"{stack.demo_url}/health"), demo)
    start_worker(stack, installed, elsewhere)
    start_web(stack, installed, elsewhere)

    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        page = client.get("/", headers={"Accept": "text/html"})
        script = client.get("/static/job-progress.js")
        order = {"backend": "render", "params": {"width": 64, "height": 48}}
        job = client.post("/jobs", json=order).json()
        deadline = time.monotonic() + 20
        while not job["finished"]:
            assert time.monotonic() < deadline
            job = client.get(f"/jobs/{job['job']}").json()
        picture = client.get(job["result"]["url"])

    assert page.status_code == script.status_code == 200
    assert "<form" in page.text
    assert (job["status"], job["progress"]) == ("succeeded", 100)
    assert picture.content.startswith(b"\x89PNG\r\n")


def test_importing_it_elsewhere_does_nothing(
    installed: Installed, elsewhere: Path
) -> None:
    ran = subprocess.run(
        installed.command("python", "-c", "import actors, web"),
        cwd=elsewhere,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_worker_is_ours_beside_another_web(
    installed: Installed, stack: Stack, elsewhere: Path
) -> None:
    (elsewhere / "web").mkdir()
    (elsewhere / "web" / "__init__.py").write_text("")

    worker = start_worker(stack, installed, elsewhere)

    assert "ProgRock works for these backends: render" in worker.log()


def test_another_actors_is_not_taken_for_ours_in_silence(
    installed: Installed, stack: Stack, elsewhere: Path
) -> None:
    (elsewhere / "actors.py").write_text("")
    theirs = start_worker(stack, installed, elsewhere)
    beside = stack.start(installed.command("python", "-m", "web"), elsewhere)

    assert beside.wait() != 0
    assert str(elsewhere / "actors.py") in beside.log()
    assert "ProgRock works" not in theirs.log()
    web = start_web(stack, installed, installed.bin)
    wait_for(lambda: "No ProgRock worker is there" in web.log(), web)

    command = installed.command("dramatiq", "actors", "--path", "--processes", "1")
    ours = stack.start(command, elsewhere)
    wait_for(lambda: "A ProgRock worker is there again" in web.log(), ours)


def test_the_lock_fits_the_project() -> None:
    locked = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", LOCK))

    for line in DIRECT:
        wanted = Requirement(line)
        assert locked[wanted.name.lower()] in wanted.specifier


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK


def test_the_image_is_made_from_the_lock() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert "--require-hashes --requirement requirements.txt" in dockerfile
    named = {line.strip("!") for line in (ROOT / ".dockerignore").read_text().split()}
    for source in re.findall(r"(?m)^COPY (\S+)", dockerfile):
        assert source in named
        assert (ROOT / source).exists()
