"""The rule table of Polars: an expression over a column, its canonical text, and the values it does not stand for.

Unlike a database, which may say anything that determines the canonical text, this says the canonical text itself. Odd
values are those of which Polars and the reference may think differently; they are left to the reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from tillwatch.audit.canonical import FALSE, TRUE, ZERO_DATES, FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown.elements import FIRST_MOMENT, LAST_MOMENT, Refused, steady
from tillwatch.audit.pushdown.keys import QUIET
from tillwatch.sources.sql.session import ColumnKind

#: What str.strip takes away.
BLANKS = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
BLANKS += "\u2028\u2029\u202f\u205f\u3000"
#: Digits of a Polars decimal, and how many of them stand behind the point when the rule does not say.
_DIGITS = 38
_PLACES = 12
#: Bounds between which a binary float is written without an exponent by everybody.
_SMALLEST, _LARGEST = 1e-4, 1e15
_WHOLE = r"^-?[0-9]{1,18}$"
_CODE_DIGITS = r"^[0-9]+$"
_CLASSES = r"\x00-\x7f" + "".join(f"{first}-{last}" for first, last in QUIET)
#: Characters that are their own NFC beside any other, or ASCII.
_COMPOSED = f"^[{_CLASSES}]*$"
#: The same without letters whose small form is not what casefold makes of them.
_CASELESS = "^[{}]*$".format(_CLASSES.replace("¡-ʯ", ""))
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_COMPACT_DAY = r"^[0-9]{8}$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?$"
_COMPACT_MOMENT = r"^[0-9]{10}[0-5][0-9][0-5][0-9]$"
_FORMAT = "%Y-%m-%dT%H:%M:%S%.6f"
#: Precision: how much of a moment with six places is kept, and what stands behind it.
_CUT = {
    Precision.SECOND: (19, "Z"),
    Precision.CENTISECOND: (22, "0Z"),
    Precision.MILLISECOND: (23, "Z"),
    Precision.MICROSECOND: (26, "Z"),
}


@dataclass(frozen=True, kw_only=True)
class Element:
    """One column as expressions. Where `odd` is true `text` means nothing; where the value is NULL `text` is."""

    text: pl.Expr
    odd: pl.Expr


Builder = Callable[[pl.Expr, Rule], Element]
_NEVER = pl.lit(False)


def element(kind: ColumnKind, column: pl.Expr, rule: Rule) -> Element:
    """The rule table's entry; decimals come as their plain text. Raises Refused when there is none."""
    if rule.factor != 1:
        raise Refused(f"{rule.name} is counted in another unit")
    builder = RULES.get((kind, rule.type))
    if builder is None:
        raise Refused(f"{rule.name} is declared {rule.type} and its column is {kind}")
    made = builder(column, rule)
    if kind is not ColumnKind.TEXT:
        # What is absent is not odd, whatever a comparison with it gives.
        return Element(text=made.text, odd=made.odd.fill_null(False))
    return _with_absent_text(column, rule, made)


def _with_absent_text(column: pl.Expr, rule: Rule, made: Element) -> Element:
    absent = column.is_null()
    if rule.empty_is_null:
        absent = absent | (column.str.strip_chars(BLANKS) == "").fill_null(False)
    if rule.type in (FieldType.DATE, FieldType.TIMESTAMP):
        absent = absent | column.str.strip_chars(BLANKS).is_in(sorted(ZERO_DATES)).fill_null(False)
    return Element(text=pl.when(absent).then(None).otherwise(made.text), odd=~absent & made.odd.fill_null(True))


def _places(rule: Rule) -> int:
    places = max(rule.scale or 0, _PLACES)
    if rule.scale is not None and not 0 <= rule.scale <= _DIGITS // 2:
        raise Refused(f"{rule.name} has more places than a decimal of Polars")
    return places


def _number_shape(places: int) -> str:
    return rf"^-?[0-9]{{1,{_DIGITS - places - 1}}}(?:\.[0-9]{{1,{places}}})?$"


def _decimal(column: pl.Expr, rule: Rule) -> Element:
    """Of the text of a number, however it came."""
    places = _places(rule)
    number = column.cast(pl.Decimal(_DIGITS, places), strict=False)
    if rule.scale is None:
        text = number.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    else:
        rounded = number.round(rule.scale, mode="half_away_from_zero")
        text = rounded.cast(pl.Decimal(_DIGITS, rule.scale), strict=False).cast(pl.String)
    return Element(text=text, odd=~column.str.contains(_number_shape(places)) | text.is_null())


