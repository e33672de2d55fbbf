"""What one look at a suspect says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audits import ZONE

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.compare import Difference
from tillwatch.audit.spill import Half, Pair
from tillwatch.audit.suspects import (
    MAX_STRETCH,
    Horizon,
    Rules,
    Settled,
    Standing,
    begin,
    judge,
    percentile,
    window_seconds,
)

DIFFERENCE = Difference([Rule(name="quantity", type=FieldType.INTEGER, zone=ZONE)])
STRONG, WEAK = Rules(window=10.0, versioned=True), Rules(window=10.0, versioned=False)


def half(value: str | None, version: str = "1") -> Half | None:
    return None if value is None else Half(cells=f'["{value}"]'.encode(), context=f'["{version}"]'.encode())


def pair(left: str | None, right: str | None, version: str = "1") -> Pair:
    return Pair(key=b"k", left=half(left, version), right=half(right))


def looks(rules: Rules, *seen: tuple[float, Pair]) -> list[Settled]:
    """What each look says; the first one finds the suspect."""
    (first, found), *later = seen
    standing, said = begin(found, rules, first), []
    for now, held in later:
        settled, standing = judge(standing, held, DIFFERENCE, rules, now)
        said.append(settled)
    return said


def test_a_row_that_is_equal_now_was_in_flight() -> None:
    assert looks(WEAK, (0, pair("2", "1")), (3, pair("2", "2"))) == [Settled.CLEARED]
    assert looks(WEAK, (0, pair("2", None)), (3, pair(None, None))) == [Settled.CLEARED]


def test_with_a_change_column_one_window_confirms_and_not_a_moment_less() -> None:
    still = pair("2", "1")
    assert looks(STRONG, (0, still), (9.9, still), (10, still)) == [Settled.PENDING, Settled.CONFIRMED]


def test_without_one_two_windows_are_needed() -> None:
    still = pair("2", None)
    said = looks(WEAK, (0, still), (10, still), (15, still), (20, still))
    assert said == [Settled.PENDING, Settled.PENDING, Settled.CONFIRMED]


def test_a_long_silence_between_two_looks_is_one_window() -> None:
    still = pair("2", "1")
    assert looks(WEAK, (0, still), (500, still), (505, still)) == [Settled.PENDING, Settled.PENDING]


def test_a_value_that_went_and_came_back_is_seen_by_its_change_column_only() -> None:
    before, after = pair("2", "1", version="1"), pair("2", "1", version="2")
    assert looks(STRONG, (0, before), (10, after)) == [Settled.PENDING]
    assert looks(Rules(window=5.0, versioned=False), (0, before), (5, after), (10, after))[-1] is Settled.CONFIRMED


@pytest.mark.parametrize("rules", [STRONG, WEAK])
def test_whoever_moves_starts_the_window_again(rules: Rules) -> None:
    steps = [(0.0, pair("2", "1")), (9.0, pair("3", "1")), (18.0, pair("3", "0")), (27.9, pair("3", "0"))]
    assert set(looks(rules, *steps)) == {Settled.PENDING}


@given(
    st.booleans(),
    st.lists(st.tuples(st.floats(0.1, 4.9), st.integers(0, 3)), min_size=1, max_size=30),
    st.floats(0.0, 5.0),
)
def test_a_right_side_that_follows_within_the_window_is_never_confirmed(
    versioned: bool, writes: list[tuple[float, int]], lag: float
) -> None:
    """Every write is another value or at least another version; looks come at every write and arrival."""
    rules = Rules(window=10.0, versioned=versioned)
    times, moment = [(-1e9, 0, 0)], 0.0
    for number, (gap, value) in enumerate(writes, start=1):
        moment += gap
        times.append((moment, value if versioned else number, number))

    def held(now: float) -> Half | None:
        value, version = next((value, version) for at, value, version in reversed(times) if at <= now)
        return half(str(value), str(version))

    standing: Standing | None = None
    for now in sorted({at + late for at, _, _ in times[1:] for late in (0.0, lag, lag + 10.0)}):
        seen = Pair(key=b"k", left=held(now), right=held(now - lag))
        if standing is None:
            standing = begin(seen, rules, now)
            continue
        settled, standing = judge(standing, seen, DIFFERENCE, rules, now)
        assert settled is not Settled.CONFIRMED
        if settled is Settled.CLEARED:
            standing = None


def test_a_suspect_is_the_same_after_it_was_stored() -> None:
    standing = Standing(first=-3.5, since=1.25, windows=1, left="a", right="", moved=True, overdue=True)
    assert Standing.from_bytes(standing.to_bytes()) == standing


@pytest.mark.parametrize(
    ("settle", "measured", "window"),
    [(30.0, 0.0, 30.0), (30.0, 20.0, 30.0), (30.0, 40.0, 60.0), (30.0, 9_999.0, 30.0 * MAX_STRETCH)],
)
def test_the_window_is_as_declared_or_wider_and_bounded(settle: float, measured: float, window: float) -> None:
    assert window_seconds(settle, measured) == window


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.99, 0.0), ([3.0], 0.5, 3.0), ([2.0, 1.0], 0.5, 1.0), (list(range(1, 101)), 0.99, 99)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


READ = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return READ - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("arrived", "written", "on_its_way"),
    [
        (40, 30, True),  # nothing newer than 40 s has arrived
        (40, 45, True),  # overtaken, but by less than a window
        (40, 51, False),  # overtaken by more
        (40, 5, True),
        (9, 8, False),  # the sync is not behind
        (400, 99, True),
        (400, 101, False),  # ten windows are enough
    ],
)
def test_a_row_may_be_on_its_way_while_the_sync_is_behind(arrived: float, written: float, on_its_way: bool) -> None:
    horizon = Horizon(read_at=READ, arrived=ago(arrived), window=timedelta(seconds=10))
    assert horizon.on_its_way(ago(written)) is on_its_way
    assert bool(horizon.overdue(ago(written))) is (on_its_way and written > 10)
    assert not horizon.on_its_way(None)
