"""The budget holds in every minute, and retries stay few, patient and away from logins."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SourceRejected, SourceUnavailable
from tillwatch.sources.budget import MAX_WAIT_SECONDS, RETRY_WAITS_SECONDS, Budget, NotAgain, retrying


def unavailable(retry_after_seconds: float | None = None) -> SourceUnavailable:
    return SourceUnavailable("down", cause=Cause.TCP, retry_after_seconds=retry_after_seconds)


def failing(*errors: Exception) -> tuple[Callable[[], str], list[int]]:
    """A call that raises `errors` one by one and then succeeds, and the list of its tries."""
    left = list(errors)
    tries: list[int] = []

    def call() -> str:
        tries.append(1)
        if left:
            raise left.pop(0)
        return "answer"

    return call, tries


@given(limit=st.integers(2, 90), pauses=st.lists(st.floats(0, 40), min_size=1, max_size=250))
def test_no_window_of_a_minute_holds_more_requests_than_the_budget(limit: int, pauses: list[float]) -> None:
    clock = ManualClock()
    budget = Budget("erp", limit, clock=clock)
    taken: list[float] = []
    for pause in pauses:
        clock.advance(pause if pause > 35 else 0)
        try:
            budget.take()
        except SourceUnavailable as error:
            assert error.cause is Cause.THROTTLE
            clock.advance(error.retry_after_seconds or 0)
            budget.take()
        taken.append(clock.monotonic())
    for index, start in enumerate(taken):
        assert sum(start <= other < start + 59.999 for other in taken[index:]) <= limit


def test_a_quarter_of_the_budget_comes_at_once_and_the_rest_is_spread() -> None:
    clock = ManualClock()
    budget = Budget("erp", 40, clock=clock)
    for _ in range(10):
        budget.take()
    assert clock.monotonic() == 0
    marks = []
    for _ in range(5):
        budget.take()
        marks.append(clock.monotonic())
    assert [round(later - earlier, 6) for earlier, later in pairwise(marks)] == [2.0] * 4


def test_a_turn_too_far_away_is_refused_at_once_with_the_fix() -> None:
    clock = ManualClock()
    budget = Budget("erp", 1, clock=clock)
    budget.take()
    with pytest.raises(SourceUnavailable, match="raise requests_per_minute or ask later") as failure:
        budget.take()
    assert clock.monotonic() == 0
    assert failure.value.retry_after_seconds is not None
    assert failure.value.retry_after_seconds > MAX_WAIT_SECONDS


def test_a_pause_the_system_asked_for_stops_everybody() -> None:
    clock = ManualClock()
    budget = Budget("erp", 600, clock=clock)
    budget.hold(12)
    budget.take()
    assert clock.monotonic() == 12


def test_a_read_is_tried_three_times_and_the_last_error_counts() -> None:
    clock = ManualClock()
    call, tries = failing(*(unavailable() for _ in range(3)))
    with pytest.raises(SourceUnavailable):
        retrying(call, clock=clock)
    assert len(tries) == 1 + len(RETRY_WAITS_SECONDS)
    assert clock.monotonic() == sum(RETRY_WAITS_SECONDS)


def test_the_pause_a_system_names_is_kept_exactly() -> None:
    clock = ManualClock()
    call, _ = failing(unavailable(7.5))
    assert retrying(call, clock=clock) == "answer"
    assert clock.monotonic() == 7.5


@pytest.mark.parametrize(
    "error",
    [unavailable(31), NotAgain("login", cause=Cause.TIMEOUT), SourceRejected("no")],
    ids=["a pause too long to wait", "a login", "a refusal"],
)
def test_what_must_not_be_tried_again_is_not(error: Exception) -> None:
    clock = ManualClock()
    call, tries = failing(error)
    with pytest.raises(type(error)):
        retrying(call, clock=clock)
    assert len(tries) == 1
    assert clock.monotonic() == 0
