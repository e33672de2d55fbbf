"""PostgreSQL 13 and later, UTF-8."""

from datetime import datetime

from tillwatch.audit.canonical import FALSE, MAX_DIGITS, TRUE, FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown.elements import (
    FIRST_MOMENT,
    LAST_MOMENT,
    Element,
    Refused,
    Table,
    always_fits,
    limit,
    steady,
)
from tillwatch.sources.sql.session import Column, ColumnKind

_PLACES = {
    Precision.SECOND: 'YYYY-MM-DD"T"HH24:MI:SS"Z"',
    Precision.MILLISECOND: 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"',
    Precision.MICROSECOND: 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"',
}
_NUMBER = "'^-?[0-9]{1,30}([.][0-9]{1,25})?$'"
_WHOLE = "'^-?[0-9]{1,50}$'"


def literal(value: str) -> str:
    """An escape string: its meaning does not depend on a setting of the server."""
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _number(number: str, rule: Rule) -> str:
    return f"round({number}, {rule.scale})::text" if rule.scale is not None else f"trim_scale({number})::text"


def _decimal(column: Column, rule: Rule) -> Element:
    if always_fits(column, rule):
        # Only NaN has no scale; to ask for it is cheaper than to compare.
        odd = f"scale({column.sql}) IS NULL AND {column.sql} IS NOT NULL"
        # Of as many places as are compared: nothing to round.
        text = f"{column.sql}::text" if column.scale == rule.scale else _number(column.sql, rule)
        return Element(text=text, odd=odd, native=column.sql)
    # NaN and the infinities are not smaller than anything; a number without declared digits may be of any length.
    odd = f"NOT (abs({column.sql}) < {limit(rule.scale)})"
    if rule.scale is None and (column.scale is None or column.scale >= MAX_DIGITS // 2):
        odd += f" OR scale(trim_scale({column.sql})) > {MAX_DIGITS // 2 - 1}"
    return Element(text=_number(column.sql, rule), odd=odd, native=column.sql)


def _decimal_of_integer(column: Column, rule: Rule) -> Element:
    return Element(text=_number(f"{column.sql}::numeric", rule), native=column.sql)


def _decimal_of_float(column: Column, rule: Rule) -> Element:
    # Through its shortest text: that is the number people wrote.
    odd = f"NOT (abs({column.sql}) < 1e15 AND (abs({column.sql}) > 1e-15 OR {column.sql} = 0))"
    return Element(text=_number(f"{column.sql}::text::numeric", rule), odd=odd, native=column.sql)


def _decimal_of_text(column: Column, rule: Rule) -> Element:
    return _parsed(column, rule, shape=_NUMBER, text=_number(f"{column.sql}::numeric", rule))


def _integer_of_text(column: Column, rule: Rule) -> Element:
    return _parsed(column, rule, shape=_WHOLE, text=f"{column.sql}::numeric::text")


def _parsed(column: Column, rule: Rule, *, shape: str, text: str) -> Element:
    absent = f"{column.sql} IS NULL"
    if rule.empty_is_null:
        absent += f" OR btrim({column.sql}) = ''"
    return Element(
        text=f"CASE WHEN {absent} THEN NULL WHEN {column.sql} ~ {shape} THEN {text} END",
        odd=f"({absent} OR {column.sql} ~ {shape}) IS NOT TRUE",
    )


def _integer(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"{column.sql}::text", native=column.sql)


def _integer_of_decimal(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    odd = f"NOT (abs({column.sql}) < {limit(0)} AND {column.sql} = trunc({column.sql}))"
    return Element(text=f"trunc({column.sql})::text", odd=odd, native=column.sql)


def _text(column: Column, rule: Rule) -> Element:
    text = column.sql
    if rule.trim is Trim.RIGHT:
        text = f"rtrim({text}, ' ')"
    elif rule.trim is Trim.BOTH:
        text = f"btrim({text}, ' ')"
    if rule.fold_case:
        # Of "C" only A to Z become small; the rest is the reference's.
        text = f'lower({text} COLLATE "C")'
    if rule.empty_is_null:
        text = f"CASE WHEN btrim({column.sql}, ' ') <> '' THEN {text} END"
    # By its bytes: a collation may call different texts equal.
    native = f'{column.sql} COLLATE "C"'
    return Element(text=text, native=native)


def _padded(column: Column, rule: Rule) -> Element:
    if column.width is None:
        raise Refused(f"{rule.name} is padded text of unknown width")
    # A cast would lose the blanks, which a reading hands over.
    whole = Column(sql=f"rpad({column.sql}::text, {column.width})", kind=ColumnKind.TEXT)
    return Element(text=_text(whole, rule).text)


def _text_of_decimal(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"{column.sql}::text", odd=f"NOT (abs({column.sql}) < {limit(None)})")


def _text_of_uuid(column: Column, rule: Rule) -> Element:
    return Element(text=f"{column.sql}::text", native="" if rule.fold_case else column.sql)


def _date(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    odd = _outside(column.sql, FIRST_MOMENT, LAST_MOMENT, "date")
    return Element(text=f"to_char({column.sql}, 'YYYY-MM-DD')", odd=odd, native=column.sql)


def _timestamp(column: Column, rule: Rule) -> Element:
    clock = steady(column.zone)
    utc = _shifted(column.sql, -clock.offset_seconds)
    odd = _outside(column.sql, clock.since, clock.until, "timestamp")
    return Element(text=f"to_char({utc}, '{_PLACES[rule.precision]}')", odd=odd, native=column.sql)


def _timestamp_of_moment(column: Column, rule: Rule) -> Element:
    utc = f"({column.sql} AT TIME ZONE 'UTC')"
    return Element(
        text=f"to_char({utc}, '{_PLACES[rule.precision]}')",
        odd=_outside(utc, FIRST_MOMENT, LAST_MOMENT, "timestamp"),
        native=column.sql,
    )


def _date_of_timestamp(column: Column, rule: Rule) -> Element:
    if column.zone.key != rule.zone.key:
        return _date_of_utc(_shifted(column.sql, -steady(column.zone).offset_seconds), column, rule)
    return Element(
        text=f"to_char({column.sql}, 'YYYY-MM-DD')",
        odd=_outside(column.sql, FIRST_MOMENT, LAST_MOMENT, "timestamp"),
        native=column.sql,
    )


def _date_of_moment(column: Column, rule: Rule) -> Element:
    return _date_of_utc(f"({column.sql} AT TIME ZONE 'UTC')", column, rule)


def _date_of_utc(utc: str, column: Column, rule: Rule) -> Element:
    clock = steady(rule.zone)
    since = max(clock.since, steady(column.zone).since)
    return Element(
        text=f"to_char({_shifted(utc, clock.offset_seconds)}, 'YYYY-MM-DD')",
        odd=_outside(utc, since, clock.until, "timestamp"),
        native=column.sql,
    )


def _boolean(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(text=f"{column.sql}::text", native=column.sql)


def _boolean_of_number(column: Column, rule: Rule) -> Element:  # noqa: ARG001 - every builder takes its rule
    return Element(
        text=f"CASE {column.sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END", odd=f"{column.sql} NOT IN (0, 1)"
    )


def _boolean_of_text(column: Column, rule: Rule) -> Element:
    word = f'lower(btrim({column.sql}) COLLATE "C")'
    yes, no = (", ".join(literal(one) for one in sorted(words)) for words in (TRUE, FALSE))
    odd = f"{word} NOT IN ({yes}, {no})"
    if rule.empty_is_null:
        odd += f" AND btrim({column.sql}) <> ''"
    return Element(text=f"CASE WHEN {word} IN ({yes}) THEN 'true' WHEN {word} IN ({no}) THEN 'false' END", odd=odd)


def _shifted(moment: str, seconds: int) -> str:
    return f"({moment} + interval '{seconds} seconds')" if seconds else moment


def _outside(moment: str, since: datetime, until: datetime, kind: str) -> str:
    first, last = since.strftime("%Y-%m-%d"), until.strftime("%Y-%m-%d")
    return f"{moment} NOT BETWEEN {kind} '{first}' AND {kind} '{last}'"


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
    (ColumnKind.MOMENT, FieldType.DATE): _date_of_moment,
    (ColumnKind.LOCAL_TIME, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.MOMENT, FieldType.TIMESTAMP): _timestamp_of_moment,
    (ColumnKind.BOOLEAN, FieldType.BOOLEAN): _boolean,
    (ColumnKind.INTEGER, FieldType.BOOLEAN): _boolean_of_number,
    (ColumnKind.TEXT, FieldType.BOOLEAN): _boolean_of_text,
    **{
        (kind, type): builder
        for type in (FieldType.TEXT, FieldType.CODE)
        for kind, builder in (
            (ColumnKind.TEXT, _text),
            (ColumnKind.PADDED, _padded),
            (ColumnKind.INTEGER, _integer),
            (ColumnKind.DECIMAL, _text_of_decimal),
            (ColumnKind.UUID, _text_of_uuid),
            (ColumnKind.BOOLEAN, _boolean),
        )
    },
}
