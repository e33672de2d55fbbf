"""A till whose orders did not all reach the ERP, and the means to find and repair that."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.audits import FakeErp, FakeSource, FakeSources, chain, stock_audit
from tillwatch.audit.repair import Repairs
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.config.yaml import Mapping, parse
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Row
from tillwatch.model.repair import RepairItem, RepairResult
from tillwatch.sources.documents import Line
from tillwatch.store import repairs as records
from tillwatch.store.db import Database

LINES: list[Row] = [
    {"order_ref": "CY-1", "sku": "001", "quantity": Decimal(2), "price": Decimal("3.50")},
    {"order_ref": "CY-2", "sku": "001", "quantity": Decimal(1), "price": Decimal("3.50")},
    {"order_ref": "CY-2", "sku": "002", "quantity": Decimal("0.5"), "price": Decimal("10.00")},
    {"order_ref": "CY-3", "sku": "002", "quantity": Decimal(4), "price": Decimal("10.00")},
]


def lines_of(reference: str) -> tuple[Line, ...]:
    return tuple(
        Line(sku=str(row["sku"]), quantity=Decimal(str(row["quantity"])), unit_price=Decimal(str(row["price"])))
        for row in LINES
        if row["order_ref"] == reference
    )


def repair_node(text: str = "{lines: {system: till, dataset: lines}}") -> Mapping:
    node = parse(f"repair: {text}\n", "orders.yaml")
    assert isinstance(node, Mapping)
    inner = node.entries["repair"]
    assert isinstance(inner, Mapping)
    return inner


def orders_audit(**changes: Any) -> Audit:
    values = {
        "id": "orders",
        "left": Side(system="till", dataset="orders"),
        "right": Side(system="erp", dataset="orders"),
        "key": ("order_ref",),
        "fields": {"amount": Field(type="decimal", scale=2), "quantity": Field(type="decimal", scale=3)},
        "value": "coalesce(left.amount, right.amount)",
        "repair": repair_node(),
    }
    return stock_audit(**(values | changes))


class OrdersBench:
    """A till with three orders and an ERP that has one right, one wrong and one not at all."""

    def __init__(self, database: Database, clock: ManualClock, spec: Audit | None = None) -> None:
        orders: list[Row] = [
            {"order_ref": "CY-1", "amount": Decimal("7.00"), "quantity": Decimal(2)},
            {"order_ref": "CY-2", "amount": Decimal("8.50"), "quantity": Decimal("1.5")},
            {"order_ref": "CY-3", "amount": Decimal("40.00"), "quantity": Decimal(4)},
        ]
        self.till = FakeSource("till", {"orders": list(orders), "lines": list(LINES)})
        wrong = tuple(replace(line, quantity=line.quantity + 1) for line in lines_of("CY-3"))
        self.erp = FakeErp("erp", {}, orders={"CY-1": lines_of("CY-1"), "CY-3": wrong})
        self.database, self.clock = database, clock
        self.spec = spec or orders_audit()
        self.sources = FakeSources(self.till, self.erp)
        self.runner = AuditRunner(
            chain(self.spec), self.sources, database=database, clock=clock, metrics=Metrics(), owner="test"
        )
        self.repairs = self.another()

    def another(self) -> Repairs:
        """As another process sees it, or this one after a restart."""
        return Repairs(chain(self.spec), self.sources, database=self.database, clock=self.clock)

    def plan(self) -> int:
        return self.repairs.plan_repair(self.runner.run("orders").run, actor="ann").id

    def apply(self, plan: int, **options: Any) -> RepairResult:
        return self.another().apply_repair(plan, actor="ann", **options)

    def items(self, plan: int) -> tuple[RepairItem, ...]:
        return self.repairs.get(plan).items

    def states(self, plan: int) -> list[tuple[str, str]]:
        return [(item.key["order_ref"], item.status.value) for item in self.items(plan)]

    def journal(self, plan: int) -> list[tuple[int, str]]:
        with self.database.read() as connection:
            return [(row["number"], row["outcome"]) for row in records.attempts(connection, plan)]


@pytest.fixture
def orders_bench(sqlite_database: Database, clock: ManualClock) -> Iterator[OrdersBench]:
    """On SQLite; tests/integration/audit repairs on PostgreSQL too."""
    bench = OrdersBench(sqlite_database, clock)
    yield bench
    bench.runner.stop()
