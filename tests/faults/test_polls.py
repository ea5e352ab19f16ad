"""Polls of one worker are right, and polls of two workers are found."""

from __future__ import annotations

from .polls import Polls


def polls(*begun: float, took: float = 0.01) -> Polls:
    noted = Polls()
    for moment in begun:
        noted.note("a-job", moment, moment + took)
    return noted


def on_the_beat(number: int, every_s: float = 0.2) -> list[float]:
    return [n * every_s for n in range(number)]


def wrong(noted: Polls, end: float = 2) -> str:
    return "; ".join(noted.faults(["a-job"], 0, end))


def test_one_poll_on_each_beat_is_right() -> None:
    assert wrong(polls(*on_the_beat(10))) == ""


def test_a_late_beat_is_forgiven() -> None:
    assert wrong(polls(0, 0.2, 0.55, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8)) == ""


def test_two_polls_at_once_are_found() -> None:
    assert "while it was being polled" in wrong(polls(*on_the_beat(10), 0.405))


def test_a_poll_that_takes_longer_than_its_beat_is_found() -> None:
    assert "while it was being polled" in wrong(polls(*on_the_beat(10), took=0.25))


def test_a_second_chain_is_found_by_its_rate() -> None:
    second = [moment + 0.1 for moment in on_the_beat(10)]

    assert "was polled 20 times in 2.0 s" in wrong(polls(*on_the_beat(10), *second))


def test_a_second_chain_close_behind_is_found() -> None:
    second = [moment + 0.03 for moment in on_the_beat(10)]

    assert "pauses were under 0.06 s" in wrong(polls(*on_the_beat(10), *second))


def test_polls_at_other_times_and_of_other_jobs_do_not_count() -> None:
    noted = polls(*on_the_beat(10), 3.0, 3.005)
    noted.note("another", 0.4, 0.41)

    assert wrong(noted) == ""
    assert noted.pauses_seen == 9
