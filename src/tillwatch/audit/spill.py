"""Rows of both sides on disk while they are compared, so that memory is bounded whatever the size of the dataset.

A private temporary SQLite database: it stays in its page cache while it is small, spills to disk when it is not, sorts
with SQLite's external merge sort, and is gone when the process ends, however it ends. The operating system decides
where it lies (SQLITE_TMPDIR, TMPDIR, /var/tmp, /tmp).
"""

import enum
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Self

from tillwatch.audit.rows import Encoded
from tillwatch.errors import TillwatchError, UnavailableError

#: Page cache, and with it the memory of one sort, in KiB. Three of them at most are in use at once.
CACHE_KIB = 32_768
#: Steps of SQLite's machine between two signs of life: a fraction of a second of sorting.
STEPS_PER_SIGN = 2_000_000


#: Puts the cells of all rows of one key together.
Fold = Callable[[Iterable[bytes]], bytes]


class Stand(enum.IntEnum):
    """Where a suspect stands while the audit waits for rows in flight to settle."""

    PENDING = 0
    CONFIRMED = 1
    CLEARED = 2
    #: Differs, and the right side is known to be behind: not lost, but later than the sync may be.
    LATE = 3


@dataclass(frozen=True, kw_only=True)
class Half:
    """What one side holds under one key, as bytes."""

    cells: bytes
    context: bytes


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides of one key; None = no such row there."""

    key: bytes
    left: Half | None
    right: Half | None


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Keys that stand more than once on one side."""

    keys: int
    examples: tuple[bytes, ...]


