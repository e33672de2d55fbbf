"""One database asked to compute: statements of ours over one dataset, in one read-only snapshot.

What a reading does for rows, a session does for sums: it says what each column really is, and runs SELECTs. It knows
nothing of audits; what is asked is the caller's.
"""

import enum
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tillwatch.errors import SchemaMismatch
from tillwatch.sources.changes import Slices
from tillwatch.sources.sql.changes import bucket_name
from tillwatch.sources.sql.collation import POSTGRESQL_ORDER
from tillwatch.sources.sql.database import Database, Relation
from tillwatch.sources.sql.options import SqlDataset
from tillwatch.sources.sql.slicing import key_columns, pieces

#: A server concatenates at most this much for one group before it cuts off; the caller counts what it gets.
MAX_GROUP_BYTES = 16_000_000
#: What a packet holds beside one large cell.
PACKET_OVERHEAD_BYTES = 10_000


class ColumnKind(enum.StrEnum):
    """What a column holds, as far as computing with it goes."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    #: CHAR(n): blanks at its end may be padding.
    PADDED = "padded text"
    BOOLEAN = "boolean"
    DATE = "date"
    #: A wall clock without a zone.
    LOCAL_TIME = "time without zone"
    #: An instant.
    MOMENT = "time with zone"
    UUID = "uuid"
    #: Every row may hold another type (SQLite).
    DYNAMIC = "of no fixed type"
    OTHER = "of a type we do not compute with"


_UTC = ZoneInfo("UTC")
_POSTGRESQL = {
    **dict.fromkeys((20, 21, 23), ColumnKind.INTEGER),
    1700: ColumnKind.DECIMAL,
    **dict.fromkeys((700, 701), ColumnKind.FLOAT),
    **dict.fromkeys((19, 25, 1043), ColumnKind.TEXT),
    1042: ColumnKind.PADDED,
    16: ColumnKind.BOOLEAN,
    1082: ColumnKind.DATE,
    1114: ColumnKind.LOCAL_TIME,
    1184: ColumnKind.MOMENT,
    2950: ColumnKind.UUID,
}
_MYSQL = {
    **dict.fromkeys((1, 2, 3, 8, 9), ColumnKind.INTEGER),
    **dict.fromkeys((0, 246), ColumnKind.DECIMAL),
    5: ColumnKind.FLOAT,
    **dict.fromkeys((15, 249, 250, 251, 252, 253, 254), ColumnKind.TEXT),
    **dict.fromkeys((10, 14), ColumnKind.DATE),
    12: ColumnKind.LOCAL_TIME,
    7: ColumnKind.MOMENT,
}
#: By the names of the catalogue.
_NAMED = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), ColumnKind.INTEGER),
    **dict.fromkeys(("varchar", "char"), ColumnKind.TEXT),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as a session found it."""

    #: Quoted, ready for a statement.
    sql: str
    kind: ColumnKind
    #: The driver's number of its type; equal numbers on two servers of one engine are equal types.
    code: int = 0
    #: Digits after the point, declared; None = not declared.
    scale: int | None = None
    precision: int | None = None
    #: Declared width of padded text.
    width: int | None = None
    collation: str = ""
    #: The zone of its times when they carry none.
    zone: ZoneInfo = _UTC
    #: It is the dataset's change field, whose text is read as a moment already by the source.
    marks_change: bool = False
    #: What it is compared with is always written in one way, so a text in another way only makes its row looked at.
    loose: bool = False


