"""The same rows in a real PostgreSQL, MariaDB or SQLite, and audits between them by a chosen strategy."""

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tests.support.audits import ZONE
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.config.secrets import Secret
from tillwatch.model.audit import AuditReport
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.options import SqlDataset

ENGINES = ("postgresql", "mariadb", "sqlite")
Row = dict[str, Any]

#: Column types by engine; a key's columns first.
KEYS: dict[str, dict[str, dict[str, str]]] = {
    "int": {
        "postgresql": {"id": "bigint"},
        "mariadb": {"id": "bigint"},
        "sqlite": {"id": "integer"},
    },
    "varchar": {
        "postgresql": {"id": "varchar(40)"},
        "mariadb": {"id": "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
        "sqlite": {"id": "text"},
    },
    "composite": {
        "postgresql": {"store": "int", "line": "varchar(20)"},
        "mariadb": {"store": "int", "line": "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
        "sqlite": {"store": "integer", "line": "text"},
    },
    "uuid": {
        "postgresql": {"id": "uuid"},
        "mariadb": {"id": "char(36)"},
        "sqlite": {"id": "text"},
    },
}
VALUES = {
    "postgresql": {"qty": "numeric(18,4)", "price": "numeric(18,4)", "name": "varchar(80)", "at": "timestamp(6)"},
    "mariadb": {"qty": "decimal(18,4)", "price": "decimal(18,4)", "name": "varchar(80)", "at": "datetime(6)"},
    "sqlite": {"qty": "numeric", "price": "numeric", "name": "text", "at": "text"},
}
FIELDS = {
    "qty": Field(type="decimal", scale=4),
    "price": Field(type="decimal", scale=4),
    "name": Field(type="text"),
    "at": Field(type="timestamp"),
}


def key_of(kind: str, number: int) -> Row:
    """The key of the `number`th row: sparse and skewed numbers, codes that differ in case only, Chinese codes."""
    if kind == "int":
        return {"id": number**3}
    if kind == "varchar":
        base = number // 3
        return {"id": (f"SKU-{base:05d}-a", f"SKU-{base:05d}-A", f"礼品{base:04d}号")[number % 3]}
    if kind == "composite":
        return {"store": number % 7, "line": f"L{number:05d}"}
    return {"id": str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))}


def row_of(kind: str, number: int) -> Row:
    """Now and then without a price or a name, or with one that is 0 or empty: nothing is neither."""
    odd = number % 50
    return {
        **key_of(kind, number),
        "qty": Decimal(number) / 8 + Decimal("0.0625"),
        "price": {3: None, 23: Decimal(0)}.get(odd, Decimal(number % 300) + Decimal("0.99")),
        "name": {13: None, 33: ""}.get(odd, f"商品 {number} é" if number % 4 else f"Item {number}"),
        "at": datetime(2026, 1, 1) + timedelta(minutes=number * 37, microseconds=number * 1234),  # noqa: DTZ001
    }


@dataclass
class Engines:
    """Tables made on demand; each has one name on every engine."""

    postgres: Postgres
    mariadb: MariaDb
    folder: Path
    databases: dict[str, str] = field(default_factory=dict)

    def url(self, engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{self.folder}/till.db"
        server = self.postgres if engine == "postgresql" else self.mariadb
        if engine not in self.databases:
            self.databases[engine] = server.create_database()
        return server.url(self.databases[engine])

    def connect(self, engine: str) -> Any:
        """A connection of the engine's own driver that commits each statement."""
        url = self.url(engine)
        if engine == "sqlite":
            return sqlite3.connect(self.folder / "till.db", isolation_level=None)
        if engine == "postgresql":
            return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        connection = self.mariadb.connect()
        connection.select_db(self.databases[engine])
        return connection

    def run(self, engine: str, *statements: str) -> None:
        connection = self.connect(engine)
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
        finally:
            connection.close()

    def fill(
        self, engine: str, table: str, columns: Mapping[str, str], rows: Iterable[Row], *, key: Sequence[str]
    ) -> None:
        """(Re)create `table` and insert `rows` in their order; an empty `key` leaves it without a primary key."""
        primary = f", PRIMARY KEY ({', '.join(key)})" if key else ""
        declared = ", ".join(f"{name} {type}" for name, type in columns.items())
        connection = self.connect(engine)
        try:
            cursor = connection.cursor()
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
            cursor.execute(f"CREATE TABLE {table} ({declared}{primary})")
            mark = "?" if engine == "sqlite" else "%s"
            values = [[stored(engine, row[name]) for name in columns] for row in rows]
            if values:
                cursor.execute("BEGIN")
                cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(columns))})", values)
                cursor.execute("COMMIT")
        finally:
            connection.close()

    def source(self, system: str, engine: str, table: str) -> SqlSource:
        options = SqlOptions(
            url=Secret(self.url(engine)),
            timezone=ZONE,
            datasets={"rows": SqlDataset(table=table), "query": SqlDataset(query=f"SELECT * FROM {table}")},
        )
        return SqlSource(system, options, clock=SystemClock(), breaker=MemoryBreaker(), root=self.folder)


def stored(engine: str, value: object) -> object:
    """The value as that engine's driver takes it; SQLite keeps decimals as REAL and times as text."""
    if engine != "sqlite":
        return value
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def spec_of(key: Sequence[str], fields: Mapping[str, Field], **changes: Any) -> Audit:
    values: dict[str, Any] = {
        "id": "rows",
        "left": Side(system="left", dataset="rows"),
        "right": Side(system="right", dataset="rows"),
        "key": tuple(key),
        "fields": dict(fields),
        "schedule": "@every 60s",
        "settle": timedelta(0),
        "timeout": timedelta(hours=1),
    }
    return Audit(**(values | changes))


def audited(left: SqlSource, right: SqlSource, spec: Audit, strategy: str) -> AuditReport:
    """One run for which `strategy` was asked."""
    sources = {"left": left, "right": right}
    return examine(
        Order(
            declared=declare(spec, ZONE),
            open=sources.__getitem__,  # type: ignore[arg-type]
            run=1,
            started_at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
            clock=SystemClock(),
            strategy=strategy,
        )
    )
