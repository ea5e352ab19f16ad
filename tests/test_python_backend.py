"""Classes in Python as backends: their errors end nothing, their time is limited."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from dramatiq.brokers.stub import StubBroker

from actors import (
    AbsentError,
    Action,
    Adoptable,
    BackendError,
    BytesFile,
    Handle,
    LostAnswerError,
    ParamsError,
    PythonBackend,
    Report,
    ResultFile,
    Setup,
    Started,
    Status,
    opened,
)
from actors.backends.guarded import Guarded
from actors.store import Store

from .support.kitchen import working

SECRET = "a key of the pan's"
JOB = Handle("egg")
RUNNING = Report(status=Status.RUNNING, done=1, total=4)
DONE = Report(status=Status.SUCCEEDED, result={"eggs": 4})


class Pan(PythonBackend):
    """Does as its test says."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.on_start: Callable[[], Any] = lambda: Started("egg")
        self.on_report: Callable[[], Any] = lambda: RUNNING
        self.on_cancel: Callable[[], Any] = lambda: None
        self.on_file: Callable[[], Any] = lambda: BytesFile("text/plain", b"an egg")
        self.is_closed = False

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        started: Started = await said(self.on_start)
        return started

    async def report(self, job: Handle) -> Report:
        report: Report = await said(self.on_report)
        return report

    async def cancel(self, job: Handle) -> None:
        await said(self.on_cancel)

    def result(self, job: Handle) -> AbstractAsyncContextManager[ResultFile]:
        return opened(self.on_file())

    async def close(self) -> None:
        self.is_closed = True


class Open(Pan):
    """Says which of its jobs may be adopted."""

    adopt_title = "Egg"
    on_list: Callable[[], Any] = staticmethod(lambda: [Adoptable("egg", "An egg")])

    async def adoptable(self) -> Sequence[Adoptable]:
        found: Sequence[Adoptable] = await said(self.on_list)
        return found


class Safe(Pan):
    starts_once = False


async def said(answer: Callable[[], Any]) -> Any:
    found = answer()
    return await found if asyncio.iscoroutine(found) else found


def fails(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


async def hangs() -> None:
    await asyncio.Event().wait()


def masked(text: str) -> str:
    return text.replace(SECRET, "${PAN_KEY}")


def setup(timeout_s: float = 5) -> Setup:
    return Setup(
        "pan",
        "Pan",
        unit="eggs",
        timeout_s=timeout_s,
        poll_interval_ms=50,
        idle_interval_ms=50,
    )


Fry = tuple[Pan, Guarded]


@pytest.fixture
async def fry() -> AsyncIterator[Callable[..., Fry]]:
    """Make a pan, and the backend around it."""
    made: list[Guarded] = []

    def fry(kind: type[Pan] = Pan, timeout_s: float = 5) -> Fry:
        pan = kind(setup(timeout_s))
        made.append(Guarded(pan, masked))
        return pan, made[-1]

    yield fry
    for backend in made:
        await backend.close()


async def answer(backend: Guarded) -> Report | BackendError:
    [found] = await backend.reports([JOB])
    return found


async def start_error(backend: Guarded) -> BackendError:
    with pytest.raises(BackendError) as refused:
        await backend.start("job", {})
    return refused.value


Frying = Callable[..., Fry]


async def test_a_report_has_the_unit_of_the_recipe(fry: Frying) -> None:
    _, backend = fry()

    report = await answer(backend)

    assert isinstance(report, Report)
    assert (report.done, report.unit, report.percentage) == (1, "eggs", 25)
    assert await backend.start("job", {}) == Started("egg", {})


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), asyncio.CancelledError(), KeyError()]
)
async def test_an_unforeseen_error_is_a_missed_call(
    fry: Frying, error: BaseException
) -> None:
    pan, backend = fry()
    pan.on_report = pan.on_cancel = fails(error)

    missed = await answer(backend)
    with pytest.raises(BackendError) as not_sent:
        await backend.send(Action.CANCEL, JOB)

    assert isinstance(missed, BackendError)
    assert (missed.code, missed.permanent) == ("unexpected_answer", False)
    assert not not_sent.value.permanent
    pan.on_report = lambda: DONE
    assert await answer(backend) != missed


async def test_its_cause_is_logged_once_without_secrets(
    fry: Frying, caplog: pytest.LogCaptureFixture
) -> None:
    pan, backend = fry()
    pan.on_report = fails(ValueError(f"no egg for {SECRET}"))

    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            await answer(backend)

    assert caplog.text.count("no egg for ${PAN_KEY}") == 1
    assert "Traceback" in caplog.text
    assert SECRET not in caplog.text


async def test_a_call_that_hangs_is_a_time_out(fry: Frying) -> None:
    pan, backend = fry(timeout_s=0.05)
    pan.on_report = hangs

    missed = await answer(backend)

    assert isinstance(missed, BackendError)
    assert (missed.code, missed.permanent) == ("timeout", False)


