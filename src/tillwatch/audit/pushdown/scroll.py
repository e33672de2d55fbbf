"""All rows of one side as records: the text of each row, thousands of them in one cell of one result.

A driver takes longer to hand over a row than a database to write its text, so the database puts rows together, in the
order it keeps them in: blocks of a table (PostgreSQL), its primary key (MariaDB, MySQL), its row numbers (SQLite). The
order says nothing to the other side. Everything is read in the session's snapshot, and again and again from where the
last cell ended, so memory here and there is bounded by a cell.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.statements import Asker, Compiled
from tillwatch.sources.sql.session import ColumnKind, Session

#: Between two records. A record that holds it makes their number come out wrong, which is noticed.
ITEM = b"\x1f"
#: What an odd row begins with, instead of the length of its key.
ODD = b"?"
#: Wanted size of a cell: a packet's overhead is nothing beside it, and a few of them are in memory at a time.
CELL_BYTES = 1_000_000
#: A cell larger than this makes the next one smaller at once.
MAX_CELL_BYTES = 8_000_000
#: Rows, or blocks of rows, in the first cell: before anything is known of their size.
FIRST_ROWS = 500
FIRST_BLOCKS = 8
MAX_ROWS = 50_000
MAX_BLOCKS = 2_000
#: The oldest PostgreSQL that reads a range of blocks without reading the others.
_MIN_POSTGRESQL = 14


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Some rows, each as an item."""

    rows: int
    items: bytes

    def split(self) -> list[bytes]:
        """Raises Refused when a value holds what separates items."""
        found = self.items.split(ITEM) if self.rows else []
        if len(found) != self.rows:
            raise Refused("a value holds the control character that separates records")
        return found


class Scroll(ABC):
    """Reads one side from its beginning to its end, once."""

    def __init__(self, asker: Asker) -> None:
        self._session: Session = asker.session
        self._source = asker.source
        self._item = item(asker.side, self._session.dialect)

    def refuse(self) -> None:
        """Raises Refused when this dataset cannot be read like this."""
        if not self._session.is_table:
            raise Refused("a query has no order of its own to read it in")
        self._look()

    @abstractmethod
    def _look(self) -> None:
        """Raises Refused."""

    @abstractmethod
    def cells(self) -> Iterator[Cell]:
        """Every row once."""


def item(side: Compiled, dialect: str) -> str:
    """One row as text: its key and its values, or its key behind a mark when the text would not stand for the row."""
    joined = _join(dialect)
    record = joined(side.lead, f"hash_record_extended({side.record}, 0)::text") if side.native else side.record
    if not side.odd:
        return record
    marked = joined(f"'{ODD.decode()}'", side.lead)
    return f"CASE WHEN {side.odd} THEN {marked} ELSE {record} END"


def _join(dialect: str) -> Callable[..., str]:
    if dialect == "mysql":
        return lambda *texts: f"CONCAT({', '.join(texts)})"
    return lambda *texts: " || ".join(f"({text})" for text in texts)


class Blocks(Scroll):
    """PostgreSQL: blocks of the table as they lie on its disk."""

    def _look(self) -> None:
        found = self._session.rows(f"SELECT relkind::text FROM pg_class WHERE oid = '{self._source}'::regclass")
        if self._session.major < _MIN_POSTGRESQL or not found or found[0][0] not in ("r", "m"):
            raise Refused("it is not a plain table of PostgreSQL 14 or later")

    def cells(self) -> Iterator[Cell]:
        """A row that is moved by an update while this runs stays where it was in this snapshot."""
        there = int(
            self._session.rows(
                f"SELECT pg_relation_size('{self._source}'::regclass) / current_setting('block_size')::bigint"
            )[0][0]
        )
        first, size = 0, FIRST_BLOCKS
        while first < max(1, there):
            last = first + size
            # Blocks that came later hold nothing this snapshot sees, but the last statement asks for all the same.
            until = f" AND ctid < '({last},0)'::tid" if last < there else ""
            rows, items = self._session.rows(
                f"SELECT count(*), string_agg(i, E'\\x1f') FROM (SELECT {self._item} AS i FROM {self._source}"
                f" WHERE ctid >= '({first},0)'::tid{until}) AS s"
            )[0]
            cell = Cell(rows=int(rows), items=(items or "").encode())
            yield cell
            first, size = last, next_size(size, len(cell.items), MAX_BLOCKS)


