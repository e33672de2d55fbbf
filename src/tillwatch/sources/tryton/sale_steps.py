"""What stands between a sale as it is and the sale as it should be: pure functions of what was read.

The writer asks for the next step, takes it, reads again and asks again, so a run that stopped anywhere goes on from
what the ERP really holds.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tillwatch.sources.documents import Line, Operation

#: States in which a sale is firm; what comes after `confirmed` can no longer be taken back to a draft.
FIRM = frozenset({"confirmed", "processing", "done"})
CHANGEABLE = frozenset({"draft", "quotation", "confirmed"})


@dataclass(frozen=True, kw_only=True)
class LineImage:
    id: int
    sku: str
    quantity: Decimal
    unit_price: Decimal
    timestamp: str


@dataclass(frozen=True, kw_only=True)
class SaleImage:
    """A sale as the ERP holds it."""

    id: int
    number: str
    reference: str
    state: str
    total: Decimal
    timestamp: str
    lines: tuple[LineImage, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "number": self.number,
            "reference": self.reference,
            "state": self.state,
            "total": str(self.total),
            "lines": [
                {"sku": line.sku, "quantity": str(line.quantity), "unit_price": str(line.unit_price)}
                for line in self.lines
            ],
        }


def image(record: Mapping[str, Any]) -> SaleImage:
    """From one record of `sale.sale` read with FIELDS. Comment and title lines are not part of the order."""
    lines = tuple(
        LineImage(
            id=line["id"],
            sku=(line.get("product.") or {}).get("code") or "",
            quantity=Decimal(line["quantity"] or 0),
            unit_price=Decimal(line["unit_price"] or 0),
            timestamp=line["_timestamp"],
        )
        for line in record.get("lines.") or ()
        if line["type"] == "line"
    )
    return SaleImage(
        id=record["id"],
        number=record["number"] or "",
        reference=record["reference"] or "",
        state=record["state"],
        total=Decimal(record["total_amount"] or 0),
        timestamp=record["_timestamp"],
        lines=lines,
    )


#: What `image` needs.
FIELDS = (
    "number",
    "reference",
    "state",
    "total_amount",
    "_timestamp",
    "lines.type",
    "lines.quantity",
    "lines.unit_price",
    "lines.product.code",
    "lines._timestamp",
)

Content = Mapping[tuple[str, Decimal], Decimal]


def content(lines: Iterable[Line | LineImage]) -> Content:
    """Quantity by product and price: two orders with equal content are the same order, however their lines are cut."""
    summed: Counter[tuple[str, Decimal]] = Counter()
    for line in lines:
        summed[(line.sku, line.unit_price.normalize())] += line.quantity  # type: ignore[assignment]
    return {key: Decimal(quantity) for key, quantity in summed.items() if quantity}


def lines_of(before: Mapping[str, Any]) -> tuple[Line, ...]:
    """The lines of a journaled image."""
    return tuple(
        Line(sku=line["sku"], quantity=Decimal(line["quantity"]), unit_price=Decimal(line["unit_price"]))
        for line in before["lines"]
    )


class Step(enum.StrEnum):
    CREATE = "create"
    TO_DRAFT = "draft"
    LINES = "lines"
    QUOTE = "quote"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    #: A cancelled sale back to a draft.
    REVIVE = "revive"
    DONE = "done"
    #: The ERP no longer lets anybody change this sale.
    STUCK = "stuck"


def operation(sale: SaleImage | None, wanted: Content) -> Operation:
    """What has to happen to the one sale with our reference, or to none."""
    if sale is None:
        return Operation.CREATE
    if content(sale.lines) != wanted:
        return Operation.CORRECT
    return Operation.NONE if sale.state in FIRM else Operation.FINISH


def next_step(sale: SaleImage | None, wanted: Content) -> Step:
    """Towards a confirmed sale with the wanted content."""
    if sale is None:
        return Step.CREATE
    right = content(sale.lines) == wanted
    if right and sale.state in FIRM:
        return Step.DONE
    if right and sale.state == "quotation":
        return Step.CONFIRM
    if sale.state == "draft":
        return Step.QUOTE if right else Step.LINES
    return Step.TO_DRAFT if sale.state in CHANGEABLE else Step.STUCK


def next_undo(sale: SaleImage | None) -> Step:
    """Towards no sale with our reference."""
    if sale is None:
        return Step.DONE
    if sale.state in {"draft", "quotation"}:
        return Step.CANCEL
    return Step.TO_DRAFT if sale.state in CHANGEABLE else Step.STUCK


def next_restore(sale: SaleImage | None, until: str) -> Step:
    """Towards the sale as it was before it was cancelled; `until` is the state it had."""
    if sale is None:
        return Step.REVIVE
    if sale.state == until or sale.state in FIRM:
        return Step.DONE
    return {"draft": Step.QUOTE, "quotation": Step.CONFIRM}.get(sale.state, Step.STUCK)


@dataclass(frozen=True, kw_only=True)
class LineChanges:
    """What turns the lines of a draft into the wanted ones, touching no line that is right."""

    written: tuple[tuple[int, Line], ...]
    deleted: tuple[int, ...]
    created: tuple[Line, ...]


def line_changes(there: Sequence[LineImage], wanted: Sequence[Line]) -> LineChanges:
    """Keep equal lines, rewrite lines of the same product, then create and delete the rest."""
    left = list(there)
    missing: list[Line] = []
    for line in wanted:
        same = [
            old for old in left if (old.sku, old.quantity, old.unit_price) == (line.sku, line.quantity, line.unit_price)
        ]
        if same:
            left.remove(same[0])
        else:
            missing.append(line)
    written: list[tuple[int, Line]] = []
    created: list[Line] = []
    for line in missing:
        similar = [old for old in left if old.sku == line.sku]
        if similar:
            left.remove(similar[0])
            written.append((similar[0].id, line))
        else:
            created.append(line)
    return LineChanges(written=tuple(written), deleted=tuple(old.id for old in left), created=tuple(created))
