"""Documents a repair asks a business system to hold, the plan to get there, and the receipt of what happened.

All of them turn into JSON and back without loss, because the caller journals a plan before it is sent and a receipt
before it is believed.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

#: A sentence for people, by language: keys `en` and `zh`.
Text = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of an order. `quantity` in the product's own unit, `unit_price` in the chain's currency."""

    sku: str
    quantity: Decimal
    unit_price: Decimal


@dataclass(frozen=True, kw_only=True)
class OrderDocument:
    """An order as the shop took it; `reference` is the shop's number and our idempotency key in the other system."""

    reference: str
    lines: tuple[Line, ...]
    ordered_at: datetime | None = None
    #: Code or name of the shop's location in the other system; empty = that system's default.
    location: str = ""

    kind = "order"


@dataclass(frozen=True, kw_only=True)
class StockCount:
    """A count of one product in one location: it is `quantity` there; the books said `expected` when we looked."""

    location: str
    sku: str
    quantity: Decimal
    expected: Decimal
    #: Our own number of this count; the idempotency key.
    reference: str = ""

    kind = "stock_count"


@dataclass(frozen=True, kw_only=True)
class OrderReversal:
    """The order with this number never was, or was cancelled where it was taken: take the document back, by a document
    of the other system's own. It is never deleted."""

    reference: str

    kind = "order_reversal"


Document = OrderDocument | OrderReversal | StockCount


class Operation(enum.StrEnum):
    """What a plan would do to the document in the other system."""

    #: Nothing: it already holds exactly this document.
    NONE = "none"
    CREATE = "create"
    #: A document of ours stands there unfinished with the right content: carry it through.
    FINISH = "finish"
    #: A document stands there with other content: correct it.
    CORRECT = "correct"
    #: Undo: take back a document we created.
    CANCEL = "cancel"
    #: Undo of a reversal: the document that was cancelled stands again.
    RESTORE = "restore"


@dataclass(frozen=True, kw_only=True)
class Precondition:
    """One thing that must hold before the document may be sent."""

    name: str
    ok: bool
    message: Text


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `write` would do: pure data, read-only to make. `possible` says whether every precondition holds."""

    system: str
    document: Document
    operation: Operation
    #: The idempotency key: what the other system stores and what we search by.
    reference: str
    #: The other system's document now, or None when there is none. Compared again when writing.
    before: Mapping[str, Any] | None
    steps: tuple[Text, ...] = ()
    preconditions: tuple[Precondition, ...] = ()

    @property
    def possible(self) -> bool:
        return all(condition.ok for condition in self.preconditions)


class ReceiptState(enum.StrEnum):
    """POSTED: we made it so. UNCHANGED: it already was so and nothing was sent. CANCELLED: an undo took it back."""

    POSTED = "posted"
    UNCHANGED = "unchanged"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the other system holds after a write, read back from it; with the before-image an undo needs."""

    system: str
    reference: str
    state: ReceiptState
    operation: Operation
    document: Document
    #: The other system's own id of the document.
    document_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def document_to_json(document: Document) -> dict[str, Any]:
    """JSON values only; Decimals as text, times as ISO 8601 with offset."""
    if isinstance(document, StockCount):
        return {
            "kind": document.kind,
            "reference": document.reference,
            "location": document.location,
            "sku": document.sku,
            "quantity": str(document.quantity),
            "expected": str(document.expected),
        }
    if isinstance(document, OrderReversal):
        return {"kind": document.kind, "reference": document.reference}
    return {
        "kind": document.kind,
        "reference": document.reference,
        "location": document.location,
        "ordered_at": document.ordered_at.isoformat() if document.ordered_at else None,
        "lines": [
            {"sku": line.sku, "quantity": str(line.quantity), "unit_price": str(line.unit_price)}
            for line in document.lines
        ],
    }


def document_from_json(data: Mapping[str, Any]) -> Document:
    """The inverse of `document_to_json`. Raises KeyError or ValueError on data it did not write."""
    if data["kind"] == StockCount.kind:
        return StockCount(
            reference=data["reference"],
            location=data["location"],
            sku=data["sku"],
            quantity=Decimal(data["quantity"]),
            expected=Decimal(data["expected"]),
        )
    if data["kind"] == OrderReversal.kind:
        return OrderReversal(reference=data["reference"])
    if data["kind"] != OrderDocument.kind:
        known = ", ".join(sorted((OrderDocument.kind, OrderReversal.kind, StockCount.kind)))
        raise ValueError(f"unknown document kind {data['kind']!r}; known: {known}")
    return OrderDocument(
        reference=data["reference"],
        location=data["location"],
        ordered_at=datetime.fromisoformat(data["ordered_at"]) if data["ordered_at"] else None,
        lines=tuple(
            Line(sku=line["sku"], quantity=Decimal(line["quantity"]), unit_price=Decimal(line["unit_price"]))
            for line in data["lines"]
        ),
    )


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """JSON values only."""
    return {
        "system": plan.system,
        "document": document_to_json(plan.document),
        "operation": plan.operation.value,
        "reference": plan.reference,
        "before": plan.before,
        "steps": [dict(step) for step in plan.steps],
        "preconditions": [
            {"name": condition.name, "ok": condition.ok, "message": dict(condition.message)}
            for condition in plan.preconditions
        ],
    }


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """The inverse of `plan_to_json`."""
    return Plan(
        system=data["system"],
        document=document_from_json(data["document"]),
        operation=Operation(data["operation"]),
        reference=data["reference"],
        before=data["before"],
        steps=tuple(data["steps"]),
        preconditions=tuple(Precondition(**condition) for condition in data["preconditions"]),
    )


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """JSON values only."""
    return {
        "system": receipt.system,
        "reference": receipt.reference,
        "state": receipt.state.value,
        "operation": receipt.operation.value,
        "document": document_to_json(receipt.document),
        "document_id": receipt.document_id,
        "before": receipt.before,
        "after": receipt.after,
        "evidence": dict(receipt.evidence),
    }


def receipt_from_json(data: Mapping[str, Any]) -> Receipt:
    """The inverse of `receipt_to_json`."""
    return Receipt(
        system=data["system"],
        reference=data["reference"],
        state=ReceiptState(data["state"]),
        operation=Operation(data["operation"]),
        document=document_from_json(data["document"]),
        document_id=data["document_id"],
        before=data["before"],
        after=data["after"],
        evidence=data["evidence"],
    )
