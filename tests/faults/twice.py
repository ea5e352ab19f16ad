"""The worker, which gets each message twice while a certain file exists.

Otherwise `dramatiq tests.faults.twice` is `dramatiq actors`. The copy is enqueued
just before its original is processed, so both are processed side by side.
"""

from __future__ import annotations

import os
from typing import Any

from dramatiq import Message
from dramatiq.middleware import Middleware

import actors  # noqa: F401  # registers the actors
from actors.broker import broker


class Twice(Middleware):
    """Enqueues a copy of each message before its processing, and notes that."""

    def __init__(self, while_there: str) -> None:
        self._while_there = while_there

    def before_process_message(self, broker: Any, message: Any) -> None:
        if "is_copy" not in message.options and self._is_noted():
            broker.enqueue(_copy(message))

    def _is_noted(self) -> bool:
        try:
            file = os.open(self._while_there, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return False
        with os.fdopen(file, "ab") as notes:
            notes.write(b".")
        return True


def _copy(message: Any) -> Message[Any]:
    options = {k: v for k, v in message.options.items() if k != "eta"}
    copied: Message[Any] = message.copy(options={**options, "is_copy": True})
    return copied


broker.add_middleware(Twice(os.environ["FAULTS_TWICE_WHILE"]))
