"""One reading of one dataset: a generator of bounded batches and the numbers it gathers on its way."""

import pickle
import sqlite3
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Select, TextClause, func, select
from sqlalchemy.exc import DBAPIError

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.base import Reading, Tail
from tillwatch.sources.budget import retrying
from tillwatch.sources.changes import Slices
from tillwatch.sources.sql import changes, statement, values
from tillwatch.sources.sql.database import Database, Relation
from tillwatch.sources.sql.options import SqlDataset
from tillwatch.sources.sql.screening import Screen

#: SQLSTATEs of "this text is no value of the column's type": the key may still be there in the column's own words.
_NOT_OF_THIS_TYPE = {"22P02", "22003", "22007", "22008"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a dataset."""

    system: str
    name: str
    dataset: SqlDataset
    fields: Sequence[str] | None
    since: datetime | None
    keys: Sequence[Mapping[str, str]] | None
    batch_rows: int
    #: Only the rows of these buckets.
    slices: Slices | None = None
    #: Only the rows this statement gives.
    screen: Screen | None = None


@dataclass
class _Progress:
    rows: int = 0
    bytes_read: int = 0
    requests: int = 0
    #: Sum of the database's own counts; None for keys, where fewer rows than keys is no contradiction.
    counted: int | None = None
    looked_at: int | None = None

    def tail(self) -> Tail:
        return Tail(
            rows=self.rows,
            server_count=self.counted,
            looked_at=self.looked_at,
            stable=self.counted is None or self.counted == self.rows,
            bytes_read=self.bytes_read,
            requests=self.requests,
        )


def reading(database: Database, request: Request, *, clock: Clock) -> Reading:
    """Nothing is asked before the first batch is."""
    progress = _Progress()
    batches = _batches(database, request, progress, clock)
    return Reading(batches, progress.tail, batches.close)


def _batches(
    database: Database, request: Request, progress: _Progress, clock: Clock
) -> Generator[list[Row], None, None]:
    # Only reaching the database is tried again: once rows flow, a failure ends the reading.
    connection = retrying(database.connect, clock=clock)
    try:
        with database.translating():
            relation = database.relation(connection, request.name, request.dataset)
            reader = _Reader(
                connection, request, relation, progress, blocks_writers=database.blocks_writers(connection)
            )
            if request.keys is None:
                yield from reader.whole()
            else:
                yield from reader.by_key(request.keys)
    finally:
        connection.close()


class _Reader:
    """Reads one dataset over one connection. Field names are checked when it is made."""

    def __init__(
        self,
        connection: Connection,
        request: Request,
        relation: Relation,
        progress: _Progress,
        *,
        blocks_writers: bool,
    ) -> None:
        self._connection = connection
        self._request = request
        self._relation = relation
        self._progress = progress
        self._blocks_writers = blocks_writers
        self._chosen = list(relation.columns) if request.fields is None else list(request.fields)
        self._known(self._chosen)
        #: Of one statement each; None = all rows.
        self._conditions: Sequence[ColumnElement[bool] | None]
        self._conditions = [self._since()] if request.slices is None else self._sliced(request.slices)

    def whole(self) -> Iterator[list[Row]]:
        screen = self._request.screen
        partitions: Iterator[Sequence[Sequence[object]]]
        if screen is None:
            self._count()
            partitions = chain.from_iterable(
                self._partitions(self._select(self._chosen, condition)) for condition in self._conditions
            )
        else:
            partitions = self._partitions(self._screened(screen))
        if self._blocks_writers:
            partitions = self._spooled(partitions)
        for cells in partitions:
            batch = [self._row(self._chosen, row) for row in cells]
            if screen is not None and screen.flags:
                batch = [_flagged(row, screen.flags, found) for row, found in zip(batch, cells, strict=True)]
            self._progress.rows += len(batch)
            yield batch

    def _count(self) -> None:
        """What the database says this reading will give. Slices are chosen by a count of their own."""
        if self._request.slices is not None:
            self._progress.requests += len(self._conditions)
            return
        count = select(func.count()).select_from(self._relation.source)
        for condition in self._conditions:
            count = count if condition is None else count.where(condition)
        # The same snapshot: a difference can only be rows lost on the way.
        self._progress.counted = self._connection.execute(count).scalar_one()
        self._progress.requests += 2

    def _screened(self, screen: Screen) -> TextClause:
        """The caller's statement; how many rows it looks at is counted in the same snapshot."""
        count = select(func.count()).select_from(self._relation.source)
        self._progress.looked_at = self._connection.execute(count).scalar_one()
        self._progress.requests += 2
        if screen.functions:
            driver = cast("sqlite3.Connection", self._connection.connection.driver_connection)
            for name, function in screen.functions.items():
                driver.create_function(name, 1, function, deterministic=True)
        return statement.as_written(screen.statement)

    def by_key(self, keys: Sequence[Mapping[str, str]]) -> Iterator[list[Row]]:
        for key in keys:
            if not key:
                raise UsageError(f"{self._where}: a key must name at least one field")
            self._known(list(key))
        for piece in statement.chunks(keys):
            rows = self._piece(piece)
            if self._blocks_writers:
                self._connection.rollback()
            for start in range(0, len(rows), self._request.batch_rows):
                batch = rows[start : start + self._request.batch_rows]
                self._progress.rows += len(batch)
                yield batch

    @property
    def _where(self) -> str:
        return f"system {self._request.system!r}, dataset {self._request.name!r}"

    def _known(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._relation.columns:
                known = did_you_mean(name, self._relation.columns, what="it has")
                raise SchemaMismatch(f"{self._where} has no field {name!r}{known}")

    def _since(self) -> ColumnElement[bool] | None:
        if self._request.since is None:
            return None
        name = self._request.dataset.change_field
        if name not in self._relation.columns:
            raise UsageError(
                f"{self._where} has no change field {name!r}, so nobody can ask for what changed; name one with "
                f"'change_field'{did_you_mean(name, self._relation.columns, what='it has')}"
            )
        if not self._relation.change_field(name):
            raise UsageError(
                f"{self._where}: the change field {name!r} is kept as text, which the database does not compare with "
                "times; make the column a timestamp or read it through a query that casts it"
            )
        dialect = self._connection.dialect.name
        return statement.changed_since(
            self._relation.columns[name],
            self._request.since,
            dialect=dialect,
            zone=self._relation.zones[name],
            stored_aware=dialect == "postgresql" and name in self._relation.moments,
        )

    def _sliced(self, slices: Slices) -> Sequence[ColumnElement[bool]]:
        self._known(slices.key)
        return changes.in_slices(self._connection, self._request.dataset, self._relation, slices)

    def _select(self, names: Sequence[str], condition: ColumnElement[bool] | None = None) -> Select[Any]:
        rows = select(*(self._relation.columns[name] for name in names)).select_from(self._relation.source)
        return rows if condition is None else rows.where(condition)

    def _piece(self, keys: list[Mapping[str, str]]) -> list[Row]:
        """The rows of one chunk of keys: few enough to hold, so keys a type refuses can be asked again as text."""
        names = list(keys[0])
        asked = list(dict.fromkeys([*self._chosen, *names]))
        # A column of a SQLite query may be an expression, which compares by type; a table's column converts the key.
        as_text = self._connection.dialect.name == "sqlite" and bool(self._request.dataset.query)
        found: list[Row] = []
        for attempt_as_text in (as_text, True):
            condition = statement.one_of(self._relation.columns, keys, as_text=attempt_as_text)
            self._progress.requests += 1
            try:
                with self._connection.begin_nested():
                    partitions = self._partitions(self._select(asked).where(condition))
                    found = [self._row(asked, cells) for partition in partitions for cells in partition]
                break
            except DBAPIError as error:
                if attempt_as_text or getattr(error.orig, "sqlstate", "") not in _NOT_OF_THIS_TYPE:
                    raise
        matching = values.matching(found, keys)
        return [{name: row[name] for name in self._chosen} for row in matching]

    def _partitions(self, rows: Select[Any] | TextClause) -> Iterator[Sequence[Sequence[object]]]:
        size = self._request.batch_rows
        options = {"stream_results": True, "yield_per": size, "max_row_buffer": size}
        with self._connection.execute(rows, execution_options=options) as result:
            yield from result.partitions()

    def _spooled(self, partitions: Iterator[Sequence[Sequence[object]]]) -> Iterator[Sequence[Sequence[object]]]:
        """Everything into a file of ours as fast as the database gives it, then the lock is free, then the rows.

        A slow reader must not keep a till from writing its next sale.
        """
        with tempfile.TemporaryFile(prefix="tillwatch-") as spool:
            written = 0
            for partition in partitions:
                pickle.dump([tuple(cells) for cells in partition], spool, protocol=pickle.HIGHEST_PROTOCOL)
                written += 1
            self._connection.rollback()
            spool.seek(0)
            for _ in range(written):
                yield pickle.load(spool)

    def _row(self, names: Sequence[str], cells: Sequence[object]) -> Row:
        zones = self._relation.zones
        row = {name: values.canonical(cell, zones[name]) for name, cell in zip(names, cells, strict=False)}
        if (mark := self._request.dataset.change_field) in row:
            row[mark] = values.moment(row[mark], zones[mark])
        self._progress.bytes_read += sum(map(values.size_bytes, cells))
        return row


def _flagged(row: Row, flags: Sequence[str], cells: Sequence[object]) -> Row:
    """The last cells are the flags."""
    return {**row, **{flag: bool(cell) for flag, cell in zip(flags, cells[-len(flags) :], strict=True)}}