class PrimaryKey(Scroll):
    """MariaDB and MySQL: by the primary key, which is how a table is kept."""

    def _look(self) -> None:
        self._columns = self._session.primary_key()
        if not self._columns:
            raise Refused("it has no primary key to read it by")
        usable = {ColumnKind.INTEGER, ColumnKind.TEXT}
        if any(kind not in usable for _, kind, _ in self._columns):
            raise Refused("its primary key is neither text nor whole numbers")

    def cells(self) -> Iterator[Cell]:
        most = self._session.max_cell_bytes()
        names = [name for name, _, _ in self._columns]
        literals = [_literal(kind, collation) for _, kind, collation in self._columns]
        asked = ", ".join(names)
        source = f"{self._source} FORCE INDEX (PRIMARY)"
        low: Sequence[str] | None = None
        size = FIRST_ROWS
        while True:
            after = _after(names, low) if low is not None else "1 = 1"
            end = self._session.rows(
                f"SELECT {asked} FROM {source} WHERE {after} ORDER BY {asked} LIMIT 1 OFFSET {size - 1}"
            )
            high = [literal(value) for literal, value in zip(literals, end[0], strict=True)] if end else None
            # The first column once more alone, so that the index is left where the range ends.
            upto = f" AND NOT ({_after(names, high)}) AND {names[0]} <= {high[0]}" if high is not None else ""
            rows, items = self._session.rows(
                f"SELECT COUNT(*), GROUP_CONCAT({self._item} SEPARATOR X'1f') FROM {source} WHERE {after}{upto}"
            )[0]
            cell = Cell(rows=int(rows), items=items.encode() if isinstance(items, str) else items or b"")
            if len(cell.items) >= most:
                if size == 1:
                    raise Refused("one row is larger than what the server puts together")
                # Cut off: the same again, but less of it.
                size = max(1, size // 8)
                continue
            yield cell
            if high is None:
                return
            low, size = high, next_size(size, len(cell.items), MAX_ROWS)


def _after(names: Sequence[str], low: Sequence[str]) -> str:
    """Rows behind `low`, in a way an index serves."""
    if len(names) == 1:
        return f"{names[0]} > {low[0]}"
    return f"{names[0]} >= {low[0]} AND ({names[0]} > {low[0]} OR {_after(names[1:], low[1:])})"


def _literal(kind: ColumnKind, collation: str) -> Callable[[Any], str]:
    if kind is ColumnKind.INTEGER:
        return lambda value: str(int(value))
    character_set = collation.partition("_")[0]

    def literal(value: Any) -> str:
        return f"(CONVERT(_utf8mb4 X'{str(value).encode().hex()}' USING {character_set}) COLLATE {collation})"

    return literal


class RowNumbers(Scroll):
    """SQLite: by the number each row has, one short statement after the other."""

    def _look(self) -> None:
        if not self._session.has_row_numbers():
            raise Refused("it has no row numbers to read it by")

    def cells(self) -> Iterator[Cell]:
        after, size = "", FIRST_ROWS
        while True:
            rows, items, last = self._session.rows(
                f"SELECT count(*), group_concat(i, x'1f'), max(n) FROM (SELECT rowid AS n, {self._item} AS i"
                f" FROM {self._source}{after} ORDER BY rowid LIMIT {size})"
            )[0]
            if not rows:
                return
            cell = Cell(rows=int(rows), items=(items or "").encode())
            yield cell
            after, size = f" WHERE rowid > {int(last)}", next_size(size, len(cell.items), MAX_ROWS)


def next_size(size: int, given_bytes: int, limit: int) -> int:
    """How much to ask for, after `size` gave `given_bytes`: what makes a full cell, at most four times as much."""
    if given_bytes > MAX_CELL_BYTES:
        return max(1, size * CELL_BYTES // given_bytes)
    return max(1, min(limit, size * 4, size * CELL_BYTES // max(1, given_bytes)))


SCROLLS: dict[str, type[Scroll]] = {"postgresql": Blocks, "mysql": PrimaryKey, "sqlite": RowNumbers}
