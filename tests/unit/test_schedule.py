"""When something is due."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.errors import UsageError
from tillwatch.schedule import Cron, DueReason, Interval, next_due, parse_duration, parse_schedule

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MINUTE = Interval(every=timedelta(minutes=1))
INSTANTS = st.integers(0, 366 * 86_400_000_000).map(lambda microseconds: NOW + timedelta(microseconds=microseconds))


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("1m30s", 90), ("250ms", 0.25), ("2h", 7200), ("1w", 604800)]
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "15", "s", "1.5h", "-1s", "1 m", "１５s", "9" * 31 + "w", "9" * 40])
def test_a_bad_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "0 0 31 2 *", "@every 0s", "@every 8d", "@every soon"]
)
def test_a_schedule_that_never_or_always_runs_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_schedule(text, SHANGHAI)


def test_cron_is_read_in_the_chains_zone() -> None:
    nightly = parse_schedule("30 2 * * *", SHANGHAI)
    assert nightly.first_after(NOW, "x") == datetime(2026, 11, 24, 18, 30, tzinfo=UTC)


def test_a_key_that_never_ran_waits_for_its_own_slot() -> None:
    due = next_due(MINUTE, "erp-tcp", None, NOW)
    assert (due.run, due.reason) == (False, DueReason.NOT_YET)
    assert NOW < due.at <= NOW + MINUTE.every


@given(st.text(max_size=20), INSTANTS, st.integers(1, 3600))
def test_slots_are_one_interval_apart_and_never_stand_still(key: str, after: datetime, seconds: int) -> None:
    schedule = Interval(every=timedelta(seconds=seconds))
    first = schedule.first_after(after, key)
    second = schedule.first_after(first, key)
    assert after < first
    assert second - first == schedule.every


@given(st.text(max_size=20), INSTANTS, st.floats(0, 100))
def test_a_gap_is_made_up_by_one_run_and_the_next_one_is_in_the_future(
    key: str, start: datetime, gap_minutes: float
) -> None:
    last = MINUTE.first_after(start, key)
    now = last + timedelta(minutes=gap_minutes)
    due = next_due(MINUTE, key, last, now)
    if due.run:
        assert due.at <= now
        assert not next_due(MINUTE, key, due.at, now).run
    else:
        assert due.at > now


def test_missed_slots_are_counted() -> None:
    last = MINUTE.first_after(NOW, "a")
    due = next_due(MINUTE, "a", last, last + timedelta(minutes=5, seconds=1))
    assert (due.run, due.reason, due.missed) == (True, DueReason.MISFIRE, 4)
    assert due.at == last + timedelta(minutes=5)


def test_a_clock_set_back_does_not_make_us_blind() -> None:
    due = next_due(MINUTE, "a", NOW, NOW - timedelta(hours=2))
    assert (due.run, due.reason) == (True, DueReason.CLOCK_WENT_BACK)


def test_a_missed_cron_run_is_made_up_once() -> None:
    hourly = Cron(expression="0 * * * *", zone=SHANGHAI)
    due = next_due(hourly, "a", NOW, NOW + timedelta(hours=3, minutes=1))
    assert (due.run, due.reason) == (True, DueReason.MISFIRE)
    assert not next_due(hourly, "a", due.at, due.at).run


def test_keys_are_spread_evenly_over_the_interval() -> None:
    slots = [MINUTE.first_after(NOW, f"probe-{number}") for number in range(600)]
    by_second = [sum(1 for slot in slots if int((slot - NOW).total_seconds()) // 10 == part) for part in range(6)]
    assert min(by_second) > 60
