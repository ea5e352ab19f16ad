"""A gap between updates is found, also if it has not ended."""

from __future__ import annotations

import pytest

from .heard import Heard


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """A watcher with updates at 1, 2, 5 and 6."""
    heard = Heard(1)
    for moment in (2, 5, 6):
        monkeypatch.setattr("tests.faults.heard.monotonic", lambda at=moment: at)
        heard.note()
    return heard


def test_the_first_word_after_a_moment(heard: Heard) -> None:
    assert heard.first_after(2) == 5
    assert heard.first_after(6) is None


def test_a_gap_counts_where_it_touches_the_period(heard: Heard) -> None:
    assert heard.worst_gap_s(2.5, 3) == 3
    assert heard.worst_gap_s(1, 2) == 1
    assert heard.worst_gap_s(5, 6) == 1


def test_a_gap_that_goes_on_counts_unless_all_was_said(heard: Heard) -> None:
    assert heard.worst_gap_s(6, 10) == 4
    heard.end()
    assert heard.worst_gap_s(6, 10) == 0
