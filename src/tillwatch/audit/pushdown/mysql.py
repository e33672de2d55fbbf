"""MariaDB and MySQL. Sessions speak utf8mb4 and UTC."""

from collections.abc import Sequence
from datetime import datetime

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown.elements import (
    FIRST_MOMENT,
    LAST_MOMENT,
    Element,
    Refused,
    Table,
    always_fits,
    boolean_of_number,
    limit,
    spellings,
    steady,
)
from tillwatch.sources.sql.session import Column, ColumnKind

#: Places a DECIMAL may have everywhere (MySQL; MariaDB allows 38), and digits in all.
MAX_PLACES = 30
MAX_DIGITS = 65

_PLACES = {
    Precision.SECOND: "%Y-%m-%dT%H:%i:%sZ",
    Precision.MICROSECOND: "%Y-%m-%dT%H:%i:%s.%fZ",
}
_NUMBER = "'^-?[0-9]{1,30}([.][0-9]{1,25})?$'"
_WHOLE = "'^-?[0-9]{1,50}$'"


def literal(value: str) -> str:
    """By its bytes: what a backslash means depends on a setting of the server."""
    return f"_utf8mb4 X'{value.encode().hex()}'"


def _number(number: str, rule: Rule, *, places: int) -> str:
    if rule.scale is not None:
        if rule.scale > MAX_PLACES:
            raise Refused(f"{rule.name} has more than {MAX_PLACES} places")
        return f"CAST(CAST({number} AS DECIMAL({MAX_DIGITS}, {rule.scale})) AS CHAR)"
    text = f"CAST({number} AS CHAR)"
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))" if places else text


def _decimal(column: Column, rule: Rule) -> Element:
    scale = column.scale if column.scale is not None else MAX_PLACES
    odd = "" if always_fits(column, rule) else f"ABS({column.sql}) >= {limit(rule.scale)}"
    return Element(text=_number(column.sql, rule, places=scale), odd=odd)


def _decimal_of_integer(column: Column, rule: Rule) -> Element:
    return Element(text=_number(column.sql, rule, places=0))


def _decimal_of_float(column: Column, rule: Rule) -> Element:
    # Through its shortest text: that is the number people wrote. Beyond these bounds it has an exponent.
    odd = f"NOT (ABS({column.sql}) < 1e14 AND (ABS({column.sql}) > 1e-4 OR {column.sql} = 0))"
    number = f"CAST(CAST({column.sql} AS CHAR) AS DECIMAL({MAX_DIGITS}, {MAX_PLACES}))"
    return Element(text=_number(number, rule, places=MAX_PLACES), odd=odd)


def _decimal_of_text(column: Column, rule: Rule) -> Element:
    number = f"CAST({column.sql} AS DECIMAL({MAX_DIGITS}, {MAX_PLACES}))"
    return _parsed(column, rule, shape=_NUMBER, text=_number(number, rule, places=MAX_PLACES))


def _integer_of_text(column: Column, rule: Rule) -> Element:
    return _parsed(column, rule, shape=_WHOLE, text=f"CAST(CAST({column.sql} AS DECIMAL({MAX_DIGITS}, 0)) AS CHAR)")


def _parsed(column: Column, rule: Rule, *, shape: str, text: str) -> Element:
    absent = f"{column.sql} IS NULL"
    if rule.empty_is_null:
        absent += f" OR TRIM({column.sql}) = ''"
    return Element(
        text=f"CASE WHEN {absent} THEN NULL WHEN {column.sql} REGEXP {shape} THEN {text} END",
        odd=f"({absent} OR {column.sql} REGEXP {shape}) IS NOT TRUE",
    )


def _integer(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"CAST({column.sql} AS CHAR)")


