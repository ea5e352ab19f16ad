"""The checker finds each kind of breach, so a run without breaches proves something."""

from __future__ import annotations

import json

import pytest

from .ledger import Breach, Ledger, Reader

QUIET = "nobody is hurt"


def said(revision: int, status: str = "running", **fields: object) -> bytes:
    """A snapshot, as sent to readers."""
    snapshot = {
        "job": "a-job",
        "status": status,
        "revision": revision,
        "finished": status in ("succeeded", "failed", "cancelled"),
        "progress": None,
        "observed_at": None,
        **fields,
    }
    return json.dumps(snapshot, separators=(",", ":")).encode()


def found(
    *snapshots: bytes, recorder: bool = False, cut_after: int = 0, pause_s: float = 0.2
) -> list[Breach]:
    """The breaches found if one reader gets these snapshots, so long after another."""
    now = 0.0
    ledger, reader = Ledger(), Reader("a reader", recorder, clock=lambda: now)
    for number, snapshot in enumerate(snapshots, 1):
        now += pause_s
        ledger.read(reader, snapshot)
        if number == cut_after:
            reader.reconnected()
    return [breach for _, breach, _ in ledger.breaches]


def test_what_is_as_promised_is_no_breach() -> None:
    end = said(3, "succeeded", progress=100)

    assert found(said(1), said(2, progress=1), end, recorder=True) == []


def test_a_skipped_revision_is_one_for_the_recorder_alone() -> None:
    assert found(said(1), said(3), recorder=True) == ["revision"]
    assert found(said(1), said(3)) == []


def test_a_skipped_revision_is_none_where_the_recorder_was_cut_off() -> None:
    assert found(said(1), said(3), recorder=True, cut_after=1) == []
    after = [said(n) for n in range(3, 40)]
    assert found(said(1), *after, recorder=True, cut_after=1) == []
    assert found(said(1), *after, said(41), recorder=True, cut_after=1) == ["revision"]


def test_a_skipped_revision_is_none_if_the_job_may_have_been_unwatched() -> None:
    assert found(said(1), said(3), recorder=True, pause_s=1.5) == []
    assert found(said(1), said(3), said(5), recorder=True, cut_after=1) == []


def test_a_repeated_revision_is_one_on_the_same_connection() -> None:
    assert found(said(2), said(2)) == ["revision"]
    assert found(said(2), said(2), cut_after=1) == []


@pytest.mark.parametrize("cut_after", [0, 1])
def test_a_revision_that_goes_back_is_always_one(cut_after: int) -> None:
    assert found(said(2), said(1), cut_after=cut_after) == ["revision"]


@pytest.mark.parametrize("cut_after", [0, 1])
def test_progress_that_goes_down_is_always_one(cut_after: int) -> None:
    down = [said(1, progress=50.0), said(2, progress=49.9)]

    assert found(*down, cut_after=cut_after) == ["revision"]


def test_anything_after_the_end_is_one() -> None:
    assert found(said(1, "failed"), said(2, "succeeded")) == ["duplicate"]
    assert found(said(1, "cancelled"), said(2)) == ["duplicate"]


def test_two_contents_of_a_revision_are_one_whoever_reads_them() -> None:
    ledger = Ledger(QUIET)
    ledger.read(Reader("one"), said(1, progress=1.0))
    ledger.read(Reader("another"), said(1, progress=1.5))

    assert ledger.count(QUIET) == {"duplicate": 1}
    assert ledger.count("another fault") == {}


def test_when_a_backend_was_heard_is_no_content() -> None:
    ledger = Ledger()
    ledger.read(Reader("one"), said(1, observed_at="2026-01-01T12:00:00.000Z"))
    ledger.read(Reader("another"), said(1, observed_at=None))

    assert ledger.breaches == []
