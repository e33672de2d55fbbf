"""What a dialect says of one column, and the zones whose clocks can be pushed down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tillwatch.audit.canonical import FALSE, MAX_DIGITS, TRUE, FieldType, Precision, Rule
from tillwatch.sources.sql.session import Column, ColumnKind

#: Years in which every dialect and the reference agree on the calendar, whatever the zone.
FIRST_MOMENT = datetime(1000, 1, 3, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 29, tzinfo=UTC)
#: Laws on clocks change; what a zone will do after this year is not known.
_HORIZON = datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)
#: A clock that was changed after this day is likely to be changed again.
_SETTLED = datetime(2020, 1, 1, tzinfo=UTC)

_TIMES = {ColumnKind.DATE, ColumnKind.LOCAL_TIME, ColumnKind.MOMENT}


class Refused(Exception):
    """This column cannot be compared where it lies; the message, half a sentence, says why."""


@dataclass(frozen=True, kw_only=True)
class Element:
    """One column as SQL. Everything is a fragment to put into a larger statement."""

    #: A text that determines the canonical text of the value; NULL where the canonical value is NULL.
    text: str
    #: True for values the text does not stand for: such rows are read and compared here. Empty = never.
    odd: str = ""
    #: The bare column, when equal values of equal types are equal canonical values; empty = only `text` will do.
    native: str = ""


Builder = Callable[[Column, Rule], Element]
Table = Mapping[tuple[ColumnKind, FieldType], Builder]


def element(table: Table, column: Column, rule: Rule) -> Element:
    """The rule table's entry for this column. Raises Refused."""
    if column.marks_change and column.kind not in _TIMES and rule.type is not FieldType.TIMESTAMP:
        raise Refused(f"{rule.name} is the change field, which is read as a moment")
    builder = table.get((column.kind, rule.type))
    if builder is None:
        raise Refused(f"{rule.name} is declared {rule.type} and its column is {column.kind}")
    if rule.precision is Precision.CENTISECOND:
        # The finer text determines the coarser one; no database cuts hundredths off by itself.
        rule = replace(rule, precision=Precision.MICROSECOND)
    return builder(column, rule)


@dataclass(frozen=True, kw_only=True)
class Steady:
    """A zone's clock from `since` on: always the same distance from UTC."""

    since: datetime
    until: datetime
    offset_seconds: int


@cache
def steady(zone: ZoneInfo) -> Steady:
    """The last stretch in which `zone` did not change its clock. Raises Refused when it still does."""
    if zone.key in ("UTC", "Etc/UTC"):
        return Steady(since=FIRST_MOMENT, until=LAST_MOMENT, offset_seconds=0)
    moment, last = _HORIZON, _offset(zone, _HORIZON)
    while moment > FIRST_MOMENT and _offset(zone, moment - _STEP) == last:
        moment -= _STEP
    if moment > _SETTLED:
        raise Refused(f"the clock of {zone.key} still changes, which databases judge differently")
    # A day on either side keeps clear of the change itself.
    return Steady(since=moment + timedelta(days=1), until=_HORIZON, offset_seconds=last)


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def limit(scale: int | None) -> str:
    """Numbers from here on may have more digits than the reference reads."""
    return "1" + "0" * (MAX_DIGITS - 2 - (scale if scale is not None else MAX_DIGITS // 2))


def always_fits(column: Column, rule: Rule) -> bool:
    """Whether no number of the declared size has more digits than the reference reads."""
    if column.precision is None or column.scale is None:
        return False
    places = column.scale if rule.scale is None else rule.scale
    return column.precision - column.scale + places < MAX_DIGITS


def any_of(*conditions: str) -> str:
    """True where one of the non-empty conditions is."""
    real = [condition for condition in conditions if condition]
    return " OR ".join(f"({condition})" for condition in real)


def boolean_of_number(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    """1 and 0, where the engine has no booleans of its own."""
    return Element(
        text=f"CASE {column.sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END", odd=f"{column.sql} NOT IN (0, 1)"
    )


def spellings() -> tuple[list[str], list[str]]:
    """How yes and no are written, in small letters and capitals: a text in between is the reference's to read."""
    yes, no = (sorted({form for one in words for form in (one, one.upper())}) for words in (TRUE, FALSE))
    return yes, no
