"""One reading of one dataset: a generator of bounded batches and the numbers it gathers on its way."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.exc import DBAPIError

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.base import Reading, Tail
from tillwatch.sources.budget import retrying
from tillwatch.sources.sql import statement, values
from tillwatch.sources.sql.database import Database, Relation
from tillwatch.sources.sql.options import SqlDataset

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


@dataclass
class _Progress:
    rows: int = 0
    bytes_read: int = 0
    requests: int = 0
    #: Sum of the database's own counts; None for keys, where fewer rows than keys is no contradiction.
    counted: int | None = None

    def tail(self) -> Tail:
        return Tail(
            rows=self.rows,
            server_count=self.counted,
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
            chosen = list(relation.columns) if request.fields is None else list(request.fields)
            _known(request, relation, chosen)
            condition = _since(database, request, relation)
            if request.keys is None:
                yield from _all(connection, request, relation, chosen, condition, progress)
            else:
                for piece in _pieces(request, relation):
                    yield from _piece(connection, request, relation, chosen, condition, piece, progress)
    finally:
        connection.close()


def _known(request: Request, relation: Relation, names: Sequence[str]) -> None:
    for name in names:
        if name not in relation.columns:
            raise SchemaMismatch(
                f"system {request.system!r}, dataset {request.name!r} has no field {name!r}"
                f"{did_you_mean(name, relation.columns, what='it has')}"
            )


def _since(database: Database, request: Request, relation: Relation) -> ColumnElement[bool] | None:
    if request.since is None:
        return None
    name = request.dataset.change_field
    if name not in relation.columns:
        raise UsageError(
            f"system {request.system!r}, dataset {request.name!r} has no change field {name!r}, so nobody can ask for "
            f"what changed; name one with 'change_field'{did_you_mean(name, relation.columns, what='it has')}"
        )
    return statement.changed_since(
        relation.columns[name],
        request.since,
        dialect=database.dialect,
        zone=relation.zones[name],
        stored_aware=database.dialect == "postgresql" and name in relation.moments,
    )


def _pieces(request: Request, relation: Relation) -> list[list[Mapping[str, str]]]:
    assert request.keys is not None
    for key in request.keys:
        if not key:
            raise UsageError(f"system {request.system!r}, dataset {request.name!r}: a key names no field")
        _known(request, relation, list(key))
    return statement.chunks(request.keys)


def _all(
    connection: Connection,
    request: Request,
    relation: Relation,
    chosen: list[str],
    condition: ColumnElement[bool] | None,
    progress: _Progress,
) -> Iterator[list[Row]]:
    count = select(func.count()).select_from(relation.source)
    rows = select(*(relation.columns[name] for name in chosen)).select_from(relation.source)
    if condition is not None:
        count, rows = count.where(condition), rows.where(condition)
    # The same snapshot: a difference can only be rows lost on the way.
    progress.counted = connection.execute(count).scalar_one()
    progress.requests += 2
    yield from _stream(connection, rows, request, relation, chosen, progress)


def _piece(
    connection: Connection,
    request: Request,
    relation: Relation,
    chosen: list[str],
    condition: ColumnElement[bool] | None,
    keys: list[Mapping[str, str]],
    progress: _Progress,
) -> Iterator[list[Row]]:
    """The rows of one chunk of keys: small enough to hold, so a type that refuses a key can be asked again as text."""
    key_fields = list(keys[0])
    asked = list(dict.fromkeys([*chosen, *key_fields]))
    # A column of a SQLite query may be an expression, which compares by type; a table's column converts the key.
    as_text = connection.dialect.name == "sqlite" and bool(request.dataset.query)
    found: list[Row] = []
    for attempt_as_text in (as_text, True):
        rows = select(*(relation.columns[name] for name in asked)).select_from(relation.source)
        rows = rows.where(statement.one_of(relation.columns, keys, as_text=attempt_as_text))
        if condition is not None:
            rows = rows.where(condition)
        progress.requests += 1
        try:
            with connection.begin_nested():
                found = [
                    row for batch in _stream(connection, rows, request, relation, asked, progress) for row in batch
                ]
            break
        except DBAPIError as error:
            if attempt_as_text or getattr(error.orig, "sqlstate", "") not in _NOT_OF_THIS_TYPE:
                raise
    matching = [row for row in found if any(all(values.same(row[name], key[name]) for name in key) for key in keys)]
    progress.rows -= len(found) - len(matching)
    wanted: list[Row] = [{name: row[name] for name in chosen} for row in matching]
    for start in range(0, len(wanted), request.batch_rows):
        yield wanted[start : start + request.batch_rows]


def _stream(
    connection: Connection,
    rows: Any,
    request: Request,
    relation: Relation,
    chosen: list[str],
    progress: _Progress,
) -> Iterator[list[Row]]:
    options = {"stream_results": True, "yield_per": request.batch_rows, "max_row_buffer": request.batch_rows}
    zones = [relation.zones[name] for name in chosen]
    with connection.execute(rows, execution_options=options) as result:
        for partition in result.partitions():
            batch: list[Row] = []
            for cells in partition:
                row = {
                    name: values.canonical(cell, zone) for name, cell, zone in zip(chosen, cells, zones, strict=True)
                }
                if (mark := request.dataset.change_field) in row:
                    row[mark] = values.moment(row[mark], relation.zones[mark])
                batch.append(row)
                progress.bytes_read += sum(map(values.size_bytes, cells))
            progress.rows += len(batch)
            yield batch