class Spill:
    """Two tables of rows (`left`, `right`) and one of suspects. One thread uses it."""

    def __init__(self, *, cache_kib: int = CACHE_KIB, alive: Callable[[], None] = lambda: None) -> None:
        """`alive` is also called while millions of rows are sorted, which is a single step."""
        self._connection = sqlite3.connect("", isolation_level=None)
        self._alive = alive
        self._connection.set_progress_handler(self._working, STEPS_PER_SIGN)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{cache_kib}"):
            self._connection.execute(f"PRAGMA {pragma}")
        # One transaction from first to last: nothing here is ever committed, and a commit a row would be the cost.
        self._connection.execute("BEGIN")
        self._connection.execute(
            "CREATE TABLE suspects (key BLOB PRIMARY KEY, left BLOB, left_context BLOB, right BLOB,"
            " right_context BLOB, stand INTEGER NOT NULL, standing BLOB NOT NULL) WITHOUT ROWID"
        )
        for side in ("left", "right"):
            self.clear(side)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _working(self) -> int:
        # A store that is away now is asked again soon, and by whoever can tell what that means for the run.
        with suppress(TillwatchError):
            self._alive()
        return 0

    def clear(self, side: str) -> None:
        """Forget the rows of `side`."""
        self._connection.execute(f"DROP TABLE IF EXISTS {_table(side)}")
        self._connection.execute(f"CREATE TABLE {_table(side)} (key BLOB, cells BLOB, context BLOB)")

    def add(self, side: str, rows: Sequence[Encoded], *, pending_only: bool = False) -> None:
        """Append rows; with `pending_only` those whose key is no pending suspect are dropped."""
        wanted = " WHERE EXISTS (SELECT 1 FROM suspects WHERE key = ?1 AND stand = 0)" if pending_only else ""
        try:
            self._connection.executemany(
                f"INSERT INTO {_table(side)} SELECT ?1, ?2, ?3{wanted}",
                [row[:3] for row in rows],
            )
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def fold(self, side: str, cells: Fold, context: Fold) -> int:
        """Put the rows of each key together, in sorted order; returns how many are left."""
        raw = f"{side}_raw"
        try:
            self._connection.execute(f"DROP TABLE IF EXISTS {raw}")
            self._connection.execute(f"ALTER TABLE {_table(side)} RENAME TO {raw}")
            self.clear(side)
            for column, fold in (("cells", cells), ("context", context)):
                rows = self._connection.execute(f"SELECT key, {column} FROM {raw} ORDER BY key")
                for key, group in groupby(rows, key=itemgetter(0)):
                    folded = fold(row[1] for row in group)
                    if column == "cells":
                        self._connection.execute(f"INSERT INTO {_table(side)} VALUES (?, ?, '[]')", (key, folded))
                    elif folded != b"[]":
                        self._connection.execute(f"UPDATE {_table(side)} SET context = ? WHERE key = ?", (folded, key))
                if column == "cells":
                    self._connection.execute(f"CREATE INDEX {side}_key ON {_table(side)} (key)")
            self._connection.execute(f"DROP TABLE {raw}")
            return self.rows(side)
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def repeated(self, side: str, *, examples: int) -> Repeated:
        """Keys that stand on `side` more than once."""
        try:
            cursor = self._connection.execute(
                f"SELECT key, count(*) OVER () FROM {_table(side)} GROUP BY key HAVING count(*) > 1 LIMIT ?",
                (examples,),
            )
            rows = cursor.fetchall()
        except sqlite3.OperationalError as error:
            raise _full(error) from error
        return Repeated(keys=rows[0][1] if rows else 0, examples=tuple(row[0] for row in rows))

    def keys(self, *, limit: int) -> list[bytes]:
        """Keys that stand on either side, each once, in key order."""
        query = "SELECT key FROM left_rows UNION SELECT key FROM right_rows ORDER BY key LIMIT ?"
        return [row[0] for row in self._connection.execute(query, (limit,))]

    def unequal(self) -> Iterator[Pair]:
        """Keys on which the sides differ byte by byte, in key order: a merge of both sides sorted."""
        left, right = self._sorted("left"), self._sorted("right")
        one, other = next(left, None), next(right, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one[0] < other[0]):
                assert one is not None
                yield Pair(key=one[0], left=Half(cells=one[1], context=one[2]), right=None)
                one = next(left, None)
            elif one is None or other[0] < one[0]:
                yield Pair(key=other[0], left=None, right=Half(cells=other[1], context=other[2]))
                other = next(right, None)
            else:
                if one[1] != other[1]:
                    yield Pair(
                        key=one[0],
                        left=Half(cells=one[1], context=one[2]),
                        right=Half(cells=other[1], context=other[2]),
                    )
                one, other = next(left, None), next(right, None)

    def _sorted(self, side: str) -> Iterator[tuple[bytes, bytes, bytes]]:
        try:
            yield from self._connection.execute(f"SELECT key, cells, context FROM {_table(side)} ORDER BY key")
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def suspect(self, pair: Pair, stand: Stand = Stand.PENDING, standing: bytes = b"") -> None:
        """Add a suspect, or say anew what both sides hold under its key and where it stands."""
        left, right = pair.left, pair.right
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO suspects VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    pair.key,
                    left.cells if left else None,
                    left.context if left else None,
                    right.cells if right else None,
                    right.context if right else None,
                    stand,
                    standing,
                ),
            )
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def confirm_all(self) -> None:
        """Every pending suspect is a difference: nothing is waited for."""
        self._connection.execute("UPDATE suspects SET stand = 1 WHERE stand = 0")

    def newest(self, side: str, position: int) -> tuple[int, str]:
        """How many rows are kept of `side`, and the largest text that stands at `position` of their context."""
        rows, newest = self._connection.execute(
            f"SELECT count(*), max(json_extract(context, '$[' || ? || ']')) FROM {_table(side)}", (position,)
        ).fetchone()
        return int(rows), str(newest or "")

    def rows(self, side: str) -> int:
        """How many rows are kept of `side`."""
        return int(self._connection.execute(f"SELECT count(*) FROM {_table(side)}").fetchone()[0])

    def count(self, stand: Stand) -> int:
        return int(self._connection.execute("SELECT count(*) FROM suspects WHERE stand = ?", (stand,)).fetchone()[0])

    def suspects(self, stand: Stand) -> Iterator[Pair]:
        """Suspects that stand so, in key order."""
        for key, left, left_context, right, right_context in self._connection.execute(
            "SELECT key, left, left_context, right, right_context FROM suspects WHERE stand = ? ORDER BY key", (stand,)
        ):
            yield Pair(key=key, left=_half(left, left_context), right=_half(right, right_context))

    def standings(self, stand: Stand) -> Iterator[tuple[Pair, bytes]]:
        """Suspects that stand so with what was noted of each, in key order. The caller may change them meanwhile."""
        last = b""
        while rows := self._connection.execute(
            "SELECT key, left, left_context, right, right_context, standing FROM suspects"
            " WHERE stand = ? AND key > ? ORDER BY key LIMIT 1000",
            (stand, last),
        ).fetchall():
            for key, left, left_context, right, right_context, standing in rows:
                pair = Pair(key=key, left=_half(left, left_context), right=_half(right, right_context))
                yield pair, standing
            last = rows[-1][0]

    def again(self) -> Iterator[tuple[Pair, bytes]]:
        """Pending suspects as the sides hold them now, each with what was noted of it.

        Read in slices: the caller changes suspects while it iterates.
        """
        for side in ("left", "right"):
            self._connection.execute(f"CREATE INDEX IF NOT EXISTS {side}_key ON {_table(side)} (key)")
        last = b""
        while rows := self._connection.execute(
            "SELECT s.key, l.cells, l.context, r.cells, r.context, s.standing"
            " FROM suspects s LEFT JOIN left_rows l ON l.key = s.key LEFT JOIN right_rows r ON r.key = s.key"
            " WHERE s.stand = 0 AND s.key > ? ORDER BY s.key LIMIT 1000",
            (last,),
        ).fetchall():
            for row in rows:
                yield Pair(key=row[0], left=_half(row[1], row[2]), right=_half(row[3], row[4])), row[5]
            last = rows[-1][0]


def _table(side: str) -> str:
    return {"left": "left_rows", "right": "right_rows"}[side]


def _half(cells: bytes | None, context: bytes | None) -> Half | None:
    return None if cells is None else Half(cells=cells, context=context or b"[]")


def _full(error: sqlite3.Error) -> UnavailableError:
    return UnavailableError(
        f"the temporary files of the comparison cannot be written ({error}); free space in the temporary folder, or "
        "point TMPDIR at a larger one"
    )
