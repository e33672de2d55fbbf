"""Oracle 12.2 and later, AL32UTF8. Compiled and linted, never run: no server of it could be started where this was
written.

An empty text is NULL here: declare `empty_is_null`, or an empty text on the other side differs. A DATE has a time.
"""

from collections.abc import Sequence
from datetime import datetime

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown.elements import (
    FIRST_MOMENT,
    LAST_MOMENT,
    Element,
    Refused,
    Table,
    boolean_of_number,
    spellings,
    steady,
)
from tillwatch.sources.sql.session import Column, ColumnKind

#: Digits of a number, and of the format that writes them.
_DIGITS = 38
_WHOLE_DIGITS = 25
_POINT = "'NLS_NUMERIC_CHARACTERS=''.,'''"
_KEPT = {Precision.SECOND: 19, Precision.MILLISECOND: 23, Precision.MICROSECOND: 26}
#: Days that every year has; whether a year has a 29 February is the reference's to say.
_COMPACT_DAY = "^[1-9][0-9]{3}((0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])(29|30)|(0[13578]|1[02])31)$"
_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.FF9'


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def record(texts: Sequence[str]) -> str:
    """Texts of a row one after the other, each behind its length in bytes; NULL looks like no text."""
    # NULL joined to a text is that text here, so it must be asked for.
    return " || ".join(f"CASE WHEN {one} IS NULL THEN '~' ELSE LENGTHB({one}) || ':' || {one} END" for one in texts)


def slices(row: str) -> tuple[str, str]:
    """The two slices of 60 bits of the MD5 of a record, as the other dialects cut them."""
    digits = f"RAWTOHEX(STANDARD_HASH({row}, 'MD5'))"
    first, second = (f"TO_NUMBER(SUBSTR({digits}, {start}, 15), '{'X' * 15}')" for start in (1, 16))
    return first, second


def row_version() -> str:
    """When a row, or another of its block, was last committed: a change is always seen, at times one too many."""
    return "ORA_ROWSCN"


def _decimal(column: Column, rule: Rule) -> Element:
    bounded = f"ABS({column.sql}) >= 1{'0' * _WHOLE_DIGITS}"
    if rule.scale is None:
        # Without a zero in front of the point.
        text = f"REGEXP_REPLACE(TO_CHAR({column.sql}, 'TM9', {_POINT}), '^(-?)[.]', '\\10.')"
        return Element(text=text, odd=bounded)
    if rule.scale > _DIGITS - _WHOLE_DIGITS:
        raise Refused(f"{rule.name} has more than {_DIGITS - _WHOLE_DIGITS} places")
    places = "D" + "0" * rule.scale if rule.scale else ""
    shape = f"'FM{'9' * _WHOLE_DIGITS}0{places}'"
    return Element(text=f"TO_CHAR(ROUND({column.sql}, {rule.scale}), {shape}, {_POINT})", odd=bounded)


