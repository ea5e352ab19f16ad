"""The benchmark finishes on any machine and loses no measurement."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, strategies as st

import bench.__main__ as command
from bench import polling, watch
from bench.attempts import Attempts
from bench.runs import Figures
from bench.search import most_on_time

ON_TIME_MS, LATE_MS = 200, 300
MAX_RUNS = 40


def figures(jobs: int, gap_ms: float) -> Figures:
    return Figures("a load", jobs, 1, [gap_ms], 100, {"worker": 50})


class Machine:
    """Keeps loads up to a threshold on time, and counts its runs."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self.runs = 0

    def run(self, jobs: int) -> Figures | None:
        self.runs += 1
        return figures(jobs, ON_TIME_MS if jobs <= self._threshold else LATE_MS)


@given(threshold=st.integers(0, 100_000), first=st.sampled_from([1, 300, 1500]))
def test_the_search_ends_a_tenth_below_the_threshold_or_closer(
    threshold: int, first: int
) -> None:
    machine = Machine(threshold)

    most = most_on_time(machine.run, first)

    carried = most.carried.jobs if most.carried else 0
    assert carried <= threshold < most.too_many
    assert threshold - carried <= carried / 10
    assert machine.runs <= MAX_RUNS


def test_a_machine_that_keeps_no_job_on_time_carries_none() -> None:
    most = most_on_time(Machine(0).run, 300)

    assert most.carried is None
    assert most.too_many == 1


def test_a_load_that_cannot_be_measured_is_too_many_at_once() -> None:
    tried = []

    def run(jobs: int) -> Figures | None:
        tried.append(jobs)
        return figures(jobs, ON_TIME_MS) if jobs <= 250 else None

    assert most_on_time(run, 300).carried is not None
    assert len(tried) == len(set(tried))


def test_one_late_run_is_forgiven() -> None:
    gaps = {300: [ON_TIME_MS, LATE_MS]}

    def run(jobs: int) -> Figures | None:
        return figures(jobs, gaps.get(jobs, [LATE_MS]).pop())

    most = most_on_time(run, 300)

    assert most.carried is not None
    assert most.carried.jobs == 300


def test_a_measurement_that_fails_is_named_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        log = "It ended:\n" + "A line of a log.\n" * 1000 + "KeyError: 'REDIS_URL'"
        raise ExceptionGroup("some tasks failed", [AssertionError(log)])

    attempts = Attempts()

    assert attempts.run("a failure", fail) is None
    assert attempts.run("a sum", sum, [1, 2]) == 3
    assert attempts.failed == [
        "a failure: AssertionError … It ended: … KeyError: 'REDIS_URL'"
    ]
    assert capsys.readouterr().out == f"Not measured: {attempts.failed[0]}\n"


def test_jobs_that_do_not_all_start_are_said_plainly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "START_S", 0.1)

    with pytest.raises(TimeoutError, match=r"Only 0 of 3 jobs"):
        asyncio.run(watch_a_silent_server(watch.Load(jobs=3, sockets=2)))


async def watch_a_silent_server(load: watch.Load) -> None:
    app = web.Application()
    app.router.add_get("/", listen_only)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        await watch.watch(load, url, settle_s=0, count_s=0, meter=nullcontext())


async def listen_only(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


@pytest.fixture
def broken_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be measured on it."""

    def fail(*_: object) -> None:
        raise ConnectionError("Nothing listens there.")

    def late(*_: object) -> None:
        raise TimeoutError("No job started.")

    for name in ("measure_stock", "measure_idle_percent", "measure_first_frame_ms"):
        monkeypatch.setattr(polling, name, fail)
    monkeypatch.setattr(polling, "measure_progrock", late)
    monkeypatch.setattr(polling, "GAP_PICTURE", tmp_path / "gap.svg")
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["bench", "polling"])


@pytest.mark.usefixtures("broken_machine")
def test_on_a_machine_that_can_do_nothing_the_benchmark_says_so_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main()

    assert ended.value.code == 1
    found = json.loads((tmp_path / "results.json").read_text())["polling"]
    assert found["loads"] == []
    assert set(found["ratios"].values()) == {None}
    for search in found["most_jobs_on_time"].values():
        assert search == {"carried": None, "too_many": 1}
    assert found["idle_worker_percent_of_a_core"] is None
    assert "HTTP, 500 jobs: TimeoutError … No job started." in found["not_measured"]
    assert capsys.readouterr().out.count("none (not even 1)") == 4


def test_the_results_of_one_part_are_kept_if_the_next_part_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure() -> dict[str, object]:
        return {"not_measured": []}

    def break_off() -> dict[str, object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "PARTS", {"first": measure, "second": break_off})
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["bench"])

    with pytest.raises(KeyboardInterrupt):
        command.main()

    assert "first" in json.loads((tmp_path / "results.json").read_text())
