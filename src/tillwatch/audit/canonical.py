"""One text for one meaning: the reference rules by which values of two systems are compared.

Every value becomes text or None (NULL). Two values are equal exactly when their canonical texts are; a tolerance is
applied afterwards, by `compare`. A value that cannot be read as its declared type is never repaired by guessing:
`Unreadable` carries its raw text, and the audit cannot be clean.

type       canonical form
decimal    no exponent, no -0; with a scale rounded half-up to exactly that many places, else without trailing zeros
integer    decimal digits without leading zeros
text       Unicode NFC; as it is otherwise
code       NFC, trimmed; leading zeros kept, or dropped from digits on request; full-width letters and digits become
           ASCII only on request (NFKC also turns （ into ( and ㎏ into kg, so it is for codes, never for names)
date       YYYY-MM-DD; an instant becomes the date in the declared zone; the zero dates of SAP and MySQL are NULL
timestamp  UTC with the declared precision, truncated; a naive one is in the declared zone
boolean    true or false, from the spellings in TRUE and FALSE
float      the shortest decimal that reads back as the same binary double, so 0.1 is 0.1 on every side
"""

import enum
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo

from tillwatch.model.audit import Value

#: Digits kept when rounding: SAP quantities have 31, nothing real has more.
MAX_DIGITS = 60
#: Raw text kept of a value that cannot be read; enough to recognise it, never enough to flood a report.
MAX_RAW_CHARACTERS = 200

TRUE = frozenset({"1", "true", "t", "yes", "y", "x", "on", "是", "真"})
FALSE = frozenset({"0", "false", "f", "no", "n", "off", "否", "假"})

#: How SAP (DATS, DATS with TIMS) and MySQL write that there is no date.
ZERO_DATES = frozenset({"00000000", "00000000000000", "0000-00-00", "0000-00-00 00:00:00"})

_CONTEXT = Context(prec=MAX_DIGITS)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_COMPACT_DATE = re.compile(r"\d{8}", re.ASCII)
_COMPACT_MOMENT = re.compile(r"\d{14}", re.ASCII)


class FieldType(enum.StrEnum):
    DECIMAL = "decimal"
    INTEGER = "integer"
    TEXT = "text"
    CODE = "code"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    FLOAT = "float"


class Trim(enum.StrEnum):
    """Which spaces a text loses; `right` is what fixed-width CHAR columns need."""

    NONE = "none"
    RIGHT = "right"
    BOTH = "both"


class Precision(enum.StrEnum):
    """The finest part of a timestamp that counts; finer parts are cut off, not rounded."""

    SECOND = "second"
    #: What SQL Server's datetime can be trusted with: its ticks are a three-hundredth of a second.
    CENTISECOND = "centisecond"
    MILLISECOND = "millisecond"
    MICROSECOND = "microsecond"


class Unreadable(ValueError):
    """A value that cannot be read as its declared type. `raw` is its text, shortened and printable."""

    def __init__(self, value: object, expected: FieldType) -> None:
        self.raw = printable(value)
        super().__init__(f"'{self.raw}' is not a {expected}")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How one field is compared."""

    name: str
    type: FieldType
    #: Decimal places, rounded half-up; None = all places count.
    scale: int | None = None
    #: Largest difference of two numbers that still counts as equal.
    tolerance: Decimal | None = None
    trim: Trim = Trim.NONE
    #: Full-width letters and digits become ASCII (NFKC).
    fold_width: bool = False
    fold_case: bool = False
    #: An empty text is NULL; declare it for systems that cannot store an empty text.
    empty_is_null: bool = False
    #: The zone of times that do not carry one, and of the dates of instants.
    zone: ZoneInfo
    precision: Precision = Precision.MICROSECOND
    #: Numbers are multiplied by it before anything else: this side counts in another unit.
    factor: Decimal = Decimal(1)
    #: Zeros in front of a code of digits are dropped.
    strip_zeros: bool = False


Canonical = Callable[[Value], str | None]


def canonical(rule: Rule) -> Canonical:
    """The function that turns a value of `rule`'s field into its canonical text. It raises Unreadable."""
    read = _READERS[rule.type](rule)
    empty_is_null = rule.empty_is_null
    nothing = ZERO_DATES if rule.type in (FieldType.DATE, FieldType.TIMESTAMP) else frozenset()

    def canonical_value(value: Value) -> str | None:
        if value is None or (empty_is_null and isinstance(value, str) and not value.strip()):
            return None
        if nothing and isinstance(value, str) and value.strip() in nothing:
            return None
        return read(value)

    return canonical_value


def printable(value: object) -> str:
    """`value` as text that any store and any page can hold: no lone surrogates, no NUL, bounded length."""
    text = str(value)
    text = text[:MAX_RAW_CHARACTERS] + "…" if len(text) > MAX_RAW_CHARACTERS else text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


def decimal_text(number: Decimal, scale: int | None) -> str:
    """The canonical text of a finite number. Raises InvalidOperation beyond MAX_DIGITS digits."""
    if scale is not None:
        number = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CONTEXT)
        return format(number, "f") if number else format(abs(number), "f")
    if not number:
        return "0"
    digits = number.as_tuple().digits
    if abs(number.adjusted()) > MAX_DIGITS or len(digits) > MAX_DIGITS:
        raise InvalidOperation
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(rule: Rule) -> Callable[[Value], str]:
    scale, factor = rule.scale, rule.factor
    # The quantum is built once; this runs for every cell.
    quantum = None if scale is None else Decimal(1).scaleb(-scale)

    def read(value: Value) -> str:
        number = _number(value, FieldType.DECIMAL)
        try:
            if factor != 1:
                number = _CONTEXT.multiply(number, factor)
            if quantum is None:
                return decimal_text(number, None)
            rounded = number.quantize(quantum, ROUND_HALF_UP, _CONTEXT)
        except InvalidOperation as error:
            raise Unreadable(value, FieldType.DECIMAL) from error
        return format(rounded if rounded else abs(rounded), "f")

    return read


