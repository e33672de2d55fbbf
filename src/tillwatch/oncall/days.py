"""Wall-clock times and kinds of days: opening hours, nights, public holidays and the working weekends around them."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import chinese_calendar

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_A_DAY = 24 * 60
_SATURDAY = 5


@cache
def kinds(day: date, holidays: str) -> frozenset[str]:
    """What `day` is: its weekday, and `workday` or `holiday`.

    A year the State Council has not announced yet counts by its weekdays.
    """
    return frozenset({_NAMES[day.weekday()], "workday" if _is_workday(day, holidays) else "holiday"})


def is_announced(day: date, holidays: str) -> bool:
    """Whether the holidays of the year of `day` are known."""
    return holidays == "none" or _official(day) is not None


def _is_workday(day: date, holidays: str) -> bool:
    official = _official(day) if holidays == "china" else None
    return day.weekday() < _SATURDAY if official is None else official


def _official(day: date) -> bool | None:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return None


def minutes(text: str) -> int:
    """`09:30` as minutes since midnight; `24:00` is the end of the day."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)


def span(hours: str) -> tuple[int, int]:
    """`22:00-08:00` as minutes; the end lies beyond the day when the span goes over midnight. No hours: all day."""
    if not hours:
        return 0, _MINUTES_A_DAY
    first, _, last = hours.partition("-")
    begin, end = minutes(first), minutes(last)
    return begin, end if end > begin else end + _MINUTES_A_DAY


def holds(at: datetime, zone: ZoneInfo, *, hours: str, days: Collection[str], holidays: str) -> bool:
    """Whether `at` lies in `hours` of one of `days` (any day when there are none).

    A span over midnight belongs to the day on which it begins.
    """
    return any(_among(day, days, holidays) for day in _spanned(at, zone, hours))


def _spanned(at: datetime, zone: ZoneInfo, hours: str) -> Iterator[date]:
    """The days whose span holds `at`. Compared as instants, so that a change of clocks cannot come between."""
    begin, end = span(hours)
    today = at.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        if instant(day, begin, zone) <= at < instant(day, end, zone):
            yield day


def _among(day: date, days: Collection[str], holidays: str) -> bool:
    return not days or not kinds(day, holidays).isdisjoint(days)


def instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The instant of a wall-clock time, in UTC.

    A time that a change of clocks skips comes later by as much as the clocks move; of a time that comes twice the
    first counts.
    """
    extra, rest = divmod(minute, _MINUTES_A_DAY)
    wall = datetime.combine(day + timedelta(days=extra), time(rest // 60, rest % 60), tzinfo=zone)
    return wall.astimezone(UTC)


def placed(value: datetime, zone: ZoneInfo) -> datetime:
    """A time out of a file: one without an offset is in `zone`."""
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def ends(at: datetime, zone: ZoneInfo, hours: str) -> datetime:
    """When the span around `at` is over; `at` itself when it lies in none."""
    _, end = span(hours)
    return max((instant(day, end, zone) for day in _spanned(at, zone, hours)), default=at)
