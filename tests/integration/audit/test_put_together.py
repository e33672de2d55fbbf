"""Lines of a till against documents of an ERP, on two real databases: filtered, put together, settled."""

import sqlite3
from pathlib import Path

import psycopg
from tests.support.postgres import Postgres

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Verdict
from tillwatch.sources import registry
from tillwatch.store.db import Database

ORDERS = 1_500

CHAIN = """
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///unused.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
  - {id: till, source: sql, url: "sqlite:///till.db", datasets: {lines: {table: lines}}}
  - {id: erp, source: sql, url: "%(url)s", datasets: {documents: {table: documents}}}
"""
CHECKS = """
audits:
  - id: orders
    left:
      system: till
      dataset: lines
      where:
        - {field: state, any_of: [posted]}
        - {field: day, type: date, at_least: "2026-11-24"}
      aggregate: {amount: sum, lines: count}
    right: {system: erp, dataset: documents}
    key: [order_ref]
    fields: {amount: {type: decimal, scale: 2}, lines: {type: integer}}
    schedule: "@every 60s"
    settle: 30s
    value: "abs(coalesce(left.amount, 0) - coalesce(right.amount, 0))"
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [hook]}]\n"


def test_exactly_the_orders_whose_lines_do_not_add_up_are_found(
    tmp_path: Path, postgres: Postgres, sqlite_database: Database, clock: ManualClock
) -> None:
    name = postgres.create_database()
    (tmp_path / "probes").mkdir()
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN % {"url": postgres.url(name)}, encoding="utf-8")
    (tmp_path / "probes" / "orders.yaml").write_text(CHECKS, encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    till = sqlite3.connect(tmp_path / "till.db", isolation_level=None)
    till.execute("CREATE TABLE lines (order_ref TEXT, amount TEXT, state TEXT, day TEXT)")
    rows = []
    for number in range(ORDERS):
        rows += [(f"{number:06d}", "1.10", "posted", "2026-11-24")] * 3
        rows.append((f"{number:06d}", "99", "draft", "2026-11-24"))
        rows.append((f"{number:06d}", "99", "posted", "2026-11-23"))
    till.execute("BEGIN")
    till.executemany("INSERT INTO lines VALUES (?, ?, ?, ?)", rows)
    till.execute("COMMIT")
    with psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True) as erp:
        erp.execute("CREATE TABLE documents (order_ref varchar(20) PRIMARY KEY, amount numeric(18,2), lines int)")
        erp.execute(
            f"INSERT INTO documents SELECT to_char(i, 'FM000000'), 3.30, 3 FROM generate_series(0, {ORDERS - 1}) i"
        )
        config = load(tmp_path)
        sources = registry.build(config, clock=clock)
        runner = AuditRunner(config, sources, database=sqlite_database, clock=clock, metrics=Metrics())
        clean = runner.run("orders")
        assert (clean.verdict, clean.left.rows, clean.right.rows) == (Verdict.CLEAN, ORDERS, ORDERS)
        till.execute("UPDATE lines SET amount = '1.11' WHERE rowid = (SELECT min(rowid) FROM lines)")
        till.execute("DELETE FROM lines WHERE order_ref = '000001'")
        till.execute("UPDATE lines SET state = 'draft' WHERE rowid = 11")
        erp.execute("DELETE FROM documents WHERE order_ref = '000003'")
        report = runner.run("orders")
        runner.stop()
        sources.close()
    till.close()
    assert [(row.kind.value, row.key["order_ref"], row.fields) for row in report.differences] == [
        ("changed", "000000", ("amount",)),
        ("extra", "000001", ()),
        ("changed", "000002", ("amount", "lines")),
        ("missing", "000003", ()),
    ]
    assert report.differences[0].left == {"amount": "3.31", "lines": "3"}
    assert report.differences[2].left == {"amount": "2.20", "lines": "2"}
    assert str(report.value_at_risk) == "7.71"
