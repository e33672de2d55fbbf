"""SQL Server 2019 and later. Compiled and linted, never run: no server of it could be started where this was written.

`datetime` counts in ticks of a three-hundredth of a second: declare the precision `centisecond`.
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

#: Digits of a decimal.
_DIGITS = 38
#: Compares by code point, so that no other character counts as a letter or a digit.
_BINARY = "COLLATE Latin1_General_100_BIN2"
#: Hashes must see the bytes that everybody agrees on.
_UTF8 = "COLLATE Latin1_General_100_BIN2_UTF8"
_KEPT = {Precision.SECOND: 19, Precision.MILLISECOND: 23, Precision.MICROSECOND: 26}
_COMPACT_DAY = "[0-9]" * 8


def literal(value: str) -> str:
    return "N'" + value.replace("'", "''") + "'"


def record(texts: Sequence[str]) -> str:
    """Texts of a row one after the other, each behind its length in bytes; NULL looks like no text."""
    return " + ".join(map(_counted, texts))


def _counted(text: str) -> str:
    utf8 = f"CAST({text} AS VARCHAR(MAX)) {_UTF8}"
    counted = f"CAST(DATALENGTH({utf8}) AS VARCHAR(12)) + ':' + {utf8}"
    return f"CASE WHEN {text} IS NULL THEN '~' ELSE {counted} END"


def slices(row: str) -> tuple[str, str]:
    """The two slices of 60 bits of the MD5 of a record, as the other dialects cut them."""
    digits = f"CONVERT(CHAR(32), HASHBYTES('MD5', {row}), 2)"
    return tuple(  # type: ignore[return-value]
        f"CAST(CONVERT(BIGINT, CONVERT(BINARY(8), '0' + SUBSTRING({digits}, {start}, 15), 2)) AS DECIMAL(38, 0))"
        for start in (1, 16)
    )


def row_version(column: str) -> str:
    """The number of a `rowversion` column, which every write of a row makes larger."""
    return f"CAST(CAST({column} AS BIGINT) AS DECIMAL(38, 0))"


def _decimal(column: Column, rule: Rule) -> Element:
    if rule.scale is None:
        return _unscaled(column, rule)
    if rule.scale >= _DIGITS:
        raise Refused(f"{rule.name} has more than {_DIGITS - 1} places")
    number = f"TRY_CAST({column.sql} AS DECIMAL({_DIGITS}, {rule.scale}))"
    return Element(text=f"CAST({number} AS VARCHAR(41))", odd=f"{number} IS NULL AND {column.sql} IS NOT NULL")


def _unscaled(column: Column, rule: Rule) -> Element:
    text = f"CAST({column.sql} AS VARCHAR(41))"
    if column.kind is ColumnKind.INTEGER or column.scale == 0:
        return Element(text=text)
    if column.scale is None:
        raise Refused(f"{rule.name} has an unknown number of places")
    # Only blanks can be trimmed, so zeros become blanks and back, and then the point.
    zeros = f"REPLACE(RTRIM(REPLACE({text}, '0', ' ')), ' ', '0')"
    return Element(text=f"REPLACE(RTRIM(REPLACE({zeros}, '.', ' ')), ' ', '.')")


def _integer(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"CAST({column.sql} AS VARCHAR(20))")


def _integer_of_decimal(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"CAST(CAST({column.sql} AS DECIMAL(38, 0)) AS VARCHAR(40))", odd=f"{column.sql} % 1 <> 0")


def _text(column: Column, rule: Rule) -> Element:
    text = column.sql
    if rule.trim is Trim.RIGHT:
        text = f"RTRIM({text})"
    elif rule.trim is Trim.BOTH:
        text = f"LTRIM(RTRIM({text}))"
    if rule.fold_case:
        # Of A to Z everybody agrees on the small letter; the rest is the reference's.
        plain = f"{column.sql} {_BINARY} NOT LIKE '%[^ -~]%'"
        text = f"CASE WHEN {plain} THEN LOWER({text}) ELSE {text} END"
    if rule.empty_is_null:
        text = f"CASE WHEN DATALENGTH(LTRIM(RTRIM({column.sql}))) > 0 THEN {text} END"
    return Element(text=text)


def _text_of_uuid(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    # Written in capitals here, in small letters everywhere else.
    return Element(text=f"LOWER(CAST({column.sql} AS CHAR(36)))")


def _date(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"CONVERT(CHAR(10), {column.sql}, 23)", odd=_outside(column.sql, FIRST_MOMENT, LAST_MOMENT))


def _date_of_text(column: Column, rule: Rule) -> Element:
    """SAP's DATS: eight digits, and as many zeros where there is no day."""
    absent = f"{column.sql} IS NULL OR {column.sql} {_BINARY} = '00000000'"
    if rule.empty_is_null:
        absent += f" OR DATALENGTH(LTRIM(RTRIM({column.sql}))) = 0"
    day = f"TRY_CONVERT(DATE, {column.sql}, 112)"
    sane = f"{column.sql} {_BINARY} LIKE '{_COMPACT_DAY}' AND {day} >= '{FIRST_MOMENT:%Y-%m-%d}'"
    return Element(
        text=f"CASE WHEN {absent} THEN NULL WHEN {sane} THEN CONVERT(CHAR(10), {day}, 23) END",
        odd=f"CASE WHEN {absent} OR {sane} THEN 0 ELSE 1 END = 1",
    )


