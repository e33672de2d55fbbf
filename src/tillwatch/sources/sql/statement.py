"""The SELECT of a reading: identifiers quoted, values bound, the dataset's own query kept as it is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    TextClause,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import NullType

from tillwatch.sources.sql.options import SqlDataset

#: Keys in one statement; SQLite allows 999 parameters in old builds, and every key costs one a field.
MAX_PARAMETERS = 900

_SQLITE_MOMENT = "%Y-%m-%d %H:%M:%f"


def relation(dataset: SqlDataset, columns: Mapping[str, str]) -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    """Where the rows come from, and the column of each canonical field."""
    names = {name: quoted_name(original, quote=True) for name, original in columns.items()}
    source: FromClause
    if dataset.table:
        schema, _, name = dataset.table.rpartition(".")
        source = table(
            quoted_name(name, quote=True),
            *(column(original) for original in set(names.values())),
            schema=quoted_name(schema, quote=True) if schema else None,
        )
    else:
        source = (
            as_written(dataset.query)
            .columns(*(column(original) for original in set(names.values())))
            .subquery("dataset")
        )
    return source, {name: source.c[original] for name, original in names.items()}


def as_written(query: str) -> TextClause:
    """The query itself: a colon in it is its own, never a parameter."""
    return text(query.replace(":", r"\:"))


def all_columns(dataset: SqlDataset) -> Select[Any]:
    """A statement that returns no row but says which columns there are."""
    source, _ = relation(dataset, {})
    return select(text("*")).select_from(source).where(literal(1) == literal(0))


def changed_since(
    mark: ColumnElement[Any], since: datetime, *, dialect: str, zone: ZoneInfo, stored_aware: bool
) -> ColumnElement[bool]:
    """Rows whose change field is at or after `since`, however the database spells a time."""
    local = since.astimezone(zone).replace(tzinfo=None)
    if dialect != "sqlite":
        return mark >= (bindparam(None, since) if stored_aware else bindparam(None, local))
    # SQLite has no time type. Its own functions understand ISO text with and without an offset and keep milliseconds,
    # so the bound is moved back by one: a row may come twice, never be missed.
    slack = timedelta(milliseconds=1)
    since_utc = (since.astimezone(UTC) - slack).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    since_local = (local - slack).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return case(
        (func.typeof(mark).in_(["integer", "real"]), func.strftime(_SQLITE_MOMENT, mark, "unixepoch") >= since_utc),
        (has_offset(mark), func.strftime(_SQLITE_MOMENT, mark) >= since_utc),
        else_=func.strftime(_SQLITE_MOMENT, mark) >= since_local,
    )


def has_offset(mark: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a time that SQLite holds as text says its zone."""
    return or_(mark.op("GLOB")("*Z"), mark.op("GLOB")("*[+-][0-9][0-9]:[0-9][0-9]"))


def one_of(
    columns: Mapping[str, ColumnElement[Any]], keys: Sequence[Mapping[str, str]], *, as_text: bool
) -> ColumnElement[bool]:
    """Rows that equal one of `keys`, all of which name the same fields.

    `as_text` compares the column's text, for columns whose type does not accept every key.
    """
    names = tuple(keys[0])
    compared = {name: cast(columns[name], String) if as_text else columns[name] for name in names}
    if len(names) == 1:
        return compared[names[0]].in_(
            bindparam(None, [key[names[0]] for key in keys], expanding=True, type_=String() if as_text else NullType())
        )
    return or_(*(and_(*(_equals(compared[name], key[name], as_text) for name in names)) for key in keys))


def _equals(compared: ColumnElement[Any], value: str, as_text: bool) -> ColumnElement[bool]:
    # Without a type the driver sends the bare value and the database reads it as the column's own type.
    return compared == bindparam(None, value, type_=String() if as_text else NullType())


def chunks(keys: Sequence[Mapping[str, str]]) -> list[list[Mapping[str, str]]]:
    """`keys` in pieces that fit one statement, without repeats; keys of different shape never share a piece."""
    shapes: dict[tuple[str, ...], dict[tuple[str, ...], Mapping[str, str]]] = {}
    for key in keys:
        names = tuple(sorted(key))
        shapes.setdefault(names, {})[tuple(key[name] for name in names)] = {name: key[name] for name in names}
    pieces: list[list[Mapping[str, str]]] = []
    for names, distinct in shapes.items():
        rows = list(distinct.values())
        size = max(1, MAX_PARAMETERS // max(1, len(names)))
        pieces.extend(rows[start : start + size] for start in range(0, len(rows), size))
    return pieces
