"""The robust z-score: exact against a plain computation, and not moved by the outliers themselves."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.validation.outliers import MEAN_FACTOR, MEDIAN_FACTOR, MIN_RUNS, MIN_VALUES, Usual, usual, usual_of_runs

NUMBERS = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False, allow_subnormal=False)


@given(st.lists(NUMBERS, min_size=MIN_VALUES, max_size=60))
def test_median_and_spread_are_what_their_definitions_say(values: list[float]) -> None:
    found = usual(sorted(values))
    assert found is not None
    median = statistics.median(values)
    deviations = [abs(value - median) for value in values]
    spread = MEDIAN_FACTOR * statistics.median(deviations) or MEAN_FACTOR * sum(deviations) / len(values)
    assert found.median == median
    assert abs(found.spread - spread) <= 1e-6 * max(1.0, spread)


@given(st.lists(st.integers(90, 110), min_size=20, max_size=60), st.sampled_from([-1e6, 5e5, 1e9]))
def test_wrong_values_cannot_hide_themselves(values: list[int], wrong: float) -> None:
    found = usual(sorted([*map(float, values), wrong, wrong]))
    assert found is not None
    assert found.score(wrong) > 6


def test_too_few_values_say_nothing() -> None:
    assert usual([1.0] * (MIN_VALUES - 1)) is None
    assert usual([1.0] * MIN_VALUES) is not None


def test_among_equal_values_any_other_is_infinitely_far() -> None:
    found = usual([5.0] * 10)
    assert found is not None
    assert (found.score(5.0), found.score(5.01)) == (0.0, float("inf"))


def test_one_bad_day_does_not_move_what_was_usual() -> None:
    runs = [Usual(median=10.0, spread=1.0, values=100)] * MIN_RUNS
    assert usual_of_runs(runs[1:]) is None
    found = usual_of_runs([*runs, Usual(median=1000.0, spread=90.0, values=100)])
    assert found is not None
    assert (found.median, found.spread) == (10.0, 1.0)
