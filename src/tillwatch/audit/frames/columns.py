"""Values as a source hands them over, as a column of one type."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.model.audit import Value
from tillwatch.sources.sql.session import ColumnKind

_ABSENT = type(None)
_KINDS: dict[type, ColumnKind] = {
    str: ColumnKind.TEXT,
    int: ColumnKind.INTEGER,
    Decimal: ColumnKind.DECIMAL,
    float: ColumnKind.FLOAT,
    bool: ColumnKind.BOOLEAN,
    date: ColumnKind.DATE,
    datetime: ColumnKind.MOMENT,
}


def kind_of(values: Sequence[Value]) -> ColumnKind:
    """What all of them are. Raises Refused when they are of several types, or none: mixed rows are the reference's."""
    types = set(map(type, values)) - {_ABSENT}
    if len(types) != 1:
        return _only_absent(types)
    kind = _KINDS.get(types.pop())
    if kind is None:
        raise Refused("a type that has no column")
    if kind is ColumnKind.MOMENT and any(isinstance(one, datetime) and one.tzinfo is None for one in values):
        raise Refused("times without a zone")
    return kind


def _only_absent(types: set[type]) -> ColumnKind:
    if types:
        raise Refused("values of several types")
    return ColumnKind.TEXT


def series(kind: ColumnKind, values: Sequence[Value]) -> pl.Series:
    """The column; a decimal is handed over as its text, a moment as UTC. Raises Refused for what does not fit."""
    try:
        if kind is ColumnKind.DECIMAL:
            return pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)
        if kind is ColumnKind.MOMENT:
            return _moments(values)
        return pl.Series(values, dtype=_DTYPES[kind])
    except (OverflowError, UnicodeEncodeError, TypeError, pl.exceptions.PolarsError) as error:
        # Half a surrogate pair, or a number beyond 64 bits.
        raise Refused("values that no column holds") from error


def _moments(values: Sequence[Value]) -> pl.Series:
    made = [value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else None for value in values]
    return pl.Series(made, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")


_DTYPES: dict[ColumnKind, type[pl.DataType]] = {
    ColumnKind.TEXT: pl.String,
    ColumnKind.INTEGER: pl.Int64,
    ColumnKind.FLOAT: pl.Float64,
    ColumnKind.BOOLEAN: pl.Boolean,
    ColumnKind.DATE: pl.Date,
}
