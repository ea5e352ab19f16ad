"""One fault after the other: inject it, wait until all is well, check in quiet."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import uvloop

from .house import House, house
from .kinds import Fault
from .ledger import Breach
from .watchers import Watcher

JOBS = 50
QUIET_S = 0.8
FRESH_S = 0.7
START_S = 30
LOOK_S = 0.02
END_S = 60
MIN_SEEN = 50  # pauses between polls in each quiet time; 150 is usual
NO_FAULT = "none"


@dataclass(slots=True)
class Result:
    """The results of one kind of fault, over all its injections."""

    fault: str
    injections: int = 0
    worst_gap_ms: float = 0
    worst_first_update_ms: float = 0
    breaches: dict[Breach, int] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The results of a whole run."""

    seed: int
    results: list[Result]
    jobs: int = 0
    breaches: list[str] = field(default_factory=list)


def run_now(
    seed: int, faults: Sequence[Fault], injections: int, tell: Callable[[str], None]
) -> Report:
    """Run on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(seed, faults, injections, tell))


class UnwellError(Exception):
    """The system has not recovered, so the run cannot go on."""


async def run(
    seed: int, faults: Sequence[Fault], injections: int, tell: Callable[[str], None]
) -> Report:
    """Inject so many faults, all kinds equally often, in an order given by the seed."""
    results = {fault.name: Result(fault.name) for fault in faults}
    async with house(seed) as here, _inhabited(here):
        await _well(here, START_S)
        for number, fault in enumerate(_order(here.rng, faults, injections), 1):
            known = len(here.ledger.breaches)
            await _inject(here, fault, results[fault.name])
            tell(f"{number:4}  {fault.name}")
            for breach in here.ledger.breaches[known:]:
                tell(": ".join(breach))
        here.ledger.fault = NO_FAULT
        await _let_all_end(here, injections)
    return _report(here, seed, [*results.values(), Result(NO_FAULT)])


def _order(rng: random.Random, faults: Sequence[Fault], injections: int) -> list[Fault]:
    """Each kind comes once before any comes again."""
    order: list[Fault] = []
    while len(order) < injections:
        order += rng.sample(faults, len(faults))
    return order[:injections]


@asynccontextmanager
async def _inhabited(here: House) -> AsyncIterator[None]:
    """The crowd watches its jobs, and the recorder records the channel."""
    async with asyncio.TaskGroup() as tasks:
        recording = tasks.create_task(here.recorder.record())
        holding = tasks.create_task(here.crowd.hold(JOBS))
        yield
        await holding
        recording.cancel()


async def _inject(here: House, fault: Fault, result: Result) -> None:
    here.ledger.fault = fault.name
    here.crowd.forget_the_ended()
    begin = monotonic()
    await fault.inject(here)
    first_ms = await _first_updates_ms(here, fault.max_first_update_ms)
    await _well(here, fault.max_unwell_s)
    await _quiet(here)
    _measure(here, fault, result, begin, first_ms)


def _measure(
    here: House, fault: Fault, result: Result, begin: float, first_ms: float
) -> None:
    """Include gaps that began later: an update may still have been on its way."""
    end = monotonic()
    gap_ms = 1000 * max(w.heard.worst_gap_s(begin, end) for w in here.crowd.watchers())
    result.injections += 1
    result.worst_gap_ms = max(result.worst_gap_ms, gap_ms)
    result.worst_first_update_ms = max(result.worst_first_update_ms, first_ms)
    if first_ms > fault.max_first_update_ms:
        here.ledger.breach("late", f"{first_ms:.0f} ms from repair to first update")
    if fault.max_gap_ms and gap_ms > fault.max_gap_ms:
        here.ledger.breach("late", f"{gap_ms:.0f} ms without an update")


async def _first_updates_ms(here: House, max_ms: int) -> float:
    """The time until all watchers have an update; waits at most twice `max_ms`."""
    repaired = monotonic()
    waiting = [w for w in here.crowd.watchers() if w.outcome == "watching"]
    deadline = repaired + 2 * max_ms / 1000
    while monotonic() < deadline:
        heard = [w.heard.first_after(repaired) for w in waiting]
        if all(heard):
            return 1000 * max((at - repaired for at in heard if at), default=0)
        await asyncio.sleep(LOOK_S)
    return 1000 * (deadline - repaired)


async def _well(here: House, max_s: float) -> None:
    """Wait until all runs, and every job's updates reach both of its watchers."""
    try:
        async with asyncio.timeout(max_s):
            await here.ready()
            while not _all_is_well(here):
                await asyncio.sleep(LOOK_S)
    except TimeoutError as error:
        raise UnwellError(_what_ails(here)) from error


def _all_is_well(here: House) -> bool:
    enough = here.crowd.size >= JOBS - 2  # the others are just being replaced
    return enough and not _ailing(here)


def _ailing(here: House) -> list[Watcher]:
    """The watchers without a recent update, or whose job's backend is unreachable."""
    fresh = monotonic() - FRESH_S
    return [
        w
        for w in here.crowd.watchers()
        if w.outcome == "watching"
        and (w.heard.last <= fresh or not (w.last and w.last.reachable))
    ]


def _what_ails(here: House) -> str:
    """All facts that can explain why the system does not recover."""
    told = "\n".join(f"{w.transport} {w.outcome} {w.last}" for w in _ailing(here))
    breaches = "\n".join(map(str, here.ledger.breaches))
    return f"{here.crowd.size} jobs are held; silent:\n{told}\n{breaches}\n{here.log()}"


async def _quiet(here: House) -> None:
    """Check the polls while there is no fault."""
    jobs = [job for job, held in here.crowd.held.items() if held.is_under_way]
    begin = monotonic()
    await asyncio.sleep(QUIET_S)
    for fault in here.proxy.polls.faults(jobs, begin, monotonic()):
        here.ledger.breach("poll", fault)


async def _let_all_end(here: House, injections: int) -> None:
    """Wait for the end of every job, also of jobs without a watcher."""
    seen = here.proxy.polls.pauses_seen
    if seen < MIN_SEEN * injections:
        here.ledger.breach("poll", f"only {seen} pauses between polls were seen")
    await here.ready()
    here.crowd.leave()
    deadline = monotonic() + END_S
    while left := await here.crowd.unfinished():
        if monotonic() > deadline:
            here.ledger.breach("lost", f"{left} jobs have not ended.")
            return
        await asyncio.sleep(LOOK_S * 10)


def _report(here: House, seed: int, results: list[Result]) -> Report:
    for result in results:
        result.breaches = dict(here.ledger.count(result.fault))
    sentences = [": ".join(breach) for breach in here.ledger.breaches]
    return Report(seed, results, here.crowd.started, sentences)
