"""Two real databases under live traffic: a writer, a sync that is a second behind, and an audit in between."""

import queue
import random
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.postgres import Postgres

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Verdict
from tillwatch.sources import registry
from tillwatch.store.db import Database

ROWS, HOT, TOGGLING = 2_000, 4, 10
UPDATES_PER_SECOND = 120
#: How long the sync takes, in seconds; the audit allows three times that, because the machine may be busy.
LAG_SECONDS = (0.8, 1.5)
SETTLE = "4s"
WRONG = 12

CHAIN = """
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///unused.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
  - id: erp
    source: sql
    url: "%(url)s"
    datasets: {stock: {table: public.stock, columns: {sku: sku, quantity: quantity, changed_at: changed}}}
  - id: till
    source: sql
    url: "sqlite:///till.db"
    datasets: {stock: {table: stock, columns: {sku: sku, quantity: quantity, changed_at: changed}}}
"""
CHECKS = """
audits:
  - id: stock
    left: {system: erp, dataset: stock}
    right: {system: till, dataset: stock}
    key: [sku]
    fields: {quantity: {type: integer}}
    schedule: "@every 60s"
    strategy: stream
    settle: %(settle)s
%(changed_by)s
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [hook]}]\n"


@dataclass
class Live:
    """The writer and the sync, each on a thread of its own."""

    erp_url: str
    till_file: Path
    clock: SystemClock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    writes: int = 0
    errors: list[BaseException] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    lag_seconds: tuple[float, float] = LAG_SECONDS
    updates_per_second: int = UPDATES_PER_SECOND
    #: What is on its way: when it is due, and the row; None = the row is deleted.
    way: "queue.Queue[tuple[float, str, int | None, str]]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self._random = random.Random(7)
        names = [f"S{number:05}" for number in range(ROWS)] + [f"H{number}" for number in range(HOT)]
        rows = [(name, 1, "2026-11-24T03:00:00+00:00") for name in names + [f"T{n}" for n in range(TOGGLING)]]
        self.wrong = {f"S{number:05}" for number in range(WRONG)}
        with psycopg.connect(self.erp_url) as erp, erp.cursor() as cursor:
            cursor.execute("CREATE TABLE stock (sku text PRIMARY KEY, quantity int, changed timestamptz)")
            cursor.executemany("INSERT INTO stock VALUES (%s, %s, %s)", rows)
        till = sqlite3.connect(self.till_file)
        till.execute("PRAGMA journal_mode = WAL")
        till.execute("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER, changed TEXT)")
        till.executemany("INSERT INTO stock VALUES (?, ?, ?)", rows)
        till.execute("UPDATE stock SET quantity = 77 WHERE sku < 'S00008' AND sku LIKE 'S%'")
        till.execute("DELETE FROM stock WHERE sku >= 'S00008' AND sku < 'S00012'")
        till.commit()
        till.close()

    def run(self, work: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.errors.append(error)
                self.stop.set()

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def write(self) -> None:
        """A hundred and more writes a second: a few rows all the time, some back and forth, the rest anywhere."""
        with psycopg.connect(self.erp_url, autocommit=True) as erp:
            while not self.stop.wait(0.02):
                for _ in range(max(1, self.updates_per_second // 40)):
                    self._one(erp)

    def _one(self, erp: "psycopg.Connection[tuple[object, ...]]") -> None:
        self.writes += 1
        chance, changed = self._random.random(), self.clock.now().isoformat()
        quantity: int | None = self._random.randrange(100, 1_000_000)
        sku = f"S{self._random.randrange(WRONG, ROWS):05}"
        if chance < 0.1:
            sku = f"H{self._random.randrange(HOT)}"
        elif chance < 0.3:
            sku, quantity = f"T{self._random.randrange(TOGGLING)}", 1 + self.writes % 2
        elif chance < 0.33:
            quantity = None
        if quantity is None:
            erp.execute("DELETE FROM stock WHERE sku = %s", (sku,))
        else:
            erp.execute(
                "INSERT INTO stock VALUES (%s, %s, %s) ON CONFLICT (sku) DO UPDATE"
                " SET quantity = excluded.quantity, changed = excluded.changed",
                (sku, quantity, changed),
            )
        # In the order of the writes: a sync that overtakes itself would be wrong, not late.
        self.way.put((self.clock.monotonic() + self._random.uniform(*self.lag_seconds), sku, quantity, changed))

    def sync(self) -> None:
        till = sqlite3.connect(self.till_file, timeout=20, isolation_level=None)
        while not self.stop.is_set():
            try:
                due, sku, quantity, changed = self.way.get(timeout=0.1)
            except queue.Empty:
                continue
            if self.stop.wait(max(0.0, due - self.clock.monotonic())):
                break
            if quantity is None:
                till.execute("DELETE FROM stock WHERE sku = ?", (sku,))
            else:
                till.execute("INSERT OR REPLACE INTO stock VALUES (?, ?, ?)", (sku, quantity, changed))
        till.close()


@pytest.fixture
def live(tmp_path: Path, postgres: Postgres) -> Iterator[Live]:
    name = postgres.create_database()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN % {"url": postgres.url(name)}, encoding="utf-8")
    live = Live(erp_url=postgres.url(name).replace("+psycopg", ""), till_file=tmp_path / "till.db")
    threads = [live.run(live.write), live.run(live.sync)]
    yield live
    live.stop.set()
    for thread in threads:
        thread.join(30)
    assert live.errors == []


@pytest.mark.parametrize("changed_by", ["changed_at", ""])
def test_of_two_databases_under_traffic_exactly_the_wrong_rows_are_confirmed(
    live: Live, tmp_path: Path, sqlite_database: Database, changed_by: str
) -> None:
    for folder in ("probes", "alerts"):
        (tmp_path / folder).mkdir()
    checks = CHECKS % {"settle": SETTLE, "changed_by": f"    changed_by: {changed_by}" if changed_by else ""}
    (tmp_path / "probes" / "stock.yaml").write_text(checks, encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    config = load(tmp_path)
    clock = SystemClock()
    sources = registry.build(config, clock=clock)
    runner = AuditRunner(config, sources, database=sqlite_database, clock=clock, metrics=Metrics())
    # Until the sync has something to carry.
    assert not live.stop.wait(2.5)
    before, started = live.writes, clock.monotonic()
    report = runner.run("stock")
    seconds, writes = clock.monotonic() - started, live.writes - before
    runner.stop()
    sources.close()
    assert live.errors == []
    assert report.verdict is Verdict.DRIFT, report.reason
    assert writes / seconds > 60, f"only {writes / seconds:.0f} writes a second; the machine is too busy to tell"
    assert {row.key["sku"] for row in report.differences} == live.wrong
    assert report.late == 0
    suspects, settle = report.evidence["suspects"], report.evidence["settle"]
    assert isinstance(suspects, int)
    assert isinstance(settle, dict)
    assert suspects > WRONG + 20
    assert settle["strength"] == ("strong" if changed_by else "weak")
