"""The status of a job out of an answer: words, numbers, flags, or expressions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from actors.status import Status

from .expression import Expression

# If several expressions hold, the first status in this order counts.
ORDER = (
    *(Status.CANCELLED, Status.FAILED, Status.SUCCEEDED, Status.PAUSED),
    *(Status.STOPPING, Status.QUEUED, Status.RUNNING),
)
ELSE = "else"


class States:
    """Finds our status in an answer: `when` first, then the words, `other`, "else"."""

    def __init__(
        self,
        state: Expression | None,
        words: Iterable[tuple[Any, Status]],
        when: Mapping[Status, Expression],
        other: Status | None,
    ) -> None:
        self._state = state
        self._words = {_key(word): status for word, status in words}
        self._other = other
        self._tests = [
            (status, when[status])
            for status in ORDER
            if status in when and when[status].text != ELSE
        ]
        self._else = next((s for s in when if when[s].text == ELSE), None)

    def find(self, document: Any) -> Status | None:
        """Return the status; None if the recipe does not know the answer's state."""
        for status, test in self._tests:
            if test.holds(document):
                return status
        word = self._state.find(document) if self._state else None
        if type(word) is str and word in self._words:  # nearly every answer
            return self._words[word]
        if isinstance(word, str | int | float):
            return self._words.get(_key(word), self._other or self._else)
        return self._else


def _key(word: Any) -> Hashable:
    """In Python True is 1; in JSON it is not."""
    return (bool, word) if isinstance(word, bool) else word


def repeated(words: Iterable[Any]) -> bool:
    """True if a word stands for two statuses."""
    keys = list(map(_key, words))
    return len(set(keys)) < len(keys)
