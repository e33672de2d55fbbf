"""Two real databases with the same stock, an audit between them, and hands to change either."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.support.audits import chain
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport
from tillwatch.model.proof import Proof
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.store import proofs
from tillwatch.store.db import Database

#: What the rows are dated to begin with, before the clock of the tests begins.
BEGINNING = "2026-11-24 02:00:00"
Execute = Callable[[str], object]


@dataclass
class Store:
    """One database with a table `stock`."""

    url: str
    execute: Execute


@contextmanager
def sqlite_store(folder: Path, name: str) -> Iterator[Store]:
    file = sqlite3.connect(folder / f"{name}.db", isolation_level=None)
    yield Store(url=f"sqlite:///{name}.db", execute=file.execute)
    file.close()


@contextmanager
def postgres_store(server: Postgres) -> Iterator[Store]:
    name = server.create_database()
    with psycopg.connect(server.url(name).replace("+psycopg", ""), autocommit=True) as session:
        yield Store(url=server.url(name), execute=lambda statement: session.execute(statement))  # type: ignore[arg-type,call-overload]


@contextmanager
def mariadb_store(server: MariaDb) -> Iterator[Store]:
    name = server.create_database()
    server.execute(f"ALTER DATABASE `{name}` COLLATE utf8mb4_nopad_bin")
    connection = server.connect()
    connection.select_db(name)
    yield Store(url=server.url(name), execute=connection.cursor().execute)
    connection.close()


def audit(**changes: Any) -> Audit:
    values: dict[str, Any] = {
        "id": "stock",
        "left": Side(system="erp", dataset="stock"),
        "right": Side(system="till", dataset="stock"),
        "key": ("shop", "sku"),
        "fields": {
            "quantity": Field(type="decimal", scale=4),
            "note": Field(type="text"),
        },
        "schedule": "@every 60s",
        "settle": timedelta(0),
        "strategy": "fingerprint",
        "verify_share": 0.0,
    }
    return Audit(**(values | changes))


def keys(rows: int) -> list[tuple[str, str]]:
    """Most of one shop, in runs that begin alike, and some that do not."""
    return [("s1" if number % 10 else "店二", f"{number:05d}") for number in range(rows)]


def fill(store: Store, rows: Sequence[tuple[str, str]]) -> None:
    moment = "text" if store.url.startswith("sqlite") else "datetime(6)" if "maria" in store.url else "timestamp"
    store.execute(
        "CREATE TABLE stock (shop varchar(20) NOT NULL, sku varchar(20) NOT NULL, quantity numeric(18,4),"
        f" note varchar(80), updated_at {moment}, PRIMARY KEY (shop, sku))"
    )
    for start in range(0, len(rows), 500):
        values = ", ".join(
            f"('{shop}', '{sku}', {int(sku) / 4}, '商品 {sku}', '{BEGINNING}')"
            for shop, sku in rows[start : start + 500]
        )
        store.execute(f"INSERT INTO stock VALUES {values}")


@dataclass
class TwoSides:
    """The audit `stock` of two databases on a store of its own."""

    left: Store
    right: Store
    database: Database
    clock: ManualClock
    folder: Path
    spec: Audit = field(default_factory=audit)
    metrics: Metrics = field(default_factory=Metrics)
    #: Of one answer of a database; large tables need more than the usual.
    timeout_seconds: float = 30.0
    _open: ExitStack = field(default_factory=ExitStack)

    def source(self, system: str) -> SqlSource:
        store = self.left if system == "erp" else self.right
        dataset = {"table": "stock", "change_field": "updated_at"}
        options = SqlOptions.model_validate(
            {"url": store.url, "datasets": {"stock": dataset}, "timeout_seconds": self.timeout_seconds}
        )
        source = SqlSource(system, options, clock=self.clock, breaker=MemoryBreaker(), root=self.folder)
        self._open.callback(source.close)
        return source

    def runner(self) -> AuditRunner:
        """As a process that has just started: nothing but the store remembers."""
        sources = _Sources({"erp": self.source("erp"), "till": self.source("till")})
        runner = AuditRunner(chain(self.spec), sources, database=self.database, clock=self.clock, metrics=self.metrics)
        self._open.callback(runner.stop)
        return runner

    def run(self, strategy: str = "") -> AuditReport:
        """One run a minute after the last."""
        self.clock.jump(60)
        return self.runner().run("stock", strategy=strategy)

    def writer(self, store: Store) -> Execute:
        """A second session of a PostgreSQL store, with transactions of its own."""
        session = psycopg.connect(store.url.replace("+psycopg", ""), autocommit=True)
        self._open.callback(session.close)
        return lambda statement: session.execute(statement)  # type: ignore[arg-type,call-overload]

    def both(self, statement: str) -> None:
        self.left.execute(statement)
        self.right.execute(statement)

    def proof(self) -> Proof:
        with self.database.read() as connection:
            found = proofs.load(connection, "stock")
        assert found is not None
        return found

    def close(self) -> None:
        self._open.close()


@dataclass
class _Sources:
    sources: dict[str, SqlSource]

    def get(self, system: str) -> Any:
        return self.sources[system]


def found(report: AuditReport) -> set[tuple[str, str]]:
    """Kind and sku of every difference."""
    return {(row.kind.value, row.key["sku"]) for row in report.differences}
