"""A row that never stands still: behind, late, wrong, or not to be told."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.support.audits import ZONE

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.compare import Difference
from tillwatch.audit.lineage import Followed, Trail
from tillwatch.audit.spill import Half, Pair
from tillwatch.audit.suspects import Rules

DIFFERENCE = Difference([Rule(name="quantity", type=FieldType.INTEGER, zone=ZONE)])
STRONG, WEAK = Rules(window=10.0, versioned=True), Rules(window=10.0, versioned=False)
Side = Callable[[float], int | None]


def half(value: int | None) -> Half | None:
    return None if value is None else Half(cells=f'["{value}"]'.encode(), context=b"[]")


def followed(left: Side, right: Side, *, rules: Rules = STRONG, every: float = 0.5, looks: int = 100) -> Followed:
    """The first answer of a series of looks, OPEN when there is none."""
    trail = Trail()
    for number in range(looks):
        now = 1000.0 + number * every
        found = trail.see(Pair(key=b"k", left=half(left(now)), right=half(right(now))), rules, DIFFERENCE, now)
        if found is not Followed.OPEN:
            return found
    return Followed.OPEN


def counter(now: float) -> int:
    """Moves every second."""
    return int(now)


@pytest.mark.parametrize("rules", [STRONG, WEAK])
@pytest.mark.parametrize("lag", [1.0, 2.5, 9.0])
def test_a_right_side_that_holds_what_the_left_held_lags(rules: Rules, lag: float) -> None:
    assert followed(counter, lambda now: counter(now - lag), rules=rules) is Followed.LAGGING


@pytest.mark.parametrize("rules", [STRONG, WEAK])
def test_one_that_holds_what_the_left_held_too_long_ago_is_late(rules: Rules) -> None:
    assert followed(counter, lambda now: counter(now - 15.0), rules=rules) is not Followed.LAGGING
    # Before the trail is as long as the lag nothing can be said; then it is found there, too old.
    trail, last = Trail(), Followed.OPEN
    for number in range(60):
        now = 1000.0 + number * 0.5
        seen = Pair(key=b"k", left=half(counter(now)), right=half(max(1000, counter(now - 15.0))))
        last = trail.see(seen, rules, DIFFERENCE, now)
    assert last is Followed.LATE


@pytest.mark.parametrize("rules", [STRONG, WEAK])
@pytest.mark.parametrize("stuck", [None, 7])
def test_one_that_stands_still_while_the_left_moves_diverges(rules: Rules, stuck: int | None) -> None:
    assert followed(counter, lambda _: stuck, rules=rules) is Followed.DIVERGENT


@pytest.mark.parametrize("rules", [STRONG, WEAK])
def test_one_that_moves_and_never_holds_what_the_left_held_diverges(rules: Rules) -> None:
    assert followed(counter, lambda now: counter(now - 2.0) + 500_000, rules=rules) is Followed.DIVERGENT


def test_nothing_is_claimed_of_rows_that_move_faster_than_we_look() -> None:
    assert followed(lambda now: int(now * 100), lambda now: int((now - 0.333) * 100), every=0.5) is Followed.OPEN


def test_nothing_is_held_against_the_right_before_a_window_has_passed() -> None:
    assert followed(counter, lambda now: counter(now - 9.5) - 500_000, looks=20) is Followed.OPEN


def test_looking_faster_forgets_what_was_missed() -> None:
    trail = Trail()
    for number in range(60):
        now = 1000.0 + number
        trail.see(Pair(key=b"k", left=half(number), right=half(-number - 1)), WEAK, DIFFERENCE, now)
    assert trail.too_fast
    assert trail.strangers
    trail.look_faster()
    assert not trail.too_fast
    assert not trail.strangers


def test_equal_is_equal() -> None:
    assert followed(counter, counter) is Followed.EQUAL


def test_a_tolerance_counts_along_the_trail_too() -> None:
    loose = Difference([Rule(name="quantity", type=FieldType.INTEGER, tolerance=Decimal(1), zone=ZONE)])
    trail = Trail()
    for number in range(3):
        trail.see(Pair(key=b"k", left=half(100 * number), right=half(-50)), STRONG, loose, float(number))
    seen = Pair(key=b"k", left=half(900), right=half(101))
    assert trail.see(seen, STRONG, loose, 3.0) is Followed.LAGGING
    assert trail.see(seen, STRONG, DIFFERENCE, 3.0) is Followed.OPEN
