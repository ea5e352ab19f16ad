"""The feed on the wire: one hub, and a stream for each client."""

from __future__ import annotations

from quart import current_app

from .hub import Hub

__all__ = ["current_hub"]


def current_hub() -> Hub:
    """The hub of the app that serves this request."""
    found = current_app.extensions["hub"]
    assert isinstance(found, Hub)
    return found