def _decimal_of_integer(column: pl.Expr, rule: Rule) -> Element:
    zeros = "." + "0" * rule.scale if rule.scale else ""
    return Element(text=column.cast(pl.String) + zeros, odd=_NEVER)


def _decimal_of_float(column: pl.Expr, rule: Rule) -> Element:
    # Through its shortest text: that is the number people wrote.
    made = _decimal(column.cast(pl.String), rule)
    return Element(text=made.text, odd=_beyond(column) | made.odd)


def _beyond(column: pl.Expr) -> pl.Expr:
    size = column.abs()
    return ~(column.is_finite() & (((size >= _SMALLEST) & (size < _LARGEST)) | (column == 0)))


def _integer(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=column.cast(pl.String), odd=_NEVER)


def _integer_of_text(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=column.cast(pl.Int64, strict=False).cast(pl.String), odd=~column.str.contains(_WHOLE))


def _integer_of_decimal(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    # Written with its places, which must all be zero.
    whole = column.str.replace(r"\.0+$", "")
    return Element(text=whole.cast(pl.Int64, strict=False).cast(pl.String), odd=~whole.str.contains(_WHOLE))


def _float(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=pl.when(column == 0).then(pl.lit("0.0")).otherwise(column.cast(pl.String)), odd=_beyond(column))


def _float_of_text(column: pl.Expr, rule: Rule) -> Element:
    made = _float(column.cast(pl.Float64, strict=False), rule)
    return Element(text=made.text, odd=~column.str.contains(_number_shape(_PLACES)) | made.odd)


def _float_of_integer(column: pl.Expr, rule: Rule) -> Element:
    return _float(column.cast(pl.Float64), rule)


def _text(column: pl.Expr, rule: Rule) -> Element:
    text = column
    if rule.fold_width:
        # Of these characters the compatible forms are the same in every version of Unicode.
        text = text.str.normalize("NFKC")
    if rule.trim is Trim.BOTH:
        text = text.str.strip_chars(BLANKS)
    elif rule.trim is Trim.RIGHT:
        text = text.str.strip_chars_end(BLANKS)
    if rule.fold_case:
        text = text.str.to_lowercase()
    if rule.strip_zeros:
        bare = text.str.strip_chars_start("0")
        digits = pl.when(bare == "").then(pl.lit("0")).otherwise(bare)
        text = pl.when(text.str.contains(_CODE_DIGITS)).then(digits).otherwise(text)
    return Element(text=text, odd=~column.str.contains(_CASELESS if rule.fold_case else _COMPOSED))


def _text_of_integer(column: pl.Expr, rule: Rule) -> Element:
    return _text(column.cast(pl.String), rule)


def _text_of_decimal(column: pl.Expr, rule: Rule) -> Element:
    return Element(text=_text(column, rule).text, odd=~column.str.contains(_number_shape(_PLACES)))


def _text_of_date(column: pl.Expr, rule: Rule) -> Element:
    return _date(column, rule)


def _date(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(
        text=column.dt.to_string("%Y-%m-%d"),
        odd=~column.is_between(pl.lit(FIRST_MOMENT.date()), pl.lit(LAST_MOMENT.date())),
    )


def _date_of_text(column: pl.Expr, rule: Rule) -> Element:
    """A day, or a wall clock, which is in the rule's own zone and so says its day itself."""
    compact = column.str.contains(_COMPACT_DAY)
    day = pl.when(compact).then(
        pl.concat_str(column.str.slice(0, 4), pl.lit("-"), column.str.slice(4, 2), pl.lit("-"), column.str.slice(6, 2))
    ).otherwise(column.str.slice(0, 10))  # fmt: skip
    made = _date(day.str.to_date("%Y-%m-%d", strict=False), rule)
    shaped = compact | column.str.contains(_DAY) | (column.str.contains(_MOMENT) & (column.str.slice(11, 2) < "24"))
    return Element(text=made.text, odd=~shaped | made.odd.fill_null(True))


def _timestamp_of_moment(column: pl.Expr, rule: Rule) -> Element:
    """Of a column in UTC."""
    return _written(column.dt.replace_time_zone(None), rule, FIRST_MOMENT, LAST_MOMENT)


def _timestamp(column: pl.Expr, rule: Rule) -> Element:
    """Of a wall clock in the rule's zone."""
    clock = steady(rule.zone)
    made = _written(column.dt.offset_by(f"{-clock.offset_seconds}s"), rule, FIRST_MOMENT, LAST_MOMENT)
    return Element(text=made.text, odd=_outside(column, clock.since, clock.until))


def _timestamp_of_text(column: pl.Expr, rule: Rule) -> Element:
    compact = column.str.contains(_COMPACT_MOMENT)
    spread = pl.concat_str(
        column.str.slice(0, 4), pl.lit("-"), column.str.slice(4, 2), pl.lit("-"), column.str.slice(6, 2), pl.lit("T"),
        column.str.slice(8, 2), pl.lit(":"), column.str.slice(10, 2), pl.lit(":"), column.str.slice(12, 2),
    )  # fmt: skip
    plain = pl.when(compact).then(spread).otherwise(column.str.replace(" ", "T", literal=True))
    whole = plain.str.slice(0, 19) + "." + plain.str.slice(20).str.pad_end(6, "0")
    made = _timestamp(whole.str.to_datetime(_FORMAT, strict=False, time_unit="us"), rule)
    return Element(text=made.text, odd=~(compact | column.str.contains(_MOMENT)) | made.odd.fill_null(True))


def _written(column: pl.Expr, rule: Rule, since: datetime, until: datetime) -> Element:
    kept, end = _CUT[rule.precision]
    text = column.dt.to_string(_FORMAT).str.slice(0, kept) + end
    return Element(text=text, odd=_outside(column, since, until))


def _date_of_moment(column: pl.Expr, rule: Rule) -> Element:
    clock = steady(rule.zone)
    utc = column.dt.replace_time_zone(None)
    made = _date(utc.dt.offset_by(f"{clock.offset_seconds}s").dt.date(), rule)
    return Element(text=made.text, odd=_outside(utc, clock.since, clock.until))


def _outside(column: pl.Expr, since: datetime, until: datetime) -> pl.Expr:
    return ~column.is_between(pl.lit(since.replace(tzinfo=None)), pl.lit(until.replace(tzinfo=None)))


def _boolean(column: pl.Expr, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false")), odd=_NEVER)


def _boolean_of_integer(column: pl.Expr, rule: Rule) -> Element:
    return Element(text=_boolean(column == 1, rule).text, odd=~column.is_in([0, 1]))


def _boolean_of_text(column: pl.Expr, rule: Rule) -> Element:
    word = column.str.strip_chars(BLANKS).str.to_lowercase()
    yes, no = sorted(TRUE), sorted(FALSE)
    return Element(text=_boolean(word.is_in(yes), rule).text, odd=~word.is_in([*yes, *no]))


RULES: Mapping[tuple[ColumnKind, FieldType], Builder] = {
    (ColumnKind.TEXT, FieldType.DECIMAL): _decimal,
    (ColumnKind.DECIMAL, FieldType.DECIMAL): _decimal,
    (ColumnKind.INTEGER, FieldType.DECIMAL): _decimal_of_integer,
    (ColumnKind.FLOAT, FieldType.DECIMAL): _decimal_of_float,
    (ColumnKind.INTEGER, FieldType.INTEGER): _integer,
    (ColumnKind.TEXT, FieldType.INTEGER): _integer_of_text,
    (ColumnKind.DECIMAL, FieldType.INTEGER): _integer_of_decimal,
    (ColumnKind.FLOAT, FieldType.FLOAT): _float,
    (ColumnKind.INTEGER, FieldType.FLOAT): _float_of_integer,
    (ColumnKind.TEXT, FieldType.FLOAT): _float_of_text,
    (ColumnKind.DECIMAL, FieldType.FLOAT): _float_of_text,
    (ColumnKind.DATE, FieldType.DATE): _date,
    (ColumnKind.LOCAL_TIME, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.MOMENT, FieldType.DATE): _date_of_moment,
    (ColumnKind.MOMENT, FieldType.TIMESTAMP): _timestamp_of_moment,
    (ColumnKind.TEXT, FieldType.DATE): _date_of_text,
    (ColumnKind.TEXT, FieldType.TIMESTAMP): _timestamp_of_text,
    (ColumnKind.BOOLEAN, FieldType.BOOLEAN): _boolean,
    (ColumnKind.INTEGER, FieldType.BOOLEAN): _boolean_of_integer,
    (ColumnKind.TEXT, FieldType.BOOLEAN): _boolean_of_text,
    **{
        (kind, type): builder
        for type in (FieldType.TEXT, FieldType.CODE)
        for kind, builder in (
            (ColumnKind.TEXT, _text),
            (ColumnKind.INTEGER, _text_of_integer),
            (ColumnKind.DECIMAL, _text_of_decimal),
            (ColumnKind.BOOLEAN, _boolean),
            (ColumnKind.DATE, _text_of_date),
        )
    },
}
