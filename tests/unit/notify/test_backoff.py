"""Waiting times between tries."""

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.notify.backoff import FIRST_SECONDS, MAX_SECONDS, backoff


def test_the_wait_doubles_up_to_its_limit() -> None:
    waits = [backoff(attempt, 0.999999).total_seconds() for attempt in range(1, 10)]
    assert [round(wait) for wait in waits] == [5, 10, 20, 40, 80, 160, 300, 300, 300]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_nothing_nor_longer_than_allowed(attempt: int, jitter: float) -> None:
    assert FIRST_SECONDS / 2 <= backoff(attempt, jitter).total_seconds() <= MAX_SECONDS