class Session:
    """A dataset of one database, ready to be computed on. One thread uses it, after `open`."""

    def __init__(self, database: Database, name: str, dataset: SqlDataset, fields: Sequence[str]) -> None:
        self._database = database
        self._name, self._dataset, self._fields = name, dataset, tuple(fields)
        self.bytes_read = 0
        self.requests = 0

    def open(self) -> None:
        """Connect and look at the columns."""
        self._connection = self._database.connect()
        try:
            with self._database.translating():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives, all of it: sums and samples are small."""
        with self._database.translating():
            found = self._run(statement)
            if self._blocks_writers:
                # Our read lock would keep a till from writing while the other side is still being asked.
                self._connection.rollback()
        self.requests += 1
        self.bytes_read += sum(len(cell) if isinstance(cell, str | bytes) else 8 for row in found for cell in row)
        return found

    def teach(self, name: str, arguments: int, aggregate: type) -> None:
        """SQLite: let statements sum with a class of ours; it runs in this process, where the file is read anyway."""
        driver = cast("sqlite3.Connection", self._connection.connection.driver_connection)
        driver.create_aggregate(name, arguments, aggregate)

    def estimated_rows(self) -> int:
        """Roughly how many rows there are, without counting where the server has an idea; never 0 for "no idea"."""
        guess = 0
        if self.is_table and self.dialect == "postgresql":
            guess = self._number(f"SELECT reltuples::bigint FROM pg_class WHERE oid = {self._regclass()}")
        elif self.is_table and self.dialect == "mysql":
            schema, table = self._place()
            guess = self._number(
                "SELECT TABLE_ROWS FROM information_schema.TABLES"
                f" WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
            )
        return guess if guess > 0 else self._number(f"SELECT count(*) FROM {self.source}")

    def is_unique(self, fields: Sequence[str]) -> bool:
        """Whether an index of the database itself keeps these fields, or some of them, unique."""
        if not self.is_table:
            return False
        asked = {self.names[field] for field in fields}
        return any(set(index) <= asked for index in self._unique_indexes())

    def primary_key(self) -> list[tuple[str, ColumnKind, str]]:
        """MySQL: quoted name, kind and collation of each column of the primary key, in its order; empty = none."""
        schema, table = self._place()
        found = self.rows(
            "SELECT s.COLUMN_NAME, s.SUB_PART, c.DATA_TYPE, c.COLLATION_NAME FROM information_schema.STATISTICS s"
            " JOIN information_schema.COLUMNS c USING (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)"
            f" WHERE s.INDEX_NAME = 'PRIMARY' AND TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
            " ORDER BY s.SEQ_IN_INDEX"
        )
        quote = self._connection.dialect.identifier_preparer.quote_identifier
        return [
            (quote(name), ColumnKind.OTHER if prefix else _NAMED.get(kind, ColumnKind.OTHER), collation or "")
            for name, prefix, kind, collation in found
        ]

    def has_row_numbers(self) -> bool:
        """SQLite: whether rows of the table have a number of their own."""
        _, _, table = self._dataset.table.rpartition(".")
        found = self.rows(f"SELECT wr, type FROM pragma_table_list WHERE name = {_text(table)}")
        # A column of that name stands before the number.
        hidden = self.rows(f"SELECT 1 FROM pragma_table_xinfo({_text(table)}) WHERE lower(name) = 'rowid'")
        return bool(found) and not hidden and all(kind == "table" and not without for without, kind in found)

    def max_cell_bytes(self) -> int:
        """MySQL: the largest text it puts together and sends as one; a longer one is cut off."""
        # Below both limits by what a packet holds beside, and by the character that did not fit.
        return min(MAX_GROUP_BYTES, self._number("SELECT @@max_allowed_packet")) - PACKET_OVERHEAD_BYTES

    def by_bucket(self, slices: Slices) -> tuple[str, list[tuple[str, list[str]]]]:
        """The name of a row's bucket, and conditions that hold for the rows of `slices` with their names, as SQL."""
        dialect = self._connection.dialect
        name = bucket_name(dialect.name, self._relation, slices)
        group = str(name.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        columns = key_columns(self._connection, self._dataset, [self.names[field] for field in slices.key])
        return group, pieces(columns, slices.buckets, slices.prefix)

    def changed_since(self, field: str, since: datetime) -> str:
        """Rows whose change field is at or after `since`, as SQL; empty when that cannot be said."""
        column = self.columns[field]
        if self.dialect == "sqlite" or column.kind not in (ColumnKind.LOCAL_TIME, ColumnKind.MOMENT):
            return ""
        moment = since.astimezone(UTC if column.kind is ColumnKind.MOMENT else column.zone)
        zone = "+00" if column.kind is ColumnKind.MOMENT and self.dialect == "postgresql" else ""
        return f"{column.sql} >= '{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'"

    def _number(self, statement: str) -> int:
        return int(self.rows(statement)[0][0] or 0)

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        # Without parameters a percent sign in a dataset's own query stays what it is.
        result = self._connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return [tuple(row) for row in result.fetchall()] if result.returns_rows else []

    def _prepare(self) -> None:
        connection = self._connection
        self._blocks_writers = self._database.blocks_writers(connection)
        self.dialect = "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
        self.major, self.product = _server(connection)
        quote = connection.dialect.identifier_preparer
        dataset = self._dataset
        self.is_table = bool(dataset.table)
        if dataset.table:
            schema, _, table = dataset.table.rpartition(".")
            self.source = f"{quote.quote_identifier(schema)}." if schema else ""
            self.source += quote.quote_identifier(table)
        else:
            self.source = f"(\n{dataset.query}\n) AS dataset"
        relation = self._relation = self._database.relation(connection, self._name, dataset)
        for field in self._fields:
            if field not in relation.columns:
                raise SchemaMismatch(f"dataset {self._name!r} has no field {field!r}")
        self.names = {field: str(relation.columns[field].key) for field in self._fields}
        if self.dialect == "postgresql":
            # Compiling takes longer than it saves, and a worker more is taken from the people who sell.
            self._run("SET jit = off")
            self._run("SET max_parallel_workers_per_gather = 0")
        elif self.dialect == "mysql":
            self._run(f"SET SESSION group_concat_max_len = {MAX_GROUP_BYTES}")
        elif self.dialect == "sqlite":
            _teach_md5(connection)
        quoted = {field: quote.quote_identifier(name) for field, name in self.names.items()}
        self.columns = self._described(quoted, relation)

    def _described(self, quoted: Mapping[str, str], relation: Relation) -> dict[str, Column]:
        nothing = f"SELECT {', '.join(quoted.values())} FROM {self.source} WHERE 1 = 0"
        result = self._connection.exec_driver_sql(nothing, execution_options={"no_parameters": True})
        described: list[Any] = list(result.cursor.description) if result.cursor else []
        result.close()
        collations = self._collations(quoted)
        columns: dict[str, Column] = {}
        for (field, sql), what in zip(quoted.items(), described, strict=True):
            kind = ColumnKind.DYNAMIC
            if self.dialect != "sqlite":
                kind = (_POSTGRESQL if self.dialect == "postgresql" else _MYSQL).get(what[1], ColumnKind.OTHER)
            if collations.get(field) == "binary" and kind is ColumnKind.TEXT:
                kind = ColumnKind.OTHER
            columns[field] = Column(
                sql=sql,
                kind=kind,
                code=int(what[1] or 0),
                scale=what[5] if kind is ColumnKind.DECIMAL else None,
                precision=what[4] if kind is ColumnKind.DECIMAL else None,
                width=what[2] if kind is ColumnKind.PADDED else None,
                collation=collations.get(field, ""),
                zone=relation.zones[field],
                marks_change=field == self._dataset.change_field,
            )
        return columns

    def _collations(self, quoted: Mapping[str, str]) -> dict[str, str]:
        """How each column's text compares. MySQL's driver cannot tell binary from text without it."""
        if self.dialect == "postgresql" and self.is_table:
            found = dict(
                self._run(
                    f"SELECT a.attname::text, {POSTGRESQL_ORDER}"
                    " FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
                    " JOIN pg_database d ON d.datname = current_database()"
                    f" WHERE a.attrelid = {self._regclass()} AND a.attnum > 0"
                )
            )
            return {field: str(found.get(name) or "") for field, name in self.names.items()}
        if self.dialect != "mysql":
            return {}
        asked = ", ".join(f"COLLATION(MAX({sql}))" for sql in quoted.values())
        row = self._run(f"SELECT {asked} FROM {self.source} WHERE 1 = 0")[0]
        return {field: str(name) for field, name in zip(quoted, row, strict=True)}

    def _unique_indexes(self) -> list[list[str]]:
        if self.dialect == "postgresql":
            return [
                list(row[0])
                for row in self.rows(
                    "SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
                    " AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
                    f" WHERE i.indrelid = {self._regclass()} AND i.indisunique AND i.indisvalid"
                    " AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY i.indexrelid"
                )
            ]
        found: dict[str, list[str]] = {}
        if self.dialect == "mysql":
            schema, table = self._place()
            for index, column in self.rows(
                "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0"
                f" AND TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
            ):
                found.setdefault(str(index), []).append(str(column))
            return list(found.values())
        schema, _, table = self._dataset.table.rpartition(".")
        where = f"{_text(table)}, {_text(schema)}" if schema else _text(table)
        names = self.rows(f"SELECT name FROM pragma_table_info({where}) WHERE pk")
        found["primary key"] = [str(name) for (name,) in names]
        for (index,) in self.rows(f'SELECT name FROM pragma_index_list({where}) WHERE "unique" AND NOT partial'):
            names = self.rows(f"SELECT name FROM pragma_index_info({_text(index)})")
            found[str(index)] = [str(name) for (name,) in names]
        return [index for index in found.values() if index and "None" not in index]

    def _regclass(self) -> str:
        return f"{_text(self.source)}::regclass"

    def _place(self) -> tuple[str, str]:
        """MySQL: schema and table as literals."""
        schema, _, table = self._dataset.table.rpartition(".")
        return _text(schema) if schema else "DATABASE()", _text(table)


def _server(connection: Connection) -> tuple[int, str]:
    version = connection.dialect.server_version_info or (0,)
    product = "mariadb" if getattr(connection.dialect, "is_mariadb", False) else connection.dialect.name
    return int(version[0]), product


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _md5(text: str | None) -> str | None:
    """SQLite has no hash of its own."""
    return None if text is None else hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _teach_md5(connection: Connection) -> None:
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.create_function("md5", 1, _md5, deterministic=True)
