"""Rules on one value: what they let through and what not, for values of every kind a source gives."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audits import ZONE
from tests.support.validations import NOW

from tillwatch.audit.canonical import FieldType
from tillwatch.errors import UsageError
from tillwatch.validation import rules

DECIMALS = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=4)


@pytest.mark.parametrize(("value", "missing"), [(None, True), ("", True), (" \t　", True), ("0", False), (0, False)])
def test_required_is_broken_by_nothing_and_by_spaces(value: str | int | None, missing: bool) -> None:
    assert (rules.required(value) is not None) is missing


@given(DECIMALS, DECIMALS, DECIMALS)
def test_a_range_lets_through_exactly_what_lies_between_its_ends(one: Decimal, other: Decimal, value: Decimal) -> None:
    low, high = sorted((one, other))
    check = rules.within(rules.bounds(str(low), str(high), ZONE), ZONE)
    assert (check(value) is None) == (low <= value <= high)
    assert (check(str(value)) is None) == (low <= value <= high)


@given(DECIMALS)
def test_not_negative_is_broken_below_zero_only(value: Decimal) -> None:
    assert (rules.not_negative(ZONE)(value) is None) == (value >= 0)


def test_a_range_of_days_reads_days_and_moments() -> None:
    check = rules.within(rules.bounds("2026-01-01", "2026-12-31", ZONE), ZONE)
    assert check(date(2026, 12, 31)) is None
    assert check("2027-01-01") is not None
    # Already the first of January in Shanghai.
    assert check(datetime(2026, 12, 31, 17, tzinfo=UTC)) is not None


def test_a_range_of_moments_knows_the_zone() -> None:
    ends = rules.bounds("2026-11-24T08:00:00", None, ZONE)
    assert ends.type is FieldType.TIMESTAMP
    check = rules.within(ends, ZONE)
    assert check(datetime(2026, 11, 24, 0, 0, tzinfo=UTC)) is None
    assert check(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)) is not None


def test_what_cannot_be_read_breaks_the_rule_and_null_does_not() -> None:
    for check in (rules.not_negative(ZONE), rules.not_future(NOW, timedelta(0), ZONE)):
        assert check("abc") is not None
        assert check(None) is None


@pytest.mark.parametrize(
    ("low", "high"), [("5", "1"), ("abc", None), ("1", "2026-01-01"), ("2026-02-02", "2026-01-01")]
)
def test_ends_that_make_no_range_are_refused(low: str, high: str | None) -> None:
    with pytest.raises(UsageError):
        rules.bounds(low, high, ZONE)


def test_a_pattern_matches_the_whole_value() -> None:
    check = rules.pattern("SKU[0-9]{3}|店.")
    assert [value for value in ("SKU001", "SKU0011", "xSKU001", "店一", "店一二") if check(value)] == [
        "SKU0011",
        "xSKU001",
        "店一二",
    ]
    with pytest.raises(UsageError, match="RE2"):
        rules.pattern("(?=x)")


@given(st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)))
def test_the_future_begins_after_the_allowance(distance: timedelta) -> None:
    check = rules.not_future(NOW, timedelta(minutes=5), ZONE)
    assert (check(NOW + distance) is None) == (distance <= timedelta(minutes=5))


def test_one_number_has_one_text() -> None:
    assert {rules.text_of(value) for value in (Decimal("1.50"), Decimal("1.5"), "1.5")} == {"1.5"}
    assert rules.text_of(True) == "true"
