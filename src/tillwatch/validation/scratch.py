"""What rules that look at more than one row remember of a reading, on disk, so that memory is bounded.

A private temporary SQLite database, as the audits use: gone when the process ends, however it ends.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, localcontext
from types import TracebackType
from typing import Any, Self

from tillwatch.errors import UnavailableError

CACHE_KIB = 32_768
#: Digits of a sum that is exact: no ledger comes near.
MAX_DIGITS = 100
_FETCH_ROWS = 1_000
#: What the sum of lines of which one cannot be read is called.
UNREADABLE = "?"


@dataclass(frozen=True, kw_only=True)
class Own:
    """What one rule remembers of one row. `link` is what it is looked up, grouped or counted by."""

    link: str
    key: str
    value: str | None = None
    number: float | None = None


class _ExactSum:
    """Sums decimals written as text; SQLite itself would add binary floats."""

    def __init__(self) -> None:
        self._total = Decimal(0)
        self._readable = True

    def step(self, value: str | None) -> None:
        if value is None:
            self._readable = False
            return
        with localcontext(prec=MAX_DIGITS):
            self._total += Decimal(value)

    def finalize(self) -> str:
        return str(self._total) if self._readable else UNREADABLE


class Scratch:
    """Rules are known by their place in the validation. One thread uses it."""

    def __init__(self, *, cache_kib: int = CACHE_KIB) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{cache_kib}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]
        self._connection.execute("BEGIN")
        self._connection.execute(
            "CREATE TABLE own (rule INTEGER NOT NULL, link TEXT NOT NULL, key TEXT NOT NULL, value TEXT, number REAL)"
        )
        self._connection.execute("CREATE TABLE other (rule INTEGER NOT NULL, link TEXT NOT NULL, value TEXT)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def forget_own(self) -> None:
        self._run("DELETE FROM own")

    def forget_other(self, rule: int) -> None:
        self._run("DELETE FROM other WHERE rule = ?", (rule,))

    def add(self, rule: int, rows: Iterable[Own]) -> None:
        with _room():
            self._connection.executemany(
                "INSERT INTO own VALUES (?, ?, ?, ?, ?)",
                ((rule, row.link, row.key, row.value, row.number) for row in rows),
            )

    def add_other(self, rule: int, rows: Iterable[tuple[str, str | None]]) -> None:
        with _room():
            self._connection.executemany(
                "INSERT INTO other VALUES (?, ?, ?)", ((rule, link, value) for link, value in rows)
            )

    def repeated(self, rule: int) -> Iterator[tuple[str, str, int]]:
        """Link, key and how often the link stands there, for every row whose link is not its own."""
        return self._rows(
            "SELECT link, key, n FROM"
            " (SELECT link, key, count(*) OVER (PARTITION BY link) AS n FROM own WHERE rule = ?)"
            " WHERE n > 1 ORDER BY link, key",
            (rule,),
        )

    def links(self, rule: int, limit: int) -> list[str]:
        """What the remembered rows are looked up by, each once, at most `limit`."""
        query = "SELECT DISTINCT link FROM own WHERE rule = ? LIMIT ?"
        return [link for (link,) in self._rows(query, (rule, limit))]

    def absent(self, rule: int) -> Iterator[tuple[str, str]]:
        """Link and key of every row whose link is not in the other dataset."""
        return self._rows(
            "SELECT link, key FROM own WHERE rule = ?1"
            " AND link NOT IN (SELECT link FROM other WHERE rule = ?1) ORDER BY link, key",
            (rule,),
        )

    def sums(self, rule: int) -> Iterator[tuple[str, str, str | None]]:
        """Key, header and the sum of its lines (UNREADABLE, or None without lines) for every header."""
        return self._rows(
            "SELECT own.key, own.value, lines.total FROM own LEFT JOIN"
            " (SELECT link, exact_sum(value) AS total FROM other WHERE rule = ?1 GROUP BY link) lines"
            " ON lines.link = own.link WHERE own.rule = ?1 ORDER BY own.key",
            (rule,),
        )

    def groups(self, rule: int) -> Iterator[tuple[str, "array[float]"]]:
        """Each group with its numbers in ascending order, eight bytes a number."""
        group: str | None = None
        numbers = array("d")
        for link, number in self._rows(
            "SELECT link, number FROM own WHERE rule = ? AND number IS NOT NULL ORDER BY link, number", (rule,)
        ):
            if link != group:
                if group is not None:
                    yield group, numbers
                group, numbers = link, array("d")
            numbers.append(number)
        if group is not None:
            yield group, numbers

    def outside(self, rule: int, group: str, low: float, high: float) -> Iterator[tuple[str, str, float]]:
        """Key, value as shown and number of the rows of `group` below `low` or above `high`."""
        return self._rows(
            "SELECT key, value, number FROM own WHERE rule = ? AND link = ? AND (number < ? OR number > ?)"
            " ORDER BY number, key",
            (rule, group, low, high),
        )

    def index(self) -> None:
        """Make looking rows up by rule and link quick; worth it once a rule asks group by group."""
        self._run("CREATE INDEX IF NOT EXISTS own_link ON own (rule, link)")

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> None:
        with _room():
            self._connection.execute(statement, values)

    def _rows(self, statement: str, values: tuple[object, ...]) -> Iterator[Any]:
        with _room():
            cursor = self._connection.execute(statement, values)
            while rows := cursor.fetchmany(_FETCH_ROWS):
                yield from rows


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"the temporary folder cannot hold this validation: {error}; set TMPDIR") from error
