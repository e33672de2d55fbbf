"""Rules that look at one value: what is wrong with it, None when nothing is. Pure; the clock is passed in.

An absent value (NULL) breaks `required` and nothing else: otherwise every rule would report it once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tillwatch.audit.canonical import Canonical, FieldType, Unreadable, canonical, decimal_text
from tillwatch.audit.canonical import Rule as Reading
from tillwatch.errors import UsageError
from tillwatch.model.audit import Value
from tillwatch.model.text import Text
from tillwatch.probers.pattern import compiled
from tillwatch.validation.damage import damage

#: What is wrong with a value, by language; None = nothing.
Check = Callable[[Value], Text | None]

_NO_VALUE: Text = {"en": "no value", "zh": "没有值"}
#: UTC with microseconds, as canonical timestamps are: fixed width, so text order is time order.
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Both ends belong to what is allowed; None = open."""

    type: FieldType
    low: str | None = None
    high: str | None = None

    @property
    def numbers(self) -> tuple[Decimal | None, Decimal | None]:
        return (
            None if self.low is None else Decimal(self.low),
            None if self.high is None else Decimal(self.high),
        )


def bounds(low: str | None, high: str | None, zone: ZoneInfo) -> Bounds:
    """The ends as they are written: both numbers, both days, or both moments. Raises UsageError."""
    given = [end for end in (low, high) if end is not None]
    for kind in (FieldType.DECIMAL, FieldType.DATE, FieldType.TIMESTAMP):
        read = reader(kind, zone)
        if kind is FieldType.DATE and any(len(end.strip()) > len("2020-01-01") for end in given):
            continue
        try:
            ends = [None if end is None else read(end) for end in (low, high)]
        except Unreadable:
            continue
        found = Bounds(type=kind, low=ends[0], high=ends[1])
        if len(given) == 2 and _after(found, ends[0] or "", ends[1] or ""):
            raise UsageError(f"min {low} is more than max {high}")
        return found
    raise UsageError(f"'{' and '.join(given)}' is no range; write numbers, or days such as 2020-01-01")


def _after(ends: Bounds, one: str, other: str) -> bool:
    return Decimal(one) > Decimal(other) if ends.type is FieldType.DECIMAL else one > other


def reader(kind: FieldType, zone: ZoneInfo) -> Canonical:
    """How a value is read as `kind`; times without a zone are in `zone`."""
    return canonical(Reading(name="", type=kind, zone=zone))


def text_of(value: Value) -> str | None:
    """A value as it is shown, and as two values are told apart: 1.50 and 1.5 are one number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.is_finite():
        try:
            return decimal_text(value, None)
        except ArithmeticError:
            return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(_MOMENT) if value.tzinfo else value.isoformat()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def required(value: Value) -> Text | None:
    """Spaces alone are no value."""
    return _NO_VALUE if value is None or (isinstance(value, str) and not value.strip()) else None


def pattern(expression: str) -> Check:
    """The whole value must match. Raises UsageError for what is no RE2 pattern."""
    try:
        whole = compiled(f"^(?:{expression})$")
    except ValueError as error:
        raise UsageError(str(error)) from error
    problem: Text = {"en": f"does not match {expression}", "zh": f"不符合 {expression}"}

    def check(value: Value) -> Text | None:
        text = text_of(value)
        if text is None:
            return None
        # RE2 reads UTF-8; what cannot be written as it is the business of the rule `encoding`.
        return None if whole.search(text.encode("utf-8", "replace").decode()) else problem

    return check


def within(ends: Bounds, zone: ZoneInfo) -> Check:
    """Between two ends, which are allowed themselves."""
    read = reader(ends.type, zone)
    number = ends.type is FieldType.DECIMAL
    kind_zh = {FieldType.DECIMAL: "数字", FieldType.DATE: "日期", FieldType.TIMESTAMP: "时间"}[ends.type]
    unreadable: Text = {"en": f"not a {ends.type}", "zh": f"不是{kind_zh}"}
    below: Text = {"en": f"less than {ends.low}", "zh": f"小于 {ends.low}"}
    above: Text = {"en": f"more than {ends.high}", "zh": f"大于 {ends.high}"}
    low, high = ends.numbers if number else (ends.low, ends.high)

    def check(value: Value) -> Text | None:
        try:
            text = read(value)
        except Unreadable:
            return unreadable
        if text is None:
            return None
        found = Decimal(text) if number else text
        if low is not None and found < low:  # type: ignore[operator]
            return below
        return above if high is not None and found > high else None  # type: ignore[operator]

    return check


def not_negative(zone: ZoneInfo) -> Check:
    return within(Bounds(type=FieldType.DECIMAL, low="0"), zone)


def not_future(now: datetime, allow: timedelta, zone: ZoneInfo) -> Check:
    """Not later than `now`, with an allowance for clocks that are wrong."""
    read = reader(FieldType.TIMESTAMP, zone)
    latest = (now + allow).astimezone(UTC).strftime(_MOMENT)
    unreadable: Text = {"en": "not a timestamp", "zh": "不是时间"}
    future: Text = {"en": "lies in the future", "zh": "在未来"}

    def check(value: Value) -> Text | None:
        try:
            moment = read(value)
        except Unreadable:
            return unreadable
        return future if moment is not None and moment > latest else None

    return check


def encoding(value: Value) -> Text | None:
    return damage(value) if isinstance(value, str) else None
