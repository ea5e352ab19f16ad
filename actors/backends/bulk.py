"""Asking for many jobs in one call: one job's bad item must not blind the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from actors.limits import MAX_HALVINGS
from actors.report import Report

from . import BackendError, Handle

Answers = list[Report | BackendError]
_ABOUT_ITS_CONTENT = ("unexpected_answer", "too_large")


async def ask_in_halves(
    ask: Callable[[Sequence[Handle]], Awaitable[Answers]], jobs: Sequence[Handle]
) -> Answers:
    """Ask for all; if the answer cannot be read, ask for each half, and so on.

    So only the job with the bad item is missed. A backend whose every answer is bad is
    not asked for ever: after MAX_HALVINGS the rest is missed as well.
    """
    answers: dict[str, Report | BackendError] = {}
    waiting, halvings_left = [list(jobs)], MAX_HALVINGS
    while waiting:
        some = waiting.pop()
        refs = [job.ref for job in some]
        try:
            answers.update(zip(refs, await ask(some), strict=True))
        except BackendError as error:
            is_divisible = error.code in _ABOUT_ITS_CONTENT and len(some) > 1
            if is_divisible and halvings_left:
                halvings_left -= 1
                middle = len(some) // 2
                waiting += [some[:middle], some[middle:]]
            else:
                answers.update(dict.fromkeys(refs, error))
    return [answers[job.ref] for job in jobs]
