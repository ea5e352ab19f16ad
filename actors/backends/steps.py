"""Reads the steps of a job, and how far the job is by them."""

from __future__ import annotations

from typing import Any

from actors.limits import MAX_STEPS, MAX_TITLE_CHARACTERS
from actors.recipes.quantity import amount
from actors.recipes.states import States
from actors.recipes.tables import StatesTable, Steps
from actors.report import Step
from actors.status import Status

_DONE = 100.0


class StepsReader:
    """Reads steps as a recipe tells; without words of their own, by the job's."""

    def __init__(self, rule: Steps, words_of_job: StatesTable) -> None:
        self._rule = rule
        words = rule.states or words_of_job
        pairs = [(word, ours) for ours, each in words.items() for word in each]
        self._states = States(rule.state, pairs, {}, rule.other)

    def read(self, said: Any) -> tuple[tuple[Step, ...] | None, float | None]:
        """Return the steps, and the weighted mean of their percentages."""
        items = self._rule.items.find(said)
        if not isinstance(items, list) or not items:
            return None, None
        items = items[:MAX_STEPS]
        steps = tuple(self._step(item, number) for number, item in enumerate(items, 1))
        weights = [self._weight(item) for item in items]
        if not sum(weights):
            return steps, None
        shares = (w * (s.progress or 0) for w, s in zip(weights, steps, strict=True))
        return steps, sum(shares) / sum(weights)

    def _step(self, item: Any, number: int) -> Step:
        title = self._rule.title.find(item) if self._rule.title else None
        named = isinstance(title, str | int) and not isinstance(title, bool) and title
        status = self._states.find(item) if self._rule.state else None
        return Step(
            title=str(title)[:MAX_TITLE_CHARACTERS] if named else f"Step {number}",
            status=status,
            progress=self._progress(item, status),
        )

    def _progress(self, item: Any, status: Status | None) -> float | None:
        if status is Status.SUCCEEDED:
            return _DONE
        rule = self._rule
        percent = amount(rule.percent.find(item)) if rule.percent else None
        if percent is None:
            done = amount(rule.done.find(item)) if rule.done else None
            total = amount(rule.total.find(item)) if rule.total else None
            percent = done * _DONE / total if done is not None and total else None
        return None if percent is None else round(min(percent, _DONE), 1)

    def _weight(self, item: Any) -> int | float:
        """A step without a weight counts as one."""
        weight = amount(self._rule.weight.find(item)) if self._rule.weight else 1
        return 1 if weight is None else weight
