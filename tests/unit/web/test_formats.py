"""Times, money and durations as people read them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tillwatch.web.formats import Formats
from tillwatch.web.language import CHINESE, ENGLISH, texts

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _formats(language: str = ENGLISH, zone: str = "Asia/Shanghai", now: datetime = NOW) -> Formats:
    return Formats(t=texts(language), zone=ZoneInfo(zone), currency="CNY", now=now)


def test_a_full_time_is_never_ambiguous() -> None:
    assert _formats().full(NOW) == "2026-11-24 11:00:00 +08:00"
    assert _formats(zone="America/St_Johns").full(NOW) == "2026-11-23 23:30:00 -03:30"


def test_the_hour_that_happens_twice_is_told_apart_by_its_offset() -> None:
    formats = _formats(zone="America/New_York")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert formats.full(first) == "2026-11-01 01:30:00 -04:00"
    assert formats.full(first + timedelta(hours=1)) == "2026-11-01 01:30:00 -05:00"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(0), "11:00"),
        (timedelta(hours=10), "01:00"),
        (timedelta(hours=12), "11-23 23:00"),
        (timedelta(days=365), "2025-11-24 11:00"),
    ],
)
def test_a_short_time_says_as_much_date_as_is_needed(age: timedelta, text: str) -> None:
    assert _formats().clock(NOW - age) == text


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (-5, "0 s ago", "0 秒前"),
        (12, "12 s ago", "12 秒前"),
        (119, "119 s ago", "119 秒前"),
        (120, "2 min ago", "2 分钟前"),
        (7200, "2 h ago", "2 小时前"),
        (2 * 86400, "2 days ago", "2 天前"),
    ],
)
def test_an_age_is_told_in_the_unit_that_matters(seconds: int, english: str, chinese: str) -> None:
    at = NOW - timedelta(seconds=seconds)
    assert _formats().ago(at) == english
    assert _formats(CHINESE).ago(at) == chinese


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 ms"), (0.0004, "0.4 ms"), (0.034, "34 ms"), (1.239, "1.24 s"), (180.0, "3 min")]
)
def test_a_measured_duration(seconds: float, text: str) -> None:
    assert _formats().took(seconds) == text


def test_money_is_exact_and_in_the_habit_of_the_language() -> None:
    amount = Decimal("12345678901234567890.12")
    assert _formats(CHINESE).money(amount) == "¥12,345,678,901,234,567,890.12"
    assert _formats().money(Decimal("1556.40")) == "CN¥1,556.40"