async def test_a_call_that_blocks_holds_up_nobody_else(fry: Frying) -> None:
    blocked, backend = fry(timeout_s=0.1)
    blocked.on_report = lambda: time.sleep(1)
    _, other = fry()
    loop = asyncio.get_running_loop()

    began = loop.time()
    missed = asyncio.create_task(answer(backend))
    await asyncio.sleep(0)
    assert isinstance(await answer(other), Report)
    assert isinstance(await missed, BackendError)
    assert loop.time() - began < 0.9
    blocked.on_report = lambda: RUNNING
    async with asyncio.timeout(5):
        while await answer(backend) != await answer(other):
            pass


async def test_a_start_behind_a_call_that_blocks_was_not_begun(fry: Frying) -> None:
    pan, backend = fry(timeout_s=0.1)
    starts: list[int] = []
    is_blocked, goes_on = threading.Event(), threading.Event()

    def block() -> None:
        is_blocked.set()
        goes_on.wait(5)

    pan.on_report = block
    pan.on_start = lambda: starts.append(1)

    missed = asyncio.create_task(answer(backend))
    assert await asyncio.to_thread(is_blocked.wait, 5)
    error = await start_error(backend)

    goes_on.set()
    assert isinstance(await missed, BackendError)
    assert (error.code, error.permanent) == ("timeout", False)
    pan.on_report = lambda: RUNNING
    async with asyncio.timeout(5):
        while not isinstance(await answer(backend), Report):
            pass
    assert starts == []


@pytest.mark.parametrize(
    "on_start",
    [
        hangs,
        fails(ValueError("no")),
        fails(TimeoutError()),
        fails(ConnectionResetError()),
        fails(LostAnswerError("unreachable", "No answer.")),
        lambda: "egg",
        lambda: Started(""),
        lambda: Started("egg", {"pan": object()}),
    ],
)
async def test_a_start_that_may_have_been_heard_is_not_sent_again(
    fry: Frying, on_start: Callable[[], Any]
) -> None:
    pan, backend = fry(timeout_s=0.2)
    pan.on_start = on_start

    error = await start_error(backend)

    assert (error.code, error.permanent) == ("start_unknown", True)


@pytest.mark.parametrize("on_start", [hangs, fails(ValueError("no"))])
async def test_a_start_that_is_safe_may_be_sent_again(
    fry: Frying, on_start: Callable[[], Any]
) -> None:
    pan, backend = fry(Safe, timeout_s=0.2)
    pan.on_start = on_start

    error = await start_error(backend)

    assert error.code in ("timeout", "unexpected_answer")
    assert not error.permanent


async def test_an_error_that_is_meant_stays_as_it_is(fry: Frying) -> None:
    pan, backend = fry()
    busy = BackendError("busy", "The pan is hot.", retry_after_s=3)
    gone = AbsentError("The pan has no such egg.")
    pan.on_start, pan.on_report = fails(busy), fails(gone)

    assert await start_error(backend) is busy
    assert await answer(backend) is gone


async def test_a_job_that_is_gone_counts_as_cancelled_if_it_was_seen(
    fry: Frying,
) -> None:
    pan, backend = fry()
    pan.on_cancel = fails(AbsentError("The pan has no such egg."))

    await backend.send(Action.CANCEL, JOB)
    with pytest.raises(AbsentError):
        await backend.send(Action.CANCEL, JOB._replace(is_seen=False))


