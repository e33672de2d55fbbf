"""Till orders against a real Tryton: found, replayed through its own documents, and never posted twice."""

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.audits import Killed
from tests.support.chains import tryton_system, write_chain

from tillwatch.audit.repair import Repairs
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.lab.catalogue import products
from tillwatch.lab.erp import Erp
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.model.repair import RepairStatus
from tillwatch.sources import registry
from tillwatch.sources.base import Source
from tillwatch.sources.documents import Line, OrderDocument, Plan, Receipt
from tillwatch.store.db import Database

ORDERS = 'orders: {model: sale.sale, reference_prefix: "%s", states: [confirmed, processing, done]}'
STOCKED = "stock: {model: stock, location: LOC-CHAOYANG, columns: {sku: code, quantity: quantity}}"
TILL = """
  - id: till
    source: sql
    url: "sqlite:///till.db"
    datasets:
      orders: {query: "SELECT order_ref, printf('%.2f', SUM(ROUND(quantity * price, 2))) AS amount, SUM(quantity) AS quantity, MAX(paid_at) AS changed_at FROM lines GROUP BY order_ref"}
      lines: {query: "SELECT order_ref, sku, quantity, price FROM lines"}
"""
INTERFACES = "interfaces: [{id: orders-shop, from: till, to: erp, carries: orders}]\n"
CHECKS = """
audits:
  - id: orders
    interface: orders-shop
    left: {system: till, dataset: orders}
    right: {system: erp, dataset: orders}
    key: [order_ref]
    fields: {amount: {type: decimal, scale: 2}, quantity: {type: decimal, scale: 3}}
    schedule: "@every 60s"
    settle: 5s
    value: "abs(coalesce(left.amount, 0) - coalesce(right.amount, 0))"
    severity: critical
    repair: {lines: {system: till, dataset: lines}, ordered_at: changed_at}
  - id: orders-delta
    left: {system: till, dataset: orders}
    right: {system: erp, dataset: orders}
    key: [order_ref]
    fields: {amount: {type: decimal, scale: 2}, quantity: {type: decimal, scale: 3}}
    schedule: "@every 60s"
    settle: 0s
    strategy: delta
"""
PRODUCTS = [product for product in products() if not product.weighed][:4]


