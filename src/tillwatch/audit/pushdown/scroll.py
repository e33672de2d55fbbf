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

from tillwatch.audit.pushdown.compiled import Compiled, joined
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.statements import Asker
from tillwatch.sources.sql.session import ColumnKind, Session

#: Between two records; before a part that is there; in place of one that is NULL. A value that holds one of them makes
#: their number come out wrong, which is noticed: lengths before each text would cost the databases more.
ITEM, PART, ABSENT = b"\x1f", b"\x1d", b"\x1c"
#: What an odd row begins with.
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
    #: Parts of each item.
    parts: int
    items: bytes

    def split(self) -> list[bytes]:
        """Raises Refused when a value holds what separates items or parts."""
        if not self.rows:
            return []
        found = self.items.split(ITEM)
        parts = self.items.count(PART) + self.items.count(ABSENT)
        if len(found) != self.rows or parts != self.rows * self.parts:
            raise Refused("a value holds a control character that separates records")
        return found


def key_of(item: bytes, parts: int) -> tuple[str, ...]:
    """The key of an item, `parts` texts. Raises Refused when one of them is absent."""
    before, *found = item.removeprefix(ODD).split(PART, parts + 1)[: parts + 1]
    if len(found) == parts:
        # The values behind it may begin with an absent one.
        found[-1] = found[-1].partition(ABSENT)[0]
    if before or len(found) < parts or any(ABSENT in one for one in found):
        raise Refused("a key is absent")
    return tuple(one.decode() for one in found)


class Scroll(ABC):
    """Reads one side from its beginning to its end, once."""

    def __init__(self, asker: Asker) -> None:
        self._session: Session = asker.session
        self._source = asker.source
        self._item = item(asker.side, self._session.dialect)
        self._parts = len(asker.side.lead) + len(asker.side.body)

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
    """One row as text: its parts, or its key alone behind a mark when the parts would not stand for the row."""
    lead = [_part(text, dialect) for text in side.lead]
    record = joined([*lead, *(_part(text, dialect) for text in side.body)], dialect)
    if not side.odd:
        return record
    nothing = _bytes(ABSENT * len(side.body), dialect)
    return f"CASE WHEN {side.odd} THEN {joined([_bytes(ODD, dialect), *lead, nothing], dialect)} ELSE {record} END"


def _part(text: str, dialect: str) -> str:
    return f"COALESCE({joined([_bytes(PART, dialect), text], dialect)}, {_bytes(ABSENT, dialect)})"


def _bytes(characters: bytes, dialect: str) -> str:
    """Plain characters as a literal of text, whatever the server makes of backslashes."""
    if dialect == "postgresql":
        return "E'" + "".join(f"\\x{character:02x}" for character in characters) + "'"
    if dialect == "mysql":
        return f"_utf8mb4 X'{characters.hex()}'"
    return f"'{characters.decode()}'"


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
            cell = Cell(rows=int(rows), parts=self._parts, items=(items or "").encode())
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
            upto = f" AND {_up_to(names, high)}" if high is not None else ""
            rows, items = self._session.rows(
                f"SELECT COUNT(*), GROUP_CONCAT({self._item} SEPARATOR X'1f') FROM {source} WHERE {after}{upto}"
            )[0]
            cell = Cell(
                rows=int(rows), parts=self._parts, items=items.encode() if isinstance(items, str) else items or b""
            )
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


def _up_to(names: Sequence[str], high: Sequence[str]) -> str:
    """Rows not behind `high`; the first column alone, so that the index is left where the range ends."""
    first = f"{names[0]} <= {high[0]}"
    return first if len(names) == 1 else f"{first} AND NOT ({_after(names, high)})"


def _literal(kind: ColumnKind, collation: str) -> Callable[[Any], str]:
    if kind is ColumnKind.INTEGER:
        return lambda value: str(int(value))
    character_set = collation.partition("_")[0]

    def literal(value: Any) -> str:
        text = f"_utf8mb4 X'{str(value).encode().hex()}'"
        return (
            f"({text if character_set == 'utf8mb4' else f'CONVERT({text} USING {character_set})'} COLLATE {collation})"
        )

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
            cell = Cell(rows=int(rows), parts=self._parts, items=(items or "").encode())
            yield cell
            after, size = f" WHERE rowid > {int(last)}", next_size(size, len(cell.items), MAX_ROWS)


def next_size(size: int, given_bytes: int, limit: int) -> int:
    """How much to ask for, after `size` gave `given_bytes`: what makes a full cell, at most four times as much."""
    if given_bytes > MAX_CELL_BYTES:
        return max(1, size * CELL_BYTES // given_bytes)
    return max(1, min(limit, size * 4, size * CELL_BYTES // max(1, given_bytes)))


SCROLLS: dict[str, type[Scroll]] = {"postgresql": Blocks, "mysql": PrimaryKey, "sqlite": RowNumbers}
