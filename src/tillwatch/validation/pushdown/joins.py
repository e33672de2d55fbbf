"""When a row certainly keeps a rule about other rows, as joins: unique, reference, sum of lines.

Each join adds at most one row to a row. What is equal here is equal to the reference too, never the other way round;
where that cannot be promised of a whole column, every row is handed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tillwatch.sources.sql.session import ColumnKind
from tillwatch.validation.pushdown.cells import binary, sane_number, short_decimal
from tillwatch.validation.pushdown.parts import EXACT, TEXTS, Cell, Unpushable, both, spaced

#: MySQL cuts a product off after so many places.
_MYSQL_PLACES = 30
#: SQLite adds whole numbers only: ten-thousandths, of values and lines small enough for sums of 900,000 lines.
_UNITS, _MAX_CELL, _MAX_LINE = 10_000, "1e6", "1e13"
_NEVER = "1 = 0"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A join and when a row that it was joined to keeps the rule."""

    join: str
    keeps: str


def unique(cells: Sequence[Cell], inner: Sequence[Cell], source: str, *, alias: str, indexed: bool) -> Joined:
    """No other row has the same. `inner` are the same columns inside `source`."""
    dialect = cells[0].dialect
    for cell in cells:
        if cell.kind in {ColumnKind.OTHER, ColumnKind.LOCAL_TIME} or (
            cell.column.marks_change and cell.kind is not ColumnKind.MOMENT
        ):
            raise cell.refuse()
    alike = both(*(_one_type(cell, source) for cell in inner)) if dialect == "sqlite" else ""
    if indexed:
        return Joined(join="", keeps=alike or "1 = 1")
    names = ", ".join(f"{cell.sql} AS k{number}" for number, cell in enumerate(inner))
    there = " AND ".join(f"{cell.sql} IS NOT NULL" for cell in inner)
    groups = ", ".join(cell.sql for cell in inner)
    on = " AND ".join(f"{alias}.k{number} = {cell.sql}" for number, cell in enumerate(cells))
    twice = f"SELECT {names} FROM {source} WHERE {there} GROUP BY {groups} HAVING count(*) > 1"
    return Joined(join=f"LEFT JOIN ({twice}) AS {alias} ON {on}", keeps=both(f"{alias}.k0 IS NULL", alike))


def reference(cells: Sequence[Cell], others: Sequence[Cell], source: str, *, alias: str) -> Joined:
    """The other dataset has it, byte for byte; what has only a similar one is looked at here."""
    on = _same(cells, alias)
    names = _names(cells, others)
    there = " AND ".join(f"{other.sql} IS NOT NULL" for other in others)
    known = f"SELECT DISTINCT {names} FROM {source} WHERE {there}"
    missing = " OR ".join(f"{cell.sql} IS NULL" for cell in cells)
    return Joined(join=f"LEFT JOIN ({known}) AS {alias} ON {on}", keeps=f"{alias}.k0 IS NOT NULL OR {missing}")


@dataclass(frozen=True, kw_only=True)
class Added:
    """The lines of a header: their key, what is added, and what it is multiplied by."""

    key: tuple[Cell, ...]
    value: Cell
    times: Cell | None
    source: str


def total(header: Sequence[Cell], amount: Cell, lines: Added, tolerance: Decimal, *, alias: str) -> Joined:
    """Its lines, of which there are some, add up to it exactly or within the tolerance."""
    dialect = amount.dialect
    numbers = [cell for cell in (lines.value, lines.times) if cell is not None]
    if dialect == "sqlite":
        value, fine, unit = _whole_numbers(numbers)
        close = _close_in_units(amount, f"{alias}.total", unit, tolerance)
    else:
        value, fine = _exactly(numbers, dialect)
        amount.only(EXACT)
        close = both(sane_number(amount), f"abs({amount.sql} - {alias}.total) <= {tolerance:f}")
    sums = f"SUM(CASE WHEN {fine} THEN {value} ELSE 0 END) AS total, MIN(CASE WHEN {fine} THEN 1 ELSE 0 END) AS fine"
    groups = ", ".join(_compared(cell) for cell in lines.key)
    added = f"SELECT {_names(header, lines.key)}, {sums} FROM {lines.source} GROUP BY {groups}"
    plain = both(*(_no_spaces(cell, lines.source) for cell in lines.key))
    keeps = f"{amount.sql} IS NULL OR {both(f'{alias}.fine = 1', close, plain)}"
    return Joined(join=f"LEFT JOIN ({added}) AS {alias} ON {_same(header, alias)}", keeps=keeps)


