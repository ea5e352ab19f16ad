"""Visitors, and the jobs that are theirs."""

from __future__ import annotations

from quart import current_app, g, request

from .jobs import Jobs
from .origins import Origins
from .visitors import Visitor, Visitors

__all__ = [
    "current_jobs",
    "current_origins",
    "current_visitor",
    "current_visitors",
]


def current_jobs() -> Jobs:
    """The jobs of the app that serves this request."""
    found = current_app.extensions["jobs"]
    assert isinstance(found, Jobs)
    return found


def current_origins() -> Origins:
    """The origins that the app allows."""
    found = current_app.extensions["origins"]
    assert isinstance(found, Origins)
    return found


def current_visitors() -> Visitors:
    """The visitors that the app knows."""
    found = current_app.extensions["visitors"]
    assert isinstance(found, Visitors)
    return found


def current_visitor() -> Visitor:
    """The visitor of this request; a new one is given a cookie with the answer."""
    if "visitor" not in g:
        g.visitor = current_visitors().visitor(request)
    found = g.visitor
    assert isinstance(found, Visitor)
    return found
