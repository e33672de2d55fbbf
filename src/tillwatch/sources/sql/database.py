"""One database: connections that cannot write, errors in our words, and what a dataset really looks like."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, FromClause
from sqlalchemy.exc import SQLAlchemyError

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import AuthRefused, SchemaMismatch
from tillwatch.sources.base import Breaker, credential_digest
from tillwatch.sources.sql import statement
from tillwatch.sources.sql.engine import database_of, open_engine, snapshot
from tillwatch.sources.sql.failures import translated
from tillwatch.sources.sql.options import SqlDataset, SqlOptions

#: Driver type codes of columns that hold a moment, not a wall clock: PostgreSQL's timestamptz, MySQL's TIMESTAMP.
_MOMENT_TYPES = {("postgresql", 1184), ("mysql", 7), ("mariadb", 7)}
#: …and of PostgreSQL's date, timestamp and timestamptz.
_TIME_TYPES = {1082, 1114, 1184}
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A dataset as it is now."""

    source: FromClause
    #: Canonical field: its column.
    columns: dict[str, ColumnElement[Any]]
    #: Canonical field: the zone of its times when the driver hands them over without one.
    zones: dict[str, ZoneInfo]
    #: Canonical fields that hold moments; comparing them with a wall clock would be off by the zone.
    moments: frozenset[str]
    #: Canonical fields the database itself can compare with a time. PostgreSQL refuses to for times kept as text; the
    #: others convert.
    dated: frozenset[str]

    def change_field(self, declared: str) -> str:
        """The declared change field, empty when the database cannot say by it what changed since."""
        return declared if declared in self.dated else ""


class Database:
    """Safe for several threads; each `connection()` is its own."""

    def __init__(self, system: str, options: SqlOptions, *, breaker: Breaker, root: Path) -> None:
        address = options.address()
        self._system = system
        self._options = options
        self._breaker = breaker
        self._engine = open_engine(options, root=root)
        self._password = str(address.password or "")
        #: Where the database is, without its password.
        self.place = address.render_as_string(hide_password=True)
        self.identity = database_of(address, root)
        self._login_lock = threading.Lock()
        self._digest = ""
        self._proven = False

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    def connect(self) -> Connection:
        """A connection inside a read-only snapshot; the caller closes it. A refused password opens the breaker."""
        if not self._password:
            return self._connected()
        if self._proven:
            return self._tried()
        # Until the password is known to be right one thread tries it and the others wait for what it learns.
        with self._login_lock:
            self._digest = self._digest or credential_digest(self._password, self._system, self.place)
            self._breaker.check(self._system, self._digest)
            connection = self._tried()
            self._proven = True
            return connection

    def _tried(self) -> Connection:
        try:
            return self._connected()
        except AuthRefused as error:
            # It may have been right until somebody changed it over there.
            self._proven = False
            self._breaker.refused(self._system, self._digest, str(error))
            raise

    def _connected(self) -> Connection:
        with self.translating():
            connection = self._engine.connect()
            try:
                snapshot(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with self.translating(), self.connect() as connection:
            yield connection

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Driver errors leave as ours, without the password and without the driver's own trace."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self._translated(error) from None

    def relation(self, connection: Connection, name: str, dataset: SqlDataset) -> Relation:
        """The dataset with the columns it really has. Raises SchemaMismatch naming those when one is missing."""
        with connection.execute(statement.all_columns(dataset)) as result:
            there = {column[0]: column[1] for column in result.cursor.description}
        columns = dataset.columns or {column: column for column in there}
        for field, column in columns.items():
            if column not in there:
                raise SchemaMismatch(
                    f"system {self._system!r}, dataset {name!r}: field {field!r} is mapped to column {column!r}, which "
                    f"{dataset.table or 'the query'} does not have{did_you_mean(column, there, what='it has')}"
                )
        source, elements = statement.relation(dataset, columns)
        moments = frozenset(
            field for field, column in columns.items() if (self.dialect, there[column]) in _MOMENT_TYPES
        )
        dated = frozenset(
            field for field, column in columns.items() if self.dialect != "postgresql" or there[column] in _TIME_TYPES
        )
        zones = {field: _UTC if field in moments else self._options.timezone for field in columns}
        return Relation(source=source, columns=elements, zones=zones, moments=moments, dated=dated)

    def blocks_writers(self, connection: Connection) -> bool:
        """Whether our open transaction keeps others from writing: a SQLite file without write-ahead log does that."""
        if self.dialect != "sqlite":
            return False
        return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()).lower() != "wal"

    def close(self) -> None:
        self._engine.dispose()

    def _translated(self, error: SQLAlchemyError) -> Exception:
        return translated(error, system=self._system, place=self.place, secrets=(self._password,))