def _timestamp(column: Column, rule: Rule) -> Element:
    clock = steady(column.zone)
    return _moment(column.sql, -clock.offset_seconds, rule, _outside(column.sql, clock.since, clock.until))


def _timestamp_of_moment(column: Column, rule: Rule) -> Element:
    utc = f"SWITCHOFFSET({column.sql}, 0)"
    return _moment(utc, 0, rule, _outside(utc, FIRST_MOMENT, LAST_MOMENT))


def _moment(moment: str, seconds: int, rule: Rule, odd: str) -> Element:
    utc = f"CAST({moment} AS DATETIME2(7))"
    if seconds:
        utc = f"DATEADD(SECOND, {seconds}, {utc})"
    # Cut as text: a cast to fewer places would round.
    text = f"LEFT(CONVERT(VARCHAR(27), {utc}, 121), {_KEPT[rule.precision]})"
    return Element(text=f"REPLACE({text}, ' ', 'T') + 'Z'", odd=odd)


def _boolean_of_text(column: Column, rule: Rule) -> Element:
    word = f"LTRIM(RTRIM({column.sql})) {_BINARY}"
    yes, no = (", ".join(map(literal, words)) for words in spellings())
    odd = f"{word} NOT IN ({yes}, {no})"
    if rule.empty_is_null:
        odd += f" AND DATALENGTH(LTRIM(RTRIM({column.sql}))) > 0"
    return Element(text=f"CASE WHEN {word} IN ({yes}) THEN 'true' WHEN {word} IN ({no}) THEN 'false' END", odd=odd)


def _outside(moment: str, since: datetime, until: datetime) -> str:
    return f"{moment} NOT BETWEEN '{since:%Y-%m-%d}' AND '{until:%Y-%m-%d}'"


RULES: Table = {
    (ColumnKind.DECIMAL, FieldType.DECIMAL): _decimal,
    (ColumnKind.INTEGER, FieldType.DECIMAL): _decimal,
    (ColumnKind.INTEGER, FieldType.INTEGER): _integer,
    (ColumnKind.DECIMAL, FieldType.INTEGER): _integer_of_decimal,
    (ColumnKind.DATE, FieldType.DATE): _date,
    (ColumnKind.TEXT, FieldType.DATE): _date_of_text,
    (ColumnKind.LOCAL_TIME, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.MOMENT, FieldType.TIMESTAMP): _timestamp_of_moment,
    (ColumnKind.BOOLEAN, FieldType.BOOLEAN): boolean_of_number,
    (ColumnKind.INTEGER, FieldType.BOOLEAN): boolean_of_number,
    (ColumnKind.TEXT, FieldType.BOOLEAN): _boolean_of_text,
    **{
        (kind, type): builder
        for type in (FieldType.TEXT, FieldType.CODE)
        for kind, builder in (
            (ColumnKind.TEXT, _text),
            (ColumnKind.PADDED, _text),
            (ColumnKind.INTEGER, _integer),
            (ColumnKind.UUID, _text_of_uuid),
        )
    },
}
