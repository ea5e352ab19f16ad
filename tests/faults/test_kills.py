"""A worker that is killed during a start: no second job, and none that is lost."""

from __future__ import annotations

from .kills import run

SEED = 2017
ROUNDS = 2  # each kills the worker during a start of each kind of recipe


async def test_a_worker_killed_before_the_note_leaves_no_second_job() -> None:
    tallies = await run(ROUNDS, SEED, lambda line: None)

    for tally in tallies:
        assert tally.kills == ROUNDS
        assert tally.breaches == [], tally.line()
