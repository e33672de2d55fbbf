"""PostgreSQL and MariaDB while both are written: whatever strategy looks, exactly the wrong rows are confirmed."""

import queue
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.audit.test_live import HOT, ROUTES, ROWS, TOGGLING, WRONG, Live
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources import registry
from tillwatch.store.db import Database

#: Three pairs of databases at once, so that all of it takes no longer than one.
SEEDS = (7, 11, 13)
STRATEGIES = ("digest", "records", "fingerprint", "delta")
#: Rows nobody writes, so that not most of all buckets change.
QUIET = 4_000
#: Wished; a busy machine makes fewer of them.
UPDATES_PER_SECOND = 160
LAG_SECONDS = (1.0, 2.0)
LONG_AGO = "2026-11-23 03:00:00"
CHAIN = """
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///unused.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
"""
SYSTEM = """
  - id: %s
    source: sql
    url: "%s"
    datasets: {stock: {table: stock, columns: {sku: sku, quantity: quantity, changed_at: changed}}}
"""
CHECK = """
  - id: %(strategy)s-%(seed)s
    left: {system: erp-%(seed)s, dataset: stock}
    right: {system: till-%(seed)s, dataset: stock}
    key: [sku]
    fields: {quantity: {type: integer}}
    schedule: "@every 60s"
    strategy: %(strategy)s
    settle: 4s
    changed_by: changed_at
"""


@dataclass
class Servers(Live):
    """A sync from PostgreSQL into MariaDB, one to two seconds behind."""

    mariadb: MariaDb | None = None
    till: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        names = [f"S{n:05}" for n in range(ROWS)] + [f"H{n}" for n in range(HOT)] + [f"T{n}" for n in range(TOGGLING)]
        rows = [(name, 1, LONG_AGO) for name in (*names, *(f"Q{n:05}" for n in range(QUIET)))]
        with psycopg.connect(self.erp_url) as erp, erp.cursor() as cursor:
            cursor.execute("CREATE TABLE stock (sku text PRIMARY KEY, quantity int, changed timestamptz)")
            cursor.executemany("INSERT INTO stock VALUES (%s, %s, %s)", [(*row[:2], f"{row[2]}+00") for row in rows])
        self.on_till(
            "CREATE TABLE stock (sku varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,"
            " quantity int, changed datetime(6))"
        )
        with closing(self._connected()) as till, till.cursor() as cursor:
            cursor.executemany("INSERT INTO stock VALUES (%s, %s, %s)", rows)

    def _connected(self) -> Any:
        assert self.mariadb is not None
        connection = self.mariadb.connect()
        connection.select_db(self.till)
        return connection

    def on_till(self, *statements: str) -> None:
        with closing(self._connected()) as till, till.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def spoil(self) -> None:
        """Wrong quantities, written by whatever writes the till, and a row the other side never had."""
        self.wrong = {*(f"S{number:05}" for number in range(WRONG)), "Q00007", "X1"}
        self.on_till(
            f"UPDATE stock SET quantity = 77, changed = UTC_TIMESTAMP(6) WHERE sku < 'S{WRONG:05}' AND sku LIKE 'S%'",
            "UPDATE stock SET quantity = 77, changed = UTC_TIMESTAMP(6) WHERE sku = 'Q00007'",
            "INSERT INTO stock VALUES ('X1', 1, UTC_TIMESTAMP(6))",
        )

    def sync(self) -> None:
        with closing(self._connected()) as till, till.cursor() as cursor:
            while not self.stop.is_set():
                try:
                    due, sku, quantity, changed = self.way.get(timeout=0.1)
                except queue.Empty:
                    continue
                if self.stop.wait(max(0.0, due - self.clock.monotonic())):
                    break
                if quantity is None:
                    cursor.execute("DELETE FROM stock WHERE sku = %s", (sku,))
                else:
                    cursor.execute("REPLACE INTO stock VALUES (%s, %s, %s)", (sku, quantity, changed[:26]))


@pytest.fixture
def live(tmp_path: Path, postgres: Postgres, mariadb: MariaDb) -> Iterator[list[Servers]]:
    chain, checks, made = CHAIN, "audits:", []
    for seed in SEEDS:
        erp, till = postgres.create_database(), mariadb.create_database()
        chain += SYSTEM % (f"erp-{seed}", postgres.url(erp)) + SYSTEM % (f"till-{seed}", mariadb.url(till))
        checks += "".join(CHECK % {"strategy": strategy, "seed": seed} for strategy in STRATEGIES)
        url = postgres.url(erp).replace("+psycopg", "")
        made.append(
            Servers(
                erp_url=url,
                lag_seconds=LAG_SECONDS,
                updates_per_second=UPDATES_PER_SECOND,
                till_file=tmp_path,
                mariadb=mariadb,
                till=till,
                seed=seed,
            )
        )
    for folder in ("probes", "alerts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tillwatch.yaml").write_text(chain, encoding="utf-8")
    (tmp_path / "probes" / "stock.yaml").write_text(checks, encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    yield made
    for one in made:
        one.stop.set()


def test_every_strategy_confirms_exactly_the_wrong_rows(
    live: list[Servers], tmp_path: Path, sqlite_database: Database
) -> None:
    config, clock = load(tmp_path), SystemClock()
    audits = [f"{strategy}-{seed}" for seed in SEEDS for strategy in STRATEGIES]
    with ExitStack() as stack:
        sources = registry.build(config, clock=clock)
        stack.callback(sources.close)
        runner = AuditRunner(config, sources, database=sqlite_database, clock=clock, metrics=Metrics())
        stack.callback(runner.stop)
        for audit in audits:
            if audit.startswith(("fingerprint", "delta")):
                # What it goes on from.
                assert runner.run(audit).verdict is Verdict.CLEAN
        for one in live:
            one.spoil()
        threads = [one.run(work) for one in live for work in (one.write, one.sync)]
        # Until the sync has something to carry.
        assert not live[0].stop.wait(2.5)
        before, started = [one.writes for one in live], clock.monotonic()
        with ThreadPoolExecutor(len(audits)) as pool:
            reports: list[AuditReport] = list(pool.map(runner.run, audits))
        seconds = clock.monotonic() - started
        rates = [(one.writes - writes) / seconds for one, writes in zip(live, before, strict=True)]
        for one in live:
            one.stop.set()
        for thread in threads:
            thread.join(30)
    assert [one.errors for one in live] == [[]] * len(live)
    assert min(rates) > 100, f"only {rates} writes a second; the machine is too busy to tell"
    wrong = {str(one.seed): one.wrong for one in live}
    for audit, report in zip(audits, reports, strict=True):
        strategy, _, seed = audit.partition("-")
        assert (report.strategy, report.verdict) == (strategy, Verdict.DRIFT), (report.reason, report.strategy_reason)
        assert {row.key["sku"] for row in report.differences} == wrong[seed], audit
