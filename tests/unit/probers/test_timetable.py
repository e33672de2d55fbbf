"""Which probes are due."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.probers.timetable import Timetable

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EVERY = {"erp": timedelta(seconds=15)}


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_probe_that_never_ran_waits_for_its_first_slot_and_runs_once_each_interval() -> None:
    timetable = Timetable(EVERY, last={}, now=NOW)
    assert timetable.due(NOW) == []
    runs = sum(len(timetable.due(after(second / 4))) for second in range(1, 4 * 150 + 1))
    assert runs == 10


def test_a_probe_that_is_late_after_a_restart_runs_at_once_and_only_once() -> None:
    timetable = Timetable(EVERY, last={"erp": after(-3600)}, now=NOW)
    assert [key for key, _ in timetable.due(NOW)] == ["erp"]
    assert timetable.due(NOW) == []


def test_a_probe_that_ran_just_before_the_restart_waits() -> None:
    timetable = Timetable(EVERY, last={"erp": after(-0.001)}, now=NOW)
    assert timetable.due(NOW) == []


def test_a_clock_that_went_back_blinds_nobody() -> None:
    timetable = Timetable(EVERY, last={}, now=NOW)
    ran = [second for second in range(1, 31) if timetable.due(after(second))]
    assert len(ran) == 2
    assert timetable.due(after(-7200)) != []
    later = sum(len(timetable.due(after(-7200 + second))) for second in range(1, 31))
    assert later == 2


def test_the_wait_ends_when_something_is_due() -> None:
    timetable = Timetable(EVERY, last={}, now=NOW)
    pause = timetable.seconds_until_next(NOW)
    assert 0 < pause <= 15
    assert timetable.due(after(pause - 0.001)) == []
    assert len(timetable.due(after(pause))) == 1


def test_nothing_to_run_is_no_busy_loop() -> None:
    assert Timetable({}, last={}, now=NOW).seconds_until_next(NOW) > 1


@given(
    st.lists(st.floats(min_value=0.01, max_value=120, allow_nan=False), min_size=1, max_size=60),
    st.integers(min_value=1, max_value=60),
)
def test_whatever_the_steps_a_probe_never_runs_twice_in_one_interval(steps: list[float], seconds: int) -> None:
    every = timedelta(seconds=seconds)
    timetable = Timetable({"erp": every}, last={}, now=NOW)
    now, slots = NOW, []
    for step in steps:
        now += timedelta(seconds=step)
        slots += [slot for _, slot in timetable.due(now)]
        assert all(slot <= now for slot in slots)
    assert all(later - earlier >= every for earlier, later in itertools.pairwise(slots))