def _number(value: Value, expected: FieldType) -> Decimal:
    """A finite Decimal. Thousands separators, underscores and NaN are refused: guessing would hide a fault."""
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, bool):
        raise Unreadable(value, expected)
    elif isinstance(value, int):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, str):
        text = value.strip()
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        if not _DECIMAL.fullmatch(text):
            raise Unreadable(value, expected)
        number = Decimal(text)
    else:
        raise Unreadable(value, expected)
    if not number.is_finite():
        raise Unreadable(value, expected)
    return number


def _integer(rule: Rule) -> Callable[[Value], str]:
    factor = rule.factor

    def read(value: Value) -> str:
        if type(value) is int and factor == 1:
            return str(value)
        number = _CONTEXT.multiply(_number(value, FieldType.INTEGER), factor)
        if abs(number.adjusted()) > MAX_DIGITS or number != number.to_integral_value():
            raise Unreadable(value, FieldType.INTEGER)
        return str(int(number))

    return read


def _text(rule: Rule) -> Callable[[Value], str]:
    form: Literal["NFC", "NFKC"] = "NFKC" if rule.fold_width else "NFC"
    trim, fold_case, expected, strip_zeros = rule.trim, rule.fold_case, rule.type, rule.strip_zeros

    def read(value: Value) -> str:
        text = value if isinstance(value, str) else _plain(value, expected)
        # ASCII is in every normal form already; most codes are ASCII.
        if not text.isascii():
            text = unicodedata.normalize(form, text)
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise Unreadable(value, expected) from error
        if trim is Trim.BOTH:
            text = text.strip()
        elif trim is Trim.RIGHT:
            text = text.rstrip()
        if fold_case:
            text = unicodedata.normalize(form, text.casefold())
        if strip_zeros and text.isascii() and text.isdigit():
            text = text.lstrip("0") or "0"
        return text

    return read


def _plain(value: Value, expected: FieldType) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
            raise Unreadable(value, expected)
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise Unreadable(value, expected)


def _moment(value: Value, zone: ZoneInfo, expected: FieldType) -> datetime:
    """An aware datetime. A naive one is in `zone`; a plain date is its midnight there."""
    if isinstance(value, str):
        if _COMPACT_MOMENT.fullmatch(value):
            value = f"{value[:8]}T{value[8:]}"
        try:
            value = datetime.fromisoformat(value.strip().replace("/", "-"))
        except ValueError as error:
            raise Unreadable(value, expected) from error
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    if isinstance(value, date):
        return datetime.combine(value, time(), zone)
    raise Unreadable(value, expected)


def _date(rule: Rule) -> Callable[[Value], str]:
    zone = rule.zone

    def read(value: Value) -> str:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, str) and _COMPACT_DATE.fullmatch(value):
            value = f"{value[:4]}-{value[4:6]}-{value[6:]}"
        moment = _moment(value, zone, FieldType.DATE)
        try:
            return moment.astimezone(zone).date().isoformat()
        except OverflowError as error:
            raise Unreadable(value, FieldType.DATE) from error

    return read


def _timestamp(rule: Rule) -> Callable[[Value], str]:
    zone, precision = rule.zone, rule.precision
    unit = {
        Precision.SECOND: "seconds",
        Precision.CENTISECOND: "milliseconds",
        Precision.MILLISECOND: "milliseconds",
    }.get(precision, "microseconds")

    def read(value: Value) -> str:
        try:
            moment = _moment(value, zone, FieldType.TIMESTAMP).astimezone(UTC)
        except OverflowError as error:
            raise Unreadable(value, FieldType.TIMESTAMP) from error
        if precision is Precision.CENTISECOND:
            moment = moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)
        # isoformat cuts finer parts off, it does not round.
        return moment.replace(tzinfo=None).isoformat(timespec=unit) + "Z"

    return read


def _boolean(rule: Rule) -> Callable[[Value], str]:  # noqa: ARG001 - every reader takes its rule
    def read(value: Value) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | Decimal | float) and value in (0, 1):
            return "true" if value else "false"
        if isinstance(value, str):
            word = unicodedata.normalize("NFKC", value).strip().casefold()
            if word in TRUE:
                return "true"
            if word in FALSE:
                return "false"
        raise Unreadable(value, FieldType.BOOLEAN)

    return read


def _float(rule: Rule) -> Callable[[Value], str]:  # noqa: ARG001 - every reader takes its rule
    def read(value: Value) -> str:
        try:
            double = float(value if isinstance(value, float) else _number(value, FieldType.FLOAT))
        except OverflowError as error:
            raise Unreadable(value, FieldType.FLOAT) from error
        if not math.isfinite(double):
            raise Unreadable(value, FieldType.FLOAT)
        # The text of a double of any size has at most 17 digits; exponents are kept, for they carry no ambiguity.
        return repr(double or 0.0)

    return read


_READERS: dict[FieldType, Callable[[Rule], Callable[[Value], str]]] = {
    FieldType.DECIMAL: _decimal,
    FieldType.INTEGER: _integer,
    FieldType.TEXT: _text,
    FieldType.CODE: _text,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.BOOLEAN: _boolean,
    FieldType.FLOAT: _float,
}