def _integer_of_decimal(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    odd = f"ABS({column.sql}) >= {limit(0)} OR {column.sql} <> TRUNCATE({column.sql}, 0)"
    return Element(text=f"CAST(CAST({column.sql} AS DECIMAL({MAX_DIGITS}, 0)) AS CHAR)", odd=odd)


def whole_text(column: Column) -> str:
    """The column's text in the bytes everybody agrees on."""
    return column.sql if column.collation.startswith("utf8mb4") else f"CONVERT({column.sql} USING utf8mb4)"


def _text(column: Column, rule: Rule) -> Element:
    text = whole_text(column)
    if rule.trim is Trim.RIGHT:
        text = f"TRIM(TRAILING ' ' FROM {text})"
    elif rule.trim is Trim.BOTH:
        text = f"TRIM({text})"
    if rule.fold_case:
        # What is small in a collation is not what the reference calls small; of A to Z both say the same.
        text = f"CASE WHEN LENGTH({text}) = CHAR_LENGTH({text}) THEN LOWER({text}) ELSE {text} END"
    if rule.empty_is_null:
        text = f"CASE WHEN LENGTH(TRIM({column.sql})) > 0 THEN {text} END"
    return Element(text=text)


def _text_of_decimal(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"CAST({column.sql} AS CHAR)")


def _date(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"DATE_FORMAT({column.sql}, '%Y-%m-%d')", odd=_outside(column.sql, FIRST_MOMENT, LAST_MOMENT))


def _timestamp(column: Column, rule: Rule) -> Element:
    clock = steady(column.zone)
    utc = _shifted(column.sql, -clock.offset_seconds)
    if rule.precision is Precision.MILLISECOND:
        text = f"CONCAT(LEFT(DATE_FORMAT({utc}, '%Y-%m-%dT%H:%i:%s.%f'), 23), 'Z')"
    else:
        text = f"DATE_FORMAT({utc}, '{_PLACES[rule.precision]}')"
    return Element(text=text, odd=_outside(column.sql, clock.since, clock.until))


def _date_of_timestamp(column: Column, rule: Rule) -> Element:
    if column.zone.key == rule.zone.key:
        return _date(column, rule)
    there, here = steady(column.zone), steady(rule.zone)
    moved = _shifted(column.sql, here.offset_seconds - there.offset_seconds)
    odd = _outside(column.sql, max(there.since, here.since), min(there.until, here.until))
    return Element(text=f"DATE_FORMAT({moved}, '%Y-%m-%d')", odd=odd)


def _boolean_of_text(column: Column, rule: Rule) -> Element:
    word = f"CAST(TRIM({whole_text(column)}) AS BINARY)"
    yes, no = map(_words, spellings())
    odd = f"{word} NOT IN ({yes}, {no})"
    if rule.empty_is_null:
        odd += f" AND {word} <> ''"
    return Element(text=f"CASE WHEN {word} IN ({yes}) THEN 'true' WHEN {word} IN ({no}) THEN 'false' END", odd=odd)


def _words(words: Sequence[str]) -> str:
    return ", ".join(f"X'{word.encode().hex()}'" for word in words)


def _shifted(moment: str, seconds: int) -> str:
    return f"DATE_ADD({moment}, INTERVAL {seconds} SECOND)" if seconds else moment


def _outside(moment: str, since: datetime, until: datetime) -> str:
    # 0000-00-00 and 2026-00-00 are dates here; no driver can hand them over as one.
    first, last = (f"TIMESTAMP'{bound:%Y-%m-%d} 00:00:00'" for bound in (since, until))
    return f"{moment} NOT BETWEEN {first} AND {last} OR MONTH({moment}) = 0 OR DAY({moment}) = 0"


RULES: Table = {
    (ColumnKind.DECIMAL, FieldType.DECIMAL): _decimal,
    (ColumnKind.INTEGER, FieldType.DECIMAL): _decimal_of_integer,
    (ColumnKind.FLOAT, FieldType.DECIMAL): _decimal_of_float,
    (ColumnKind.TEXT, FieldType.DECIMAL): _decimal_of_text,
    (ColumnKind.INTEGER, FieldType.INTEGER): _integer,
    (ColumnKind.DECIMAL, FieldType.INTEGER): _integer_of_decimal,
    (ColumnKind.TEXT, FieldType.INTEGER): _integer_of_text,
    (ColumnKind.DATE, FieldType.DATE): _date,
    (ColumnKind.LOCAL_TIME, FieldType.DATE): _date_of_timestamp,
    (ColumnKind.MOMENT, FieldType.DATE): _date_of_timestamp,
    (ColumnKind.LOCAL_TIME, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.MOMENT, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.INTEGER, FieldType.BOOLEAN): boolean_of_number,
    (ColumnKind.TEXT, FieldType.BOOLEAN): _boolean_of_text,
    **{
        (kind, type): builder
        for type in (FieldType.TEXT, FieldType.CODE)
        for kind, builder in (
            (ColumnKind.TEXT, _text),
            (ColumnKind.INTEGER, _integer),
            (ColumnKind.DECIMAL, _text_of_decimal),
        )
    },
}
