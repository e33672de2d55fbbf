"""Sources that hold rows in memory and misbehave on request, for tests of audits and repairs."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.audit.reading import Leftovers
from tillwatch.clock import Clock, ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import (
    Audit,
    Chain,
    Field,
    Interface,
    Listen,
    Receiver,
    Route,
    Side,
    Site,
    StoreSpec,
    System,
)
from tillwatch.errors import OutcomeUnknown, RefusedError, SourceRejected
from tillwatch.model.audit import AuditReport, Row
from tillwatch.sources.base import Capabilities, Operation, OrderDocument, Plan, Reading, Receipt, ReceiptState, Tail
from tillwatch.sources.documents import Document, Precondition, document_from_json, document_to_json

ZONE = ZoneInfo("Asia/Shanghai")


class Killed(BaseException):
    """Stands for a process that dies here: nothing after this line of it ever runs."""


@dataclass
class FakeSource:
    """Rows by dataset. What goes wrong is set by the test; `asked` records every reading."""

    id: str
    datasets: dict[str, list[Row]]
    keys: bool = True
    batch_rows: int = 2
    #: Called before each reading with its number, from 1: change the rows, raise, or block here.
    before: Callable[[int], object] = int
    #: What the system says it has, by reading number; the truth where nothing is said.
    counts: dict[int, int | None] = field(default_factory=dict)
    unstable: set[int] = field(default_factory=set)
    asked: list[tuple[str, Sequence[Mapping[str, str]] | None]] = field(default_factory=list)
    kind: str = "fake"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(keys=self.keys, count=True)

    def rows(self, dataset: str) -> list[Row]:
        return self.datasets[dataset]

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,
        *,
        since: datetime | None = None,  # noqa: ARG002 - the protocol's signature
        keys: Sequence[Mapping[str, str]] | None = None,
    ) -> Reading:
        self.asked.append((dataset, keys))
        number = len(self.asked)
        given = [0]

        def batches() -> Iterator[list[Row]]:
            self.before(number)
            rows: list[Row] = []
            for row in self.rows(dataset):
                if keys is None or any(all(row[name] == key[name] for name in key) for key in keys):
                    rows.append(dict(row) if fields is None else {name: row[name] for name in fields if name in row})
            for start in range(0, len(rows), self.batch_rows):
                batch = rows[start : start + self.batch_rows]
                given[0] += len(batch)
                yield batch

        def tail() -> Tail:
            count = self.counts.get(number, given[0])
            return Tail(
                rows=given[0], server_count=count, stable=number not in self.unstable, bytes_read=10, requests=1
            )

        return Reading(batches(), tail, lambda: None)


@dataclass
class FakeErp(FakeSource):
    """A system that holds orders as documents. `sent` counts what was really posted."""

    orders: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    read_only: bool = False
    #: Raised by write before anything happens, after it happened, and what happens instead of a clean answer.
    die_before: BaseException | None = None
    die_after: BaseException | None = None
    lose_answer: bool = False
    hide_until_read: int = 0
    post_wrong: bool = False
    possible: bool = True
    #: Shipped or invoiced since: nobody may take them back any more.
    used: set[str] = field(default_factory=set)

    def rows(self, dataset: str) -> list[Row]:
        if dataset in self.datasets:
            return self.datasets[dataset]
        return [
            {
                "order_ref": reference,
                "amount": sum((line.quantity * line.unit_price for line in lines), Decimal(0)),
                "quantity": sum((line.quantity for line in lines), Decimal(0)),
            }
            for reference, lines in self.orders.items()
        ]

    def plan(self, document: Document) -> Plan:
        assert isinstance(document, OrderDocument)
        there = self.orders.get(document.reference)
        operation = Operation.CREATE if there is None else Operation.CORRECT
        if there == document.lines:
            operation = Operation.NONE
        return Plan(
            system=self.id,
            document=document,
            operation=operation,
            reference=document.reference,
            before=self._image(document.reference),
            preconditions=(Precondition(name="open", ok=self.possible, message={"en": "the month is closed"}),),
        )

    def write(self, plan: Plan) -> Receipt:
        if self.read_only:
            raise RefusedError(f"system '{self.id}' is read only; write 'writes: enabled' to let repairs post")
        if self.die_before is not None:
            error, self.die_before = self.die_before, None
            raise error
        document = plan.document
        assert isinstance(document, OrderDocument)
        lines = document.lines
        if plan.operation is Operation.CANCEL:
            self._cancel(plan)
            return self._receipt(document, ReceiptState.CANCELLED, plan.operation, plan.before)
        self._compare(plan)
        if self.post_wrong:
            lines = tuple(replace(line, quantity=line.quantity + 1) for line in lines)
        self.orders[document.reference] = lines
        self.sent.append(document.reference)
        if self.die_after is not None:
            error, self.die_after = self.die_after, None
            raise error
        if self.lose_answer:
            raise OutcomeUnknown(f"system '{self.id}' did not answer while {document.reference} was posted")
        return self._receipt(document, ReceiptState.POSTED, plan.operation, plan.before)

    def _compare(self, plan: Plan) -> None:
        """Compare-and-set, as every source owes it: only over what the plan saw, or what it wants."""
        there = self._image(plan.reference)
        if there is None and plan.before is None:
            return
        if there is None or not (_same(there, plan.before) or _same(there, document_to_json(plan.document))):
            raise SourceRejected(f"order {plan.reference} is not as planned; plan again")

    def _cancel(self, plan: Plan) -> None:
        if self._image(plan.reference) is not None:
            self._compare(plan)
        self.orders.pop(plan.reference, None)
        self.sent.append(f"cancel {plan.reference}")
        if self.die_after is not None:
            error, self.die_after = self.die_after, None
            raise error

    def revert(self, receipt: Receipt) -> Plan:
        document = receipt.document
        assert isinstance(document, OrderDocument)
        there = self._image(document.reference)
        changed = there is not None and not _same(there, receipt.after)
        used = document.reference in self.used
        if receipt.before is not None:
            before = document_from_json(receipt.before)
            assert isinstance(before, OrderDocument)
            document = before
        return Plan(
            system=self.id,
            document=document,
            operation=Operation.CANCEL if receipt.before is None else Operation.CORRECT,
            reference=document.reference,
            before=there,
            preconditions=(
                Precondition(name="unchanged", ok=not changed, message={"en": "the sale was changed after us"}),
                Precondition(name="unused", ok=not used, message={"en": "it is shipped already"}),
            ),
        )

    def _image(self, reference: str) -> dict[str, Any] | None:
        there = self.orders.get(reference)
        return None if there is None else document_to_json(OrderDocument(reference=reference, lines=there))

    def find(self, document: Document) -> Receipt | None:
        assert isinstance(document, OrderDocument)
        if self.orders.get(document.reference) != document.lines:
            return None
        return self._receipt(document, ReceiptState.UNCHANGED, Operation.NONE, self._image(document.reference))

    def _receipt(
        self, document: OrderDocument, state: ReceiptState, operation: Operation, before: Mapping[str, Any] | None
    ) -> Receipt:
        return Receipt(
            system=self.id,
            reference=document.reference,
            state=state,
            operation=operation,
            document=document,
            document_id=f"S-{document.reference}",
            before=before,
            after=self._image(document.reference),
        )


def _same(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """Equal lines as numbers, however many zeros they are written with."""
    if other is None:
        return False
    mine, theirs = document_from_json(one), document_from_json(other)
    assert isinstance(mine, OrderDocument)
    assert isinstance(theirs, OrderDocument)
    return mine.lines == theirs.lines


class FakeSources:
    """Sources by system."""

    def __init__(self, *sources: FakeSource) -> None:
        self._sources = {source.id: source for source in sources}

    def get(self, system: str) -> Any:
        return self._sources[system]


DECIMALS = {"quantity": Field(type="decimal", scale=4), "price": Field(type="decimal", scale=2)}


def stock_audit(**changes: Any) -> Audit:
    """An audit of `erp.stock` against `till.stock` by sku, settled at once unless the test says otherwise."""
    values: dict[str, Any] = {
        "id": "stock",
        "left": Side(system="erp", dataset="stock"),
        "right": Side(system="till", dataset="stock"),
        "key": ("sku",),
        "fields": DECIMALS,
        "schedule": "@every 20s",
        "settle": timedelta(0),
    }
    return Audit(**(values | changes))


def stock(*rows: tuple[str, str, str]) -> list[Row]:
    """Rows of (sku, quantity, price)."""
    return [{"sku": sku, "quantity": Decimal(quantity), "price": Decimal(price)} for sku, quantity, price in rows]


def audited(
    left: FakeSource,
    right: FakeSource,
    spec: Audit | None = None,
    *,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    leftovers: Leftovers | None = None,
) -> AuditReport:
    """The report of one run of `spec` over two sources."""
    sources = {left.id: left, right.id: right}
    return examine(
        Order(
            declared=declare(spec or stock_audit(), ZONE),
            open=sources.__getitem__,  # type: ignore[arg-type]
            run=1,
            started_at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
            clock=clock or ManualClock(),
            stop=stop or threading.Event(),
            leftovers=leftovers or Leftovers(),
        )
    )


def compared(left: list[Row], right: list[Row], spec: Audit | None = None) -> AuditReport:
    """The report on two lists of rows."""
    return audited(FakeSource("erp", {"stock": left}), FakeSource("till", {"stock": right}), spec)


def chain(*audits: Audit) -> ChainConfig:
    """A chain of one ERP and one till in the shop `chaoyang`, with these audits."""
    return ChainConfig(
        root=Path("/nowhere"),
        chain=Chain(id="demo", timezone=ZONE, currency="CNY", locale="zh-CN"),
        store=StoreSpec(url="sqlite:///nowhere.db"),
        listen=Listen(),
        sites=(Site(id="hq"), Site(id="chaoyang")),
        systems=(System(id="erp", site="hq", source="fake"), System(id="till", site="chaoyang", source="fake")),
        interfaces=(Interface(id="stock-chaoyang", site="chaoyang", from_="erp", to="till", carries="stock"),),
        audits=audits,
        route=Route(receiver="ops"),
        receivers=(Receiver(id="ops"),),
    )