class DyingErp:
    """The ERP's source in a process that is killed right after the ERP has committed a document."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.dies = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def write(self, plan: Plan) -> Receipt:
        receipt = self._source.write(plan)
        if self.dies:
            raise Killed
        return receipt


class Systems:
    """The sources of the chain, one of them possibly replaced."""

    def __init__(self, sources: registry.Sources) -> None:
        self.sources = sources
        self.instead: dict[str, Any] = {}

    def get(self, system: str) -> Any:
        return self.instead.get(system) or self.sources.get(system)


@dataclass
class Bench:
    config: ChainConfig
    systems: Systems
    database: Database
    clock: ManualClock
    erp: Erp
    prefix: str
    runner: AuditRunner

    def repairs(self) -> Repairs:
        return Repairs(self.config, self.systems, database=self.database, clock=self.clock)

    def run(self) -> AuditReport:
        return self.runner.run("orders")

    def post(self, number: int, *, more: int = 0) -> None:
        """The order as the sync worker posts it, with `more` pieces of the first line when it errs."""
        first, *rest = lines(number)
        wrong = Line(sku=first.sku, quantity=first.quantity + more, unit_price=first.unit_price)
        document = OrderDocument(reference=f"{self.prefix}{number:04d}", lines=(wrong, *rest))
        source = self.systems.sources.get("erp")
        source.write(source.plan(document))

    def sales(self, number: int) -> list[str]:
        """States of all sales in the ERP under this reference."""
        rpc = self.erp.rpc()
        try:
            domain = [["reference", "=", f"{self.prefix}{number:04d}"]]
            found = rpc.call("sale.sale", "search_read", domain, 0, None, None, ["state"])
        finally:
            rpc.close()
        return [row["state"] for row in found]


def lines(number: int) -> tuple[Line, ...]:
    one, other = PRODUCTS[number % 4], PRODUCTS[(number + 1) % 4]
    return (
        Line(sku=one.sku, quantity=Decimal(number % 3 + 1), unit_price=Decimal("3.99")),
        Line(sku=other.sku, quantity=Decimal(2), unit_price=Decimal("12.50")),
    )


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, erp: Erp, sqlite_database: Database, clock: ManualClock
) -> Iterator[Bench]:
    prefix = f"AU{zlib.crc32(request.node.name.encode()) % 10_000}-"
    write_chain(tmp_path, tryton_system(erp, ORDERS % prefix) + TILL, {"orders": CHECKS}, INTERFACES)
    till = sqlite3.connect(tmp_path / "till.db")
    till.execute("CREATE TABLE lines (order_ref TEXT, sku TEXT, quantity NUMERIC, price TEXT, paid_at TEXT)")
    for number in range(6):
        for line in lines(number):
            row = (f"{prefix}{number:04d}", line.sku, str(line.quantity), str(line.unit_price), "2026-11-24T03:00:00Z")
            till.execute("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", row)
    till.commit()
    till.close()
    config = load(tmp_path)
    systems = Systems(registry.build(config, clock=SystemClock()))
    runner = AuditRunner(config, systems, database=sqlite_database, clock=clock, metrics=Metrics())
    yield Bench(config, systems, sqlite_database, clock, erp, prefix, runner)
    runner.stop()
    systems.sources.close()


def test_lost_and_wrong_orders_are_found_replayed_once_and_then_the_audit_is_clean(bench: Bench) -> None:
    for number in (0, 1, 2):
        bench.post(number)
    bench.post(3, more=2)
    report = bench.run()
    assert report.verdict is Verdict.DRIFT, report.reason
    assert [(row.kind.value, row.key["order_ref"][-4:]) for row in report.differences] == [
        ("changed", "0003"),
        ("missing", "0004"),
        ("missing", "0005"),
    ]
    assert report.differences[0].fields == ("amount", "quantity")
    assert report.value_at_risk == Decimal("7.98") + Decimal("32.98") + Decimal("36.97")
    plan = bench.repairs().plan_repair(report.run)
    previews = list(bench.repairs().preview(plan.id))
    assert [preview.plan.operation.value for preview in previews if preview.plan] == ["correct", "create", "create"]
    assert [bench.sales(number) for number in (4, 5)] == [[], []]
    result = bench.repairs().apply_repair(plan.id, actor="test")
    assert result.complete, result
    assert [item.status for item in result.ok] == [RepairStatus.DONE] * 3
    again = bench.run()
    assert (again.verdict, again.reason) == (Verdict.CLEAN, "both sides agree")
    assert bench.repairs().apply_repair(plan.id, actor="test") == result
    assert bench.repairs().plan_repair(again.run).items == ()
    assert [bench.sales(number) for number in range(6)] == [["confirmed"]] * 6


def test_only_orders_changed_in_the_shop_or_in_the_erp_are_compared_when_the_audit_says_so(
    bench: Bench, tmp_path: Path
) -> None:
    for number in range(5):
        bench.post(number)
    first = bench.runner.run("orders-delta")
    assert (first.strategy, [row.key["order_ref"][-4:] for row in first.differences]) == ("stream", ["0005"])
    with sqlite3.connect(tmp_path / "till.db") as till:
        till.execute(
            "INSERT INTO lines SELECT ?, sku, quantity, price, ? FROM lines WHERE order_ref = ?",
            (f"{bench.prefix}0007", bench.clock.now().isoformat(), f"{bench.prefix}0003"),
        )
    till.close()
    bench.clock.jump(60)
    bench.post(2, more=1)
    report = bench.runner.run("orders-delta")
    assert report.strategy == "delta", report.strategy_reason
    assert {(row.kind.value, row.key["order_ref"][-4:]) for row in report.differences} == {
        ("missing", "0005"),
        ("missing", "0007"),
        ("changed", "0002"),
    }


def test_a_process_killed_after_the_erp_committed_leaves_one_document(bench: Bench) -> None:
    for number in range(5):
        bench.post(number)
    plan = bench.repairs().plan_repair(bench.run().run)
    bench.systems.instead["erp"] = DyingErp(bench.systems.sources.get("erp"))
    with pytest.raises(Killed):
        bench.repairs().apply_repair(plan.id, actor="test")
    assert bench.repairs().get(plan.id).items[0].status is RepairStatus.SENDING
    bench.systems.instead.clear()
    result = bench.repairs().apply_repair(plan.id, actor="test")
    assert result.complete
    assert result.ok[0].reason.startswith("found by its reference as ")
    assert bench.sales(5) == ["confirmed"]
    assert bench.run().verdict is Verdict.CLEAN


def test_a_repair_is_taken_back_and_what_was_changed_since_stays(bench: Bench) -> None:
    for number in (0, 1, 2):
        bench.post(number)
    bench.post(3, more=2)
    found = bench.run()
    plan = bench.repairs().plan_repair(found.run)
    assert bench.repairs().apply_repair(plan.id, actor="test").complete
    # Somebody adds to one of the orders afterwards.
    source = bench.systems.sources.get("erp")
    bench.post(4, more=5)
    previews = {one.item.key["order_ref"][-4:]: one for one in bench.repairs().preview_undo(plan.id)}
    assert previews["0004"].reason == "the sale was changed after us; correct it by hand"
    assert [previews[ref].reason for ref in ("0003", "0005")] == ["", ""]
    # The process dies right after the ERP has taken the first one back.
    bench.systems.instead["erp"] = DyingErp(source)
    with pytest.raises(Killed):
        bench.repairs().undo_repair(plan.id, actor="test")
    assert bench.repairs().get(plan.id).items[2].status is RepairStatus.UNDOING
    bench.systems.instead.clear()
    result = bench.repairs().undo_repair(plan.id, actor="test")
    assert [item.key["order_ref"][-4:] for item in result.undone] == ["0003", "0005"]
    assert all(item.reason.endswith("shows what it showed before the repair") for item in result.undone), result
    assert [item.key["order_ref"][-4:] for item in result.kept] == ["0004"]
    assert result.kept[0].reason == f"not taken back: {previews['0004'].reason}"
    again = bench.run()
    assert [(row.kind.value, row.key["order_ref"][-4:]) for row in again.differences] == [
        ("changed", "0003"),
        ("changed", "0004"),
        ("missing", "0005"),
    ]
    assert bench.sales(5) == ["cancelled"]


def test_an_erp_that_is_down_fails_the_audit_with_its_cause(
    fresh_erp: Erp, tmp_path: Path, sqlite_database: Database
) -> None:
    fresh_erp.kill()
    write_chain(tmp_path, tryton_system(fresh_erp, ORDERS % "AU-") + TILL, {"orders": CHECKS}, INTERFACES)
    sqlite3.connect(tmp_path / "till.db").execute(
        "CREATE TABLE lines (order_ref TEXT, sku TEXT, quantity NUMERIC, price TEXT, paid_at TEXT)"
    )
    config = load(tmp_path)
    sources = registry.build(config, clock=SystemClock())
    runner = AuditRunner(config, sources, database=sqlite_database, clock=SystemClock(), metrics=Metrics())
    report = runner.run("orders")
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("erp.orders: ")
    assert report.evidence["cause"] == "tcp"
    runner.stop()
    sources.close()


STOCK = """
audits:
  - id: stock
    left: {system: till, dataset: stock}
    right: {system: erp, dataset: stock}
    key: [sku]
    fields: {quantity: {type: decimal, scale: 3}}
    schedule: "@every 60s"
    settle: 0s
    repair: {kind: stock_count, location: LOC-CHAOYANG, extra: reverse}
