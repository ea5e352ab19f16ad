"""Errors to Sentry, if `SENTRY_DSN` says where they go: each line of level ERROR.

Nothing else is watched: no poll, request or query is a transaction or a crumb. No value
of a variable is sent, for it may be a token.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actors.settings import SettingError

from .logs import ids_of
from .release import release

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


def report_errors(kind: str, environ: Mapping[str, str] = os.environ) -> None:
    """Report this process's errors; raises SettingError if the SDK is not installed."""
    if not environ.get("SENTRY_DSN"):
        return
    try:
        import sentry_sdk
        from sentry_sdk.integrations import atexit, dedupe, excepthook, threading
        from sentry_sdk.integrations.logging import LoggingIntegration
    except ImportError as error:
        raise SettingError(
            "SENTRY_DSN is set, but Sentry's SDK is not installed: "
            "pip install 'progrock[sentry]'."
        ) from error
    sentry_sdk.init(
        release=f"progrock@{release()}",
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            atexit.AtexitIntegration(callback=_say_nothing),
            dedupe.DedupeIntegration(),
            excepthook.ExcepthookIntegration(),
            threading.ThreadingIntegration(),
        ],
        traces_sample_rate=0,
        send_default_pii=False,
        include_local_variables=False,
        before_send=_with_ids,
    )
    sentry_sdk.set_tag("process", kind)


def _with_ids(event: Event, hint: Hint) -> Event:
    record = hint.get("log_record")
    if isinstance(record, logging.LogRecord):
        tags: Any = event.setdefault("tags", {})
        tags.update(ids_of(record))
    return event


def _say_nothing(pending: int, timeout: float) -> None:
    """Sentry would print that it waits, which is no line of our log."""
