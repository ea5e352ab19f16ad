"""What an answer says beside its JSON: its HTTP status, its headers, its whole body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import BackendError
from .answer import HttpAnswer
from .documents import document

_NAMED = re.compile(r"\b(?:(?P<call>[\w-]+)\.)?_(?:http|body)\b")


class Facts:
    """Puts `_http` and `_body` beside the JSON of answers, if expressions name them.

    So a recipe that does not name them pays nothing.
    """

    def __init__(self, expressions: Iterable[str], calls: Iterable[str] = ()) -> None:
        named = [match for text in expressions for match in _NAMED.finditer(text)]
        calls = set(calls)
        self._calls = {m["call"] if m["call"] in calls else "" for m in named}

    def wanted(self, call: str = "") -> bool:
        """True if an expression names a fact of this call's answer."""
        return call in self._calls

    def document(self, answer: HttpAnswer, call: str = "") -> Any:
        """Return an answer as expressions read it; raises a transient BackendError."""
        return with_facts(answer) if self.wanted(call) else document(answer)


def with_facts(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON with its facts. A body that is no JSON is a text."""
    try:
        said = document(answer)
    except BackendError:
        said = answer.body.decode("utf-8", "replace")
    headers = {name.lower(): text for name, text in answer.headers.items()}
    http = {"status": answer.status, "headers": headers}
    own = said if isinstance(said, dict) else {}
    return {**own, "_http": http, "_body": said}