def _names(cells: Sequence[Cell], others: Sequence[Cell]) -> str:
    """The other columns, compared as `_same` compares them. Raises Unpushable for columns of different kinds."""
    for cell, other in zip(cells, others, strict=True):
        cell.only(frozenset({ColumnKind.TEXT, ColumnKind.INTEGER, ColumnKind.UUID, ColumnKind.DYNAMIC}))
        other.only(frozenset({cell.kind}))
        if cell.column.marks_change or other.column.marks_change:
            raise cell.refuse()
    return ", ".join(f"{_compared(other)} AS k{number}" for number, other in enumerate(others))


def _compared(cell: Cell) -> str:
    if cell.kind is not ColumnKind.TEXT:
        return f"{cell.sql} COLLATE BINARY" if cell.dialect == "sqlite" else cell.sql
    return f"CAST({binary(cell)} AS BINARY)" if cell.dialect == "mysql" else f'{cell.sql}::text COLLATE "C"'


def _same(cells: Sequence[Cell], alias: str) -> str:
    found = []
    for number, cell in enumerate(cells):
        found.append(f"{alias}.k{number} = {_compared(cell)}")
        if cell.dialect == "sqlite":
            found.append(f"typeof({alias}.k{number}) = typeof({cell.sql})")
    return " AND ".join(found)


def _one_type(cell: Cell, source: str) -> str:
    """SQLite: the whole column is text, or whole numbers; then what is equal for us is equal for it."""
    types = f"min(typeof({cell.sql})) = max(typeof({cell.sql})) AND max(typeof({cell.sql})) IN ('text', 'integer')"
    return f"(SELECT coalesce({types}, 1) FROM {source} WHERE {cell.sql} IS NOT NULL)"


def _no_spaces(cell: Cell, source: str) -> str:
    """No key of a line begins or ends with a space: such keys are one for us and two for the database."""
    if cell.kind not in {*TEXTS, ColumnKind.DYNAMIC}:
        return ""
    none = f"NOT EXISTS (SELECT 1 FROM {source} WHERE {spaced(cell)})"
    return both(none, _one_type(cell, source)) if cell.dialect == "sqlite" else none


def _exactly(numbers: Sequence[Cell], dialect: str) -> tuple[str, str]:
    """The product, and when it is one. Decimals are exact in both databases."""
    for cell in numbers:
        cell.only(EXACT)
    places = sum(cell.column.scale or 0 for cell in numbers)
    if dialect == "mysql" and places > _MYSQL_PLACES:
        raise Unpushable({"en": "its product has too many places", "zh": "乘积的小数位数过多"})
    kind = "DECIMAL(38, 0)" if dialect == "mysql" else "numeric"
    factors = [f"CAST({cell.sql} AS {kind})" if cell.kind is ColumnKind.INTEGER else cell.sql for cell in numbers]
    there = [f"{cell.sql} IS NOT NULL" for cell in numbers]
    return " * ".join(factors), both(*there, *(sane_number(cell) for cell in numbers))


def _whole_numbers(numbers: Sequence[Cell]) -> tuple[str, str, int]:
    """SQLite has no decimals: ten-thousandths as whole numbers, where a cell has no finer part."""
    factors = [f"CAST(round(CAST({cell.sql} AS REAL) * {_UNITS}) AS INTEGER)" for cell in numbers]
    value = " * ".join(factors)
    size = " * ".join(f"abs(CAST({factor} AS REAL))" for factor in factors)
    return value, both(*map(_in_units, numbers), f"{size} < {_MAX_LINE}"), _UNITS ** len(numbers)


def _in_units(cell: Cell) -> str:
    if cell.column.marks_change:
        raise cell.refuse()
    real = f"CAST({cell.sql} AS REAL)"
    readable = f"typeof({cell.sql}) IN ('integer', 'real') OR ({short_decimal(cell)})"
    # The double of a number with four places, and therefore that number, whatever it was computed from.
    return both(readable, f"abs({real}) < {_MAX_CELL} AND {real} = round({real} * {_UNITS}) / {_UNITS}.0")


def _close_in_units(amount: Cell, total: str, unit: int, tolerance: Decimal) -> str:
    allowed = int(tolerance * unit)
    whole = f"CAST(round(CAST({amount.sql} AS REAL) * {_UNITS}) AS INTEGER) * {unit // _UNITS}"
    return both(_in_units(amount), f"abs({whole} - {total}) <= {allowed}")
