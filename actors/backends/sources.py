"""Takes values out of an answer that are remembered for a job: names and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.limits import MAX_KEPT_CHARACTERS, MAX_REF_CHARACTERS
from actors.recipes.calls import Every, Source
from actors.recipes.template import Values

from . import BackendError
from .answer import HttpAnswer
from .client import Client
from .found import find


class Keeper:
    """Finds what a recipe keeps; `addresses` are the values that paths begin with."""

    def __init__(self, client: Client, addresses: set[str]) -> None:
        self._client = client
        self._addresses = addresses

    def kept(
        self, call: Every, values: Values, answer: HttpAnswer, said: Any
    ) -> dict[str, Any]:
        """Return what is kept of an answer to `call`; raises BackendError."""
        keep: Mapping[str, Source] = getattr(call, "keep", {})
        found = {name: find(where, answer, said) for name, where in keep.items()}
        return {
            name: self._checked(call, values, name, value)
            for name, value in found.items()
            if value is not None
        }

    def ref(self, call: Every, values: Values, value: Any) -> str | None:
        """Return a new name of the job, checked; None if the answer has none."""
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return None
        name = str(value)
        if "ref" in self._addresses:
            name = self._client.own_path(call, values, name)
        if len(name) > MAX_REF_CHARACTERS:
            raise _not_kept("the job's next name", "short enough")
        return name

    def _checked(self, call: Every, values: Values, name: str, value: Any) -> Any:
        if not isinstance(value, str | int | float):
            raise _not_kept(name, "a text nor a number")
        if len(str(value)) > MAX_KEPT_CHARACTERS:
            raise _not_kept(name, "short enough")
        if name in self._addresses:
            return self._client.own_path(call, values, str(value))
        return value


def _not_kept(name: str, reason: str) -> BackendError:
    return BackendError(
        "unexpected_answer", f"What the service gives as {name} is not {reason}."
    )
