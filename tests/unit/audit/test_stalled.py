"""Whether differing rows are the newest ones, so that the sync is behind and nothing is lost."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.compare import Difference
from tillwatch.audit.spill import Half
from tillwatch.audit.stalled import Dated, Recent, arrived, moment_of, queues
from tillwatch.audit.suspects import Horizon

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = timedelta(seconds=30)
SINCE = NOON - 10 * WINDOW


def _at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


_WRITES = st.lists(st.floats(0, 300, allow_nan=False), min_size=1, max_size=30)


_QUANTITY = Difference([Rule(name="quantity", type=FieldType.INTEGER, zone=ZoneInfo("UTC"))])


def _rows(moments: Mapping[bytes, datetime], quantity: int = 1) -> dict[bytes, Dated]:
    return {
        key: Dated(moment=when, half=Half(cells=b'["%d"]' % quantity, context=b"[]")) for key, when in moments.items()
    }


def _arrived(
    left: Mapping[bytes, datetime], right: Mapping[bytes, datetime] | None, differing: Collection[bytes]
) -> datetime:
    """`differing` rows of the right hold another quantity."""
    there = None
    if right is not None:
        there = {**_rows(right), **_rows({key: when for key, when in right.items() if key in differing}, 2)}
    return arrived(Recent(since=SINCE, left=_rows(left), right=there), differing, NOON, _QUANTITY)


def _horizon(there: datetime) -> Horizon:
    return Horizon(read_at=NOON, arrived=there, window=WINDOW)


@given(_WRITES, st.floats(0, 300), st.booleans())
def test_of_a_sync_that_stopped_every_row_written_since_is_on_its_way(
    writes: list[float], stopped: float, right_tells: bool
) -> None:
    left = {str(number).encode(): _at(second) for number, second in enumerate(writes)}
    differing = {key for key, moment in left.items() if moment > _at(stopped)}
    right = {key: moment for key, moment in left.items() if key not in differing} if right_tells else None
    there = _arrived(left, right, differing)
    assert there <= _at(stopped)
    horizon = _horizon(there)
    assert not horizon.behind or all(horizon.on_its_way(left[key]) for key in differing)


@given(_WRITES, st.floats(0, 200), st.booleans())
def test_a_row_that_is_lost_while_later_ones_arrive_is_never_excused(
    writes: list[float], lost: float, right_tells: bool
) -> None:
    left = {str(number).encode(): _at(second) for number, second in enumerate(writes)}
    right = dict(left) if right_tells else None
    left |= {b"lost": _at(lost), b"later": _at(lost) + WINDOW + timedelta(seconds=1)}
    if right is not None:
        right[b"later"] = left[b"later"]
    there = _arrived(left, right, {b"lost"})
    assert not _horizon(there).on_its_way(left[b"lost"])


def test_a_value_that_went_and_came_back_does_not_count_as_arrived_where_the_right_side_knows_better() -> None:
    left = {b"toggled": _at(290), b"stuck": _at(280), b"old": _at(100)}
    right = {b"old": _at(100), b"toggled": _at(90)}
    assert _arrived(left, right, {b"stuck"}) == _at(100)


def test_what_somebody_else_wrote_on_the_right_does_not_count_as_arrived() -> None:
    left = {b"stuck": _at(280), b"old": _at(100)}
    right = {b"old": _at(100), b"of others": _at(299)}
    assert _arrived(left, right, {b"stuck"}) == _at(100)


def test_what_was_written_after_the_reading_was_never_compared_and_proves_nothing() -> None:
    left = {b"new": NOON + timedelta(seconds=1), b"stuck": _at(280)}
    assert _arrived(left, None, {b"stuck"}) == SINCE


def test_rows_that_one_newer_row_passed_by_are_lost_and_no_queue() -> None:
    horizon = _horizon(_at(200))
    passed_by, behind = [_at(190), _at(195), _at(200)], [_at(210)]
    assert not queues([*passed_by, *behind], horizon)
    assert queues([_at(195), _at(210), _at(220)], horizon)
    in_order = replace(horizon, in_order=True)
    assert in_order.on_its_way(_at(210))
    assert not in_order.on_its_way(_at(200))


def test_a_change_field_without_a_zone_is_utc_and_one_that_is_no_time_is_none() -> None:
    assert moment_of("2026-11-24 12:00:00") == NOON
    assert moment_of(datetime(2026, 11, 24, 20, 0, tzinfo=UTC) - timedelta(hours=8)) == NOON
    assert moment_of("7") is None
    assert moment_of(7) is None
