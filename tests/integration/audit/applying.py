"""Run as a program: applies or undoes a repair plan and stops dead at the moment it is told, until it is killed.

    python applying.py STORE_URL ERP_FILE PLAN MOMENT [undo]

The ERP of this story is a file, so that what one process posted the next one sees.
"""

import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.audits import FakeErp, FakeSource, FakeSources, chain, stock_audit

from tillwatch.audit.repair import Repairs
from tillwatch.clock import Clock, SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.config.yaml import Mapping as Node
from tillwatch.config.yaml import parse
from tillwatch.sources.base import Reading
from tillwatch.sources.documents import Document, Line, Operation, OrderDocument, Plan, Receipt
from tillwatch.store.db import Database

LINES = {reference: (Line(sku="001", quantity=Decimal(2), unit_price=Decimal("3.50")),) for reference in ("A-1", "A-2")}


class FileErp(FakeErp):
    """Orders in a SQLite file, one row a posted document: a second row under a reference is a double posting."""

    def __init__(self, file: Path, moment: str = "") -> None:
        super().__init__("erp", {})
        self._file, self._moment = file, moment
        with self._open() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS posted (reference TEXT)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file)

    def posted(self) -> list[str]:
        connection = self._open()
        try:
            return [row[0] for row in connection.execute("SELECT reference FROM posted ORDER BY rowid")]
        finally:
            connection.close()

    def _refresh(self) -> None:
        self.orders = {reference: LINES[reference] for reference in self.posted()}

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,
        *,
        since: datetime | None = None,
        keys: Sequence[Mapping[str, str]] | None = None,
    ) -> Reading:
        self._refresh()
        return super().read(dataset, fields, since=since, keys=keys)

    def plan(self, document: Document) -> Plan:
        self._refresh()
        return super().plan(document)

    def revert(self, receipt: Receipt) -> Plan:
        self._refresh()
        return super().revert(receipt)

    def find(self, document: Document) -> Receipt | None:
        self._refresh()
        return super().find(document)

    def write(self, plan: Plan) -> Receipt:
        assert isinstance(plan.document, OrderDocument)
        self._stop_dead("before")
        self._refresh()
        connection = self._open()
        if plan.operation is Operation.CANCEL:
            connection.execute("DELETE FROM posted WHERE reference = ?", (plan.document.reference,))
        else:
            connection.execute("INSERT INTO posted VALUES (?)", (plan.document.reference,))
        connection.commit()
        connection.close()
        self._stop_dead("after")
        return super().write(plan)

    def _stop_dead(self, moment: str) -> None:
        if moment == self._moment:
            sys.stdout.write("here\n")
            sys.stdout.flush()
            signal.pause()


def spec() -> Audit:
    node = parse("repair: {lines: {system: till, dataset: lines}}\n", "orders.yaml")
    assert isinstance(node, Node)
    return stock_audit(
        id="orders",
        left=Side(system="till", dataset="orders"),
        right=Side(system="erp", dataset="orders"),
        key=("order_ref",),
        fields={"amount": Field(type="decimal", scale=2), "quantity": Field(type="decimal", scale=3)},
        repair=node.entries["repair"],
    )


def systems(erp: FileErp) -> FakeSources:
    rows: dict[str, list[Any]] = {"orders": [], "lines": []}
    for reference, lines in LINES.items():
        rows["orders"].append({"order_ref": reference, "amount": Decimal("7.00"), "quantity": Decimal(2)})
        for line in lines:
            row = {"order_ref": reference, "sku": line.sku, "quantity": line.quantity, "price": line.unit_price}
            rows["lines"].append(row)
    return FakeSources(FakeSource("till", rows), erp)


def repairs(database: Database, erp: FileErp, clock: Clock) -> Repairs:
    config: ChainConfig = chain(spec())
    return Repairs(config, systems(erp), database=database, clock=clock)


if __name__ == "__main__":
    url, file, plan, moment, *undo = sys.argv[1:]
    database = Database.open(url, clock=SystemClock())
    mine = repairs(database, FileErp(Path(file), moment), SystemClock())
    if undo:
        mine.undo_repair(int(plan), actor="child")
    else:
        mine.apply_repair(int(plan), actor="child")