def _integer(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    odd = f"{column.sql} <> TRUNC({column.sql}) OR ABS({column.sql}) >= 1{'0' * _DIGITS}"
    return Element(text=f"TO_CHAR({column.sql}, 'TM9', {_POINT})", odd=odd)


def _text(column: Column, rule: Rule) -> Element:
    text = column.sql
    if rule.trim is Trim.RIGHT:
        text = f"RTRIM({text}, ' ')"
    elif rule.trim is Trim.BOTH:
        text = f"TRIM({text})"
    if rule.fold_case:
        # Of A to Z everybody agrees on the small letter; the rest is the reference's.
        text = f"CASE WHEN LENGTHB({column.sql}) = LENGTH({column.sql}) THEN LOWER({text}) ELSE {text} END"
    if rule.empty_is_null:
        text = f"CASE WHEN TRIM({column.sql}) IS NOT NULL THEN {text} END"
        return Element(text=text)
    # What is only blanks is an empty text to the reference once trimmed, and NULL here.
    odd = f"{column.sql} IS NOT NULL AND TRIM({column.sql}) IS NULL" if rule.trim is not Trim.NONE else ""
    return Element(text=text, odd=odd)


def _date_of_text(column: Column, rule: Rule) -> Element:
    """SAP's DATS: eight digits, and as many zeros where there is no day."""
    absent = f"{column.sql} IS NULL OR {column.sql} = '00000000'"
    if rule.empty_is_null:
        absent += f" OR TRIM({column.sql}) IS NULL"
    c = column.sql
    sane = f"REGEXP_LIKE({c}, '{_COMPACT_DAY}')"
    day = f"SUBSTR({c}, 1, 4) || '-' || SUBSTR({c}, 5, 2) || '-' || SUBSTR({c}, 7, 2)"
    return Element(
        text=f"CASE WHEN {absent} THEN NULL WHEN {sane} THEN {day} END",
        odd=f"CASE WHEN {absent} OR {sane} THEN 0 ELSE 1 END = 1",
    )


def _date(column: Column, rule: Rule) -> Element:
    """A DATE or TIMESTAMP as the wall clock of its zone shows it."""
    if column.zone.key != rule.zone.key:
        raise Refused(f"{rule.name} is a day in {rule.zone.key} and its column counts in {column.zone.key}")
    return Element(text=f"TO_CHAR({column.sql}, 'YYYY-MM-DD')", odd=_outside(column.sql, FIRST_MOMENT, LAST_MOMENT))


def _timestamp(column: Column, rule: Rule) -> Element:
    clock = steady(column.zone)
    utc = f"CAST({column.sql} AS TIMESTAMP(9))"
    if clock.offset_seconds:
        utc = f"({utc} + NUMTODSINTERVAL({-clock.offset_seconds}, 'SECOND'))"
    return _moment(utc, rule, _outside(column.sql, clock.since, clock.until))


def _timestamp_of_moment(column: Column, rule: Rule) -> Element:
    utc = f"SYS_EXTRACT_UTC({column.sql})"
    return _moment(utc, rule, _outside(utc, FIRST_MOMENT, LAST_MOMENT))


def _moment(utc: str, rule: Rule, odd: str) -> Element:
    # Cut as text: nothing is rounded.
    return Element(text=f"SUBSTR(TO_CHAR({utc}, '{_FORMAT}'), 1, {_KEPT[rule.precision]}) || 'Z'", odd=odd)


def _boolean_of_text(column: Column, rule: Rule) -> Element:
    word = f"TRIM({column.sql})"
    yes, no = (", ".join(map(literal, words)) for words in spellings())
    # Only blanks are NULL once trimmed, which is neither in a list nor out of it.
    odd = f"{word} NOT IN ({yes}, {no})"
    if not rule.empty_is_null:
        odd += f" OR ({column.sql} IS NOT NULL AND {word} IS NULL)"
    return Element(text=f"CASE WHEN {word} IN ({yes}) THEN 'true' WHEN {word} IN ({no}) THEN 'false' END", odd=odd)


def _outside(moment: str, since: datetime, until: datetime) -> str:
    return f"{moment} NOT BETWEEN DATE '{since:%Y-%m-%d}' AND DATE '{until:%Y-%m-%d}'"


RULES: Table = {
    (ColumnKind.DECIMAL, FieldType.DECIMAL): _decimal,
    (ColumnKind.INTEGER, FieldType.DECIMAL): _decimal,
    (ColumnKind.DECIMAL, FieldType.INTEGER): _integer,
    (ColumnKind.INTEGER, FieldType.INTEGER): _integer,
    (ColumnKind.LOCAL_TIME, FieldType.DATE): _date,
    (ColumnKind.TEXT, FieldType.DATE): _date_of_text,
    (ColumnKind.LOCAL_TIME, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.MOMENT, FieldType.TIMESTAMP): _timestamp_of_moment,
    (ColumnKind.DECIMAL, FieldType.BOOLEAN): boolean_of_number,
    (ColumnKind.INTEGER, FieldType.BOOLEAN): boolean_of_number,
    (ColumnKind.TEXT, FieldType.BOOLEAN): _boolean_of_text,
    **{
        (kind, type): builder
        for type in (FieldType.TEXT, FieldType.CODE)
        for kind, builder in (
            (ColumnKind.TEXT, _text),
            (ColumnKind.PADDED, _text),
            (ColumnKind.INTEGER, _integer),
        )
    },
}