"""


def test_a_stock_difference_is_repaired_by_a_count_in_the_erp(
    fresh_erp: Erp, tmp_path: Path, sqlite_database: Database, clock: ManualClock
) -> None:
    shop = TILL + "      stock: {table: stock}\n"
    write_chain(tmp_path, tryton_system(fresh_erp, f"{STOCKED}, {ORDERS % 'AU-'}") + shop, {"stock": STOCK}, INTERFACES)
    config = load(tmp_path)
    systems = Systems(registry.build(config, clock=SystemClock()))
    with systems.get("erp").read("stock") as reading:
        rows = [(row["sku"], str(row["quantity"])) for batch in reading for row in batch]
    first, second = PRODUCTS[0].sku, PRODUCTS[1].sku
    till = sqlite3.connect(tmp_path / "till.db")
    till.execute("CREATE TABLE stock (sku TEXT, quantity TEXT)")
    till.executemany("INSERT INTO stock VALUES (?, ?)", rows)
    till.execute("UPDATE stock SET quantity = quantity + 3 WHERE sku = ?", (first,))
    till.execute("UPDATE stock SET quantity = quantity - 2 WHERE sku = ?", (second,))
    till.commit()
    till.close()
    runner = AuditRunner(config, systems, database=sqlite_database, clock=clock, metrics=Metrics())
    repairs = Repairs(config, systems, database=sqlite_database, clock=clock)
    report = runner.run("stock")
    assert {row.key["sku"] for row in report.differences} == {first, second}, report.reason
    plan = repairs.plan_repair(report.run)
    result = repairs.apply_repair(plan.id, actor="test")
    assert result.complete, result
    assert repairs.apply_repair(plan.id, actor="test") == result
    assert runner.run("stock").verdict is Verdict.CLEAN
    # What the shop does not know at all goes by a movement the other way, and comes back by another.
    there = Decimal(dict(rows)[first]) + 3
    with sqlite3.connect(tmp_path / "till.db") as till:
        till.execute("DELETE FROM stock WHERE sku = ?", (first,))
    till.close()
    plan = repairs.plan_repair(runner.run("stock").run)
    assert [item.action.value for item in plan.items] == ["reverse"]
    assert repairs.apply_repair(plan.id, actor="test").complete
    assert booked(systems, first) == 0
    assert repairs.undo_repair(plan.id, actor="test").complete
    assert booked(systems, first) == there
    runner.stop()
    systems.sources.close()


def booked(systems: Systems, sku: str) -> Decimal:
    """What the ERP has of a product in the shop."""
    with systems.get("erp").read("stock", keys=[{"sku": sku}]) as reading:
        (row,) = [row for batch in reading for row in batch]
    return Decimal(str(row["quantity"]))
