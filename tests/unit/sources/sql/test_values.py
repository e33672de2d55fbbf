"""A till's binary float is the decimal it was typed as, and every time has a zone."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.sources.sql.values import canonical, matching, moment, same

SHANGHAI = ZoneInfo("Asia/Shanghai")


@given(st.decimals(min_value=-999_999_999, max_value=999_999_999, places=4))
def test_a_decimal_that_went_through_a_float_comes_back(value: Decimal) -> None:
    assert canonical(float(value), SHANGHAI) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (None, None),
        ("", ""),
        ("0012", "0012"),
        (True, True),
        (7, 7),
        (Decimal("1.10"), Decimal("1.10")),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (datetime(2026, 11, 24, 9), datetime(2026, 11, 24, 1, tzinfo=UTC)),  # noqa: DTZ001 - as drivers give it
        (date(2026, 11, 24), date(2026, 11, 24)),
        (b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), "01"),
        ({"b": 1, "a": "中"}, '{"a": "中", "b": 1}'),
        (time(9, 30), "09:30:00"),
        (timedelta(seconds=90), "0:01:30"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_a_driver_gives_becomes_a_value_an_audit_can_trust(raw: object, value: object) -> None:
    assert canonical(raw, SHANGHAI) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2026-11-24T09:00:00", datetime(2026, 11, 24, 1, tzinfo=UTC)),
        (" 2026-11-24 09:00:00.5 ", datetime(2026, 11, 24, 1, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-24T03:00:00Z", datetime(2026, 11, 24, 3, tzinfo=UTC)),
        ("2026-11-24T03:00:00+02:00", datetime(2026, 11, 24, 3, tzinfo=timezone(timedelta(hours=2)))),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (Decimal("1.5"), datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        ("yesterday", "yesterday"),
        (10**30, 10**30),
        (None, None),
    ],
)
def test_a_change_field_is_a_moment_when_it_can_be_one(raw: object, value: object) -> None:
    assert moment(raw, SHANGHAI) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "wanted", "equal"),
    [
        ("0012", "0012", True),
        ("0012", "12", False),
        ("A ", "A", True),
        ("A", "a", False),
        (12, "12", True),
        (12, "0012", True),
        (12, "12x", False),
        (Decimal("3.0"), "3", True),
        (None, "None", False),
        (True, "1", False),
    ],
)
def test_a_key_is_compared_as_a_key_not_as_a_collation(value: object, wanted: str, equal: bool) -> None:
    assert same(value, wanted) is equal  # type: ignore[arg-type]
    assert bool(matching([{"k": value}], [{"k": wanted}])) is equal  # type: ignore[dict-item]