@pytest.mark.parametrize(
    "report",
    [
        "running",
        None,
        Report(status="frying"),  # type: ignore[arg-type]
        Report(status=Status.RUNNING, progress=float("nan")),
        Report(status=Status.RUNNING, done=-1),
        Report(status=Status.RUNNING, total="4"),  # type: ignore[arg-type]
        Report(status=Status.RUNNING, kept={"a": "x" * 501}),
        Report(status=Status.RUNNING, ref=""),
        Report(status=Status.SUCCEEDED, result={"egg": object()}),
        Report(status=Status.SUCCEEDED, result={"egg": "x" * 1_000_000}),
        Report(status=Status.SUCCEEDED, result=["egg"]),  # type: ignore[arg-type]
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_missed_call(
    fry: Frying, report: Any
) -> None:
    pan, backend = fry()
    pan.on_report = lambda: report

    missed = await answer(backend)

    assert isinstance(missed, BackendError)
    assert (missed.code, missed.permanent) == ("unexpected_answer", False)


async def test_a_failure_without_a_reason_gets_one(fry: Frying) -> None:
    pan, backend = fry()
    pan.on_report = lambda: Report(status="failed")  # type: ignore[arg-type]

    report = await answer(backend)

    assert isinstance(report, Report)
    assert report.status is Status.FAILED
    assert report.error
    assert report.error.message == "Pan could not finish it."


async def test_one_call_may_ask_for_many(fry: Frying) -> None:
    class Shelf(Pan):
        batch_size = 3

        async def reports(self, jobs: Any) -> Any:
            return [RUNNING, BackendError("x", "No."), ValueError("no")][: len(jobs)]

    _, backend = fry(Shelf)

    running, refused, missed = await backend.reports([JOB, JOB, JOB])
    assert isinstance(running, Report)
    assert isinstance(refused, BackendError)
    assert isinstance(missed, BackendError)
    assert (refused.code, missed.code) == ("x", "unexpected_answer")
    short = await backend.reports([JOB] * 4)
    assert [each.code for each in short if isinstance(each, BackendError)] == [
        "unexpected_answer"
    ] * 4


async def read(backend: Guarded) -> bytes:
    async with backend.result(JOB) as file:
        return b"".join([part async for part in file.chunks()])


async def test_a_file_is_read_by_one_task(fry: Frying) -> None:
    pan, backend = fry()
    left: list[asyncio.Task[Any] | None] = []

    @asynccontextmanager
    async def result(job: Handle) -> AsyncIterator[ResultFile]:
        async with asyncio.timeout(5):
            entered = asyncio.current_task()
            try:
                yield BytesFile("text/plain", b"an egg")
            finally:
                left.append(entered if entered is asyncio.current_task() else None)

    pan.result = result  # type: ignore[method-assign]

    assert await read(backend) == b"an egg"
    async with backend.result(JOB) as file:
        assert (file.content_type, file.length) == ("text/plain", 6)
    assert len(left) == 2
    assert None not in left


async def test_a_file_that_fails_or_hangs_is_an_error(fry: Frying) -> None:
    class Hanging:
        content_type, length = "text/plain", None

        async def chunks(self) -> AsyncIterator[bytes]:
            yield b"an "
            await hangs()

    pan, backend = fry(timeout_s=0.1)
    pan.on_file = Hanging
    with pytest.raises(BackendError, match="too long"):
        await read(backend)
    pan.on_file = fails(ValueError("no"))
    with pytest.raises(BackendError, match="not understand"):
        await read(backend)
    pan.on_file = fails(BackendError("no_result", "It was eaten."))
    with pytest.raises(BackendError, match="eaten"):
        await read(backend)


async def test_an_error_of_its_reader_is_not_taken_for_the_author_s(
    fry: Frying,
) -> None:
    _, backend = fry()

    with pytest.raises(ZeroDivisionError):
        async with backend.result(JOB):
            raise ZeroDivisionError


async def test_all_is_closed_on_its_own_loop(fry: Frying) -> None:
    pan, backend = fry()
    await answer(backend)

    await backend.close()

    assert pan.is_closed


async def test_jobs_are_not_adopted_unless_it_says_so(fry: Frying) -> None:
    _, backend = fry()

    assert (backend.adopt_title, backend.lists) == (None, False)
    with pytest.raises(ParamsError):
        backend.check_ref("egg")
    with pytest.raises(BackendError):
        await backend.adoptable()


async def test_a_class_says_which_jobs_may_be_adopted(fry: Frying) -> None:
    pan, backend = fry(Open)

    assert backend.lists
    assert await backend.adoptable() == [Adoptable("egg", "An egg")]

    pan.on_list = lambda: [Adoptable("e", "x" * 999)] * 999
    found = await backend.adoptable()
    assert (len(found), len(found[0].title or "")) == (100, 200)


@pytest.mark.parametrize("jobs", [["egg"], [Adoptable("")], None, 7])
async def test_a_list_that_is_none_is_an_error(fry: Frying, jobs: Any) -> None:
    pan, backend = fry(Open)
    pan.on_list = lambda: jobs

    with pytest.raises(BackendError) as error:
        await backend.adoptable()

    assert error.value.code == "unexpected_answer"


async def test_a_worker_takes_a_job_through_its_life(
    fry: Frying, store: Store, redis_url: str
) -> None:
    pan, backend = fry(timeout_s=0.3)
    broker = StubBroker(middleware=[])
    async with working(broker, store, backend, redis_url, 10) as kitchen:
        job = await kitchen.submit()
        await kitchen.until(job, lambda job: job.done == 1)
        pan.on_report = fails(ValueError("no"))
        await kitchen.until(job, lambda job: not job.reachable)
        pan.on_report = lambda: DONE
        ended = await kitchen.end(job)

    assert (ended.status, ended.result) == (Status.SUCCEEDED, {"eggs": 4})


async def test_a_worker_does_not_start_twice_if_no_answer_came(
    fry: Frying, store: Store, redis_url: str
) -> None:
    pan, backend = fry(timeout_s=0.2)
    starts: list[int] = []

    async def start() -> None:
        starts.append(1)
        await hangs()

    pan.on_start = start
    broker = StubBroker(middleware=[])
    async with working(broker, store, backend, redis_url, 10) as kitchen:
        ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == "start_unknown"
    assert starts == [1]
