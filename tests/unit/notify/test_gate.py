"""The bucket and the breaker of a channel, without a store: what may leave, and what an answer makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.errors import DeliveryError
from tillwatch.model.channel import Allowance, Gate
from tillwatch.notify.base import Delivery, Result
from tillwatch.notify.gate import (
    FAILURES_TO_OPEN,
    PAUSE_UNTOLD,
    PROBE_AFTER_REFUSAL,
    PROBE_EVERY,
    UNLIMITED,
    Heard,
    Standing,
    Verdict,
    after,
    heard,
    room,
    spent,
    standing,
    tokens,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
ROBOT = Allowance.within(20)
FRESH = Gate(channel="ops")
DELIVERED, FAILED = Heard(verdict=Verdict.DELIVERED), Heard(verdict=Verdict.FAILED)
REFUSED = Heard(verdict=Verdict.FAILED, refused=True)


def failed(times: int, gate: Gate = FRESH) -> Gate:
    for _ in range(times):
        gate = after(gate, FAILED, NOW)
    return gate


def test_a_channel_that_never_sent_has_a_full_bucket() -> None:
    assert room(FRESH, ROBOT, NOW) == ROBOT.burst == 10


def test_a_channel_without_a_limit_has_room_for_everything() -> None:
    assert room(spent(FRESH, None, 1_000, NOW), None, NOW) == UNLIMITED


@given(
    limit=st.integers(2, 200),
    waits=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 50)), min_size=1, max_size=30),
)
def test_no_minute_ever_has_more_messages_than_the_limit(limit: int, waits: list[tuple[float, int]]) -> None:
    allowance, gate, now = Allowance.within(limit), FRESH, NOW
    sent: list[tuple[datetime, int]] = []
    for seconds, wanted in waits:
        now += timedelta(seconds=seconds)
        count = min(wanted, room(gate, allowance, now))
        gate = spent(gate, allowance, count, now)
        sent.append((now, count))
    for begin, _ in sent:
        end = begin + timedelta(minutes=1)
        assert sum(count for at, count in sent if begin <= at < end) <= limit


def test_a_bucket_of_twenty_a_minute_gains_one_message_in_six_seconds() -> None:
    empty = spent(FRESH, ROBOT, 10, NOW)
    rooms = [room(empty, ROBOT, NOW + timedelta(seconds=seconds)) for seconds in (0, 5, 6, 12, 60, 3_600)]
    assert rooms == [0, 0, 1, 2, 10, 10]


def test_a_clock_that_goes_back_neither_fills_nor_empties_a_bucket() -> None:
    used = spent(FRESH, ROBOT, 4, NOW)
    assert tokens(used, ROBOT, NOW - timedelta(hours=2)) == 6


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    assert standing(failed(FAILURES_TO_OPEN - 1), NOW) is Standing.CLOSED
    mixed = after(failed(FAILURES_TO_OPEN - 1), DELIVERED, NOW)
    assert standing(failed(FAILURES_TO_OPEN - 1, mixed), NOW) is Standing.CLOSED
    opened = failed(FAILURES_TO_OPEN)
    assert (standing(opened, NOW), opened.opened_at, room(opened, ROBOT, NOW)) == (Standing.OPEN, NOW, 0)


def test_an_open_one_lets_one_message_try_after_a_while_and_then_waits_for_its_answer() -> None:
    later = NOW + PROBE_EVERY
    opened = failed(FAILURES_TO_OPEN)
    assert room(opened, None, later - timedelta(seconds=1)) == 0
    assert (standing(opened, later), room(opened, None, later)) == (Standing.HALF_OPEN, 1)
    assert room(spent(opened, None, 1, later), None, later) == 0


def test_a_probe_that_arrives_closes_it_and_one_that_does_not_leaves_it_open_since_then() -> None:
    later = NOW + PROBE_EVERY
    closed = after(failed(FAILURES_TO_OPEN), DELIVERED, later)
    assert (standing(closed, later), closed.failures, closed.last_success_at) == (Standing.CLOSED, 0, later)
    still = after(failed(FAILURES_TO_OPEN), FAILED, later)
    assert (still.opened_at, still.probe_at) == (NOW, later + PROBE_EVERY)


def test_a_refusal_is_tried_less_often_since_a_person_has_to_act() -> None:
    refused = after(failed(FAILURES_TO_OPEN), REFUSED, NOW)
    assert standing(refused, NOW + PROBE_AFTER_REFUSAL - timedelta(seconds=1)) is Standing.OPEN
    assert standing(refused, NOW + PROBE_AFTER_REFUSAL) is Standing.HALF_OPEN


def test_too_many_messages_is_a_pause_and_proves_that_the_service_works() -> None:
    paused = after(failed(FAILURES_TO_OPEN), Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=30)), NOW)
    assert (standing(paused, NOW), room(paused, None, NOW)) == (Standing.PAUSED, 0)
    assert room(paused, None, NOW + timedelta(seconds=30)) == UNLIMITED
    assert paused.opened_at is None


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    long = after(FRESH, Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=60)), NOW)
    assert after(long, Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=1)), NOW).paused_until == (
        NOW + timedelta(seconds=60)
    )


@given(back=st.integers(1, 7_200), passed=st.integers(0, 7_200), asked=st.integers(1, 7_200))
def test_when_the_clock_goes_back_nothing_waits_longer_than_after_a_refusal(back: int, passed: int, asked: int) -> None:
    """The pause ends at once, a probe is due at once or within that time."""
    pause = Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=asked))
    paused = replace(after(FRESH, pause, NOW), last_at=NOW)
    opened = replace(failed(FAILURES_TO_OPEN), last_at=NOW)
    earlier = NOW - timedelta(seconds=back)
    assert standing(paused, earlier) is Standing.CLOSED
    later = earlier + timedelta(seconds=passed)
    if standing(opened, later) is Standing.OPEN:
        assert standing(opened, later + PROBE_AFTER_REFUSAL) is Standing.HALF_OPEN
        assert later >= NOW + PROBE_EVERY - PROBE_AFTER_REFUSAL


def test_after_the_clock_went_back_a_new_answer_ends_the_old_pause() -> None:
    pause = Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=60))
    paused = replace(after(FRESH, pause, NOW), last_at=NOW)
    earlier = NOW - timedelta(minutes=30)
    for news in (DELIVERED, FAILED):
        went_on = replace(after(paused, news, earlier), last_at=earlier)
        assert standing(went_on, earlier + timedelta(seconds=1)) is Standing.CLOSED
    again = replace(after(paused, pause, earlier), last_at=earlier)
    assert again.paused_until == earlier + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Delivery(result=Result.DELIVERED, code="0"), DELIVERED),
        (Delivery(result=Result.REJECTED, code="93000"), REFUSED),
        (DeliveryError("x", retryable=False, code="535"), REFUSED),
        (Delivery(result=Result.UNKNOWN, code="timeout"), FAILED),
        (DeliveryError("x", retryable=True, code="connect"), FAILED),
        (DeliveryError("x", retryable=True, code="500"), FAILED),
        (DeliveryError("x", retryable=True, code="429"), Heard(verdict=Verdict.TOO_MANY, pause=PAUSE_UNTOLD)),
        (
            DeliveryError("x", retryable=True, code="45009", retry_after_seconds=60),
            Heard(verdict=Verdict.TOO_MANY, pause=timedelta(minutes=1)),
        ),
        (
            DeliveryError("x", retryable=True, code="503", retry_after_seconds=7),
            Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=7)),
        ),
    ],
)
def test_what_an_answer_says_about_its_channel(outcome: Delivery | DeliveryError, expected: Heard) -> None:
    assert heard(outcome) == expected
