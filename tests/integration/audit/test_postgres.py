"""A till's SQLite file against a real PostgreSQL: every planted difference is found, and nothing else."""

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres import Postgres

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources import registry
from tillwatch.store.db import Database

ROWS = 3_000

CHAIN = """
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///unused.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
  - id: erp
    source: sql
    url: "%(url)s"
    datasets: {stock: {table: public.stock, columns: {sku: matnr, name: text, quantity: labst, price: price, changed_at: changed}}}
  - id: till
    source: sql
    url: "sqlite:///till.db"
    timezone: Asia/Shanghai
    datasets: {stock: {query: "SELECT sku_code AS sku, name, qty AS quantity, unit_price AS price, updated_at AS changed_at FROM stock"}}
"""
CHECKS = """
audits:
  - id: stock
    left: {system: erp, dataset: stock}
    right: {system: till, dataset: stock}
    key: [sku]
    fields:
      name: {type: text}
      quantity: {type: decimal, scale: 4}
      price: {type: decimal, scale: 2, tolerance: "0.01"}
      changed_at: {type: timestamp, precision: second}
    schedule: "@every 60s"
    settle: %(settle)s
    value: "abs(coalesce(left.quantity, 0) - coalesce(right.quantity, 0)) * coalesce(left.price, right.price)"
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [hook]}]\n"


@dataclass
class Bench:
    runner: AuditRunner
    erp: "psycopg.Connection[tuple[object, ...]]"
    till: sqlite3.Connection

    def change(self, till: str = "", erp: str = "") -> None:
        if till:
            self.till.execute(till)
            self.till.commit()
        if erp:
            self.erp.execute(erp)

    def run(self) -> AuditReport:
        return self.runner.run("stock")


def sku(number: int) -> str:
    """Leading zeros, and a Chinese prefix for some: text, never a number."""
    return f"{number:08d}" if number % 7 else f"礼{number:06d}"


def fill(bench: Bench) -> None:
    numbers = list(range(ROWS))
    rows = [(sku(n), f"商品 {n} é", Decimal(n) / 4, Decimal(n % 500) + Decimal("0.99")) for n in numbers]
    bench.erp.execute(
        "CREATE TABLE stock (matnr varchar(20) PRIMARY KEY, text varchar(80), labst numeric(18,4),"
        " price numeric(18,4), changed timestamptz)"
    )
    with bench.erp.cursor() as cursor, cursor.copy("COPY stock FROM STDIN") as copy:
        for row in rows:
            copy.write_row((*row, "2026-11-24 11:00:00+08:00"))
    bench.till.execute("CREATE TABLE stock (sku_code TEXT, name TEXT, qty, unit_price TEXT, updated_at TEXT)")
    # In another order, decomposed accents, quantities as REAL, times without a zone.
    random.Random(1).shuffle(rows)
    bench.till.executemany(
        "INSERT INTO stock VALUES (?, ?, ?, ?, '2026-11-24 11:00:00.75')",
        [(code, name.replace("é", "e\u0301"), float(quantity), str(price)) for code, name, quantity, price in rows],
    )
    bench.till.commit()


@pytest.fixture(params=["0s", "30s"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, sqlite_database: Database, clock: ManualClock
) -> Iterator[Bench]:
    name = postgres.create_database()
    (tmp_path / "probes").mkdir()
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN % {"url": postgres.url(name)}, encoding="utf-8")
    (tmp_path / "probes" / "stock.yaml").write_text(CHECKS % {"settle": request.param}, encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    config = load(tmp_path)
    till = sqlite3.connect(tmp_path / "till.db")
    erp = psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True)
    sources = registry.build(config, clock=clock)
    runner = AuditRunner(config, sources, database=sqlite_database, clock=clock, metrics=Metrics())
    bench = Bench(runner=runner, erp=erp, till=till)
    fill(bench)
    yield bench
    runner.stop()
    sources.close()
    till.close()
    erp.close()


def test_two_engines_that_write_the_same_differently_agree(bench: Bench) -> None:
    report = bench.run()
    assert (report.verdict, report.reason) == (Verdict.CLEAN, "both sides agree")
    assert (report.left.rows, report.right.rows) == (ROWS, ROWS)
    assert report.bytes_read > 0


def test_every_planted_difference_is_found_and_nothing_else(bench: Bench) -> None:
    bench.change(till=f"UPDATE stock SET qty = qty + 0.0001 WHERE sku_code = '{sku(1)}'")
    bench.change(erp=f"UPDATE stock SET price = price + 0.01 WHERE matnr = '{sku(2)}'")  # within the tolerance
    bench.change(erp=f"UPDATE stock SET price = price + 0.02 WHERE matnr = '{sku(3)}'")
    bench.change(till=f"UPDATE stock SET name = name || '。' WHERE sku_code = '{sku(7)}'")
    # Backwards: a row newer than all that arrived could be on its way.
    bench.change(erp=f"UPDATE stock SET changed = changed - interval '1 second' WHERE matnr = '{sku(8)}'")
    bench.change(
        till=f"DELETE FROM stock WHERE sku_code = '{sku(9)}'", erp=f"DELETE FROM stock WHERE matnr = '{sku(10)}'"
    )
    bench.change(till=f"UPDATE stock SET qty = NULL WHERE sku_code = '{sku(11)}'")
    report = bench.run()
    assert report.verdict is Verdict.DRIFT
    assert {(row.kind.value, row.key["sku"], row.fields) for row in report.differences} == {
        ("changed", sku(1), ("quantity",)),
        ("changed", sku(3), ("price",)),
        ("changed", sku(7), ("name",)),
        ("changed", sku(8), ("changed_at",)),
        ("missing", sku(9), ()),
        ("extra", sku(10), ()),
        ("changed", sku(11), ("quantity",)),
    }
    assert (report.left.rows, report.right.rows) == (ROWS - 1, ROWS - 1)


def test_a_table_that_is_gone_fails_the_audit_in_plain_words(bench: Bench) -> None:
    bench.change(erp="DROP TABLE stock")
    report = bench.run()
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("erp.stock: ")
    assert report.evidence["cause"] == "data"
