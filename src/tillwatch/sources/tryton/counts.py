"""Stock counts into Tryton: the counted difference as an internal shipment between the location and lost and found.

An inventory would book the same move, but it has no field for our reference that a user may write, so a lost answer
could not be looked up. A shipment has one, and books a difference: what sells meanwhile stays sold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import OutcomeUnknown, SchemaMismatch, SourceError, SourceRejected, SourceUnavailable
from tillwatch.sources.documents import Operation, Plan, Precondition, Receipt, ReceiptState, StockCount, Text
from tillwatch.sources.http import AnswerLost
from tillwatch.sources.tryton.catalogue import PRODUCT_MODEL, Catalogue
from tillwatch.sources.tryton.session import Session
from tillwatch.sources.tryton.wire import Concurrent

MODEL = "stock.shipment.internal"
#: Create, wait, assign, do, and as many again for what somebody else changes meanwhile.
MAX_STEPS = 8
#: Waits before looking again for a shipment whose creation was not answered.
LOST_ANSWER_WAITS_SECONDS = (0.0, 1.0, 3.0)
_NEXT = {"request": "draft", "draft": "wait", "waiting": "assign_try", "assigned": "do"}
_FIELDS = ["number", "reference", "state", "_timestamp", "to_location.code", "from_location.code"]
_MOVE_FIELDS = ["moves.quantity", "moves.product.code"]


@dataclass(frozen=True, kw_only=True)
class _Shipment:
    id: int
    number: str
    state: str
    timestamp: str
    sku: str
    #: Signed: what it adds to the counted location.
    difference: Decimal

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "number": self.number,
            "state": self.state,
            "sku": self.sku,
            "difference": str(self.difference),
        }


class Counts:
    """Plans, writes, finds and reverts stock counts."""

    def __init__(self, session: Session, catalogue: Catalogue, *, clock: Clock) -> None:
        self._session = session
        self._catalogue = catalogue
        self._clock = clock

    def plan(self, document: StockCount) -> Plan:
        there = self._find(document)
        if document.quantity == document.expected or (there is not None and there.state == "done"):
            operation = Operation.NONE
        else:
            operation = Operation.CREATE if there is None else Operation.FINISH
        before, conditions = self._now(document)
        idle = operation is Operation.NONE
        return Plan(
            system=self._session.system,
            document=document,
            operation=operation,
            reference=document.reference,
            before=before,
            steps=() if idle else (_step(document),),
            preconditions=() if idle else conditions,
        )

    def find(self, document: StockCount) -> Receipt | None:
        there = self._find(document)
        if there is None or there.state != "done":
            return None
        return _receipt(self._session.system, document, there, Operation.NONE, None)

    def revert(self, receipt: Receipt) -> Plan:
        """The count the other way round: the difference we booked is booked back, whatever moved since."""
        document = receipt.document
        assert isinstance(document, StockCount)
        undone = replace(document, quantity=document.expected, expected=document.quantity)
        if receipt.state is not ReceiptState.POSTED:
            undone = replace(undone, quantity=undone.expected)
        return self.plan(replace(undone, reference=f"{document.reference}-UNDO"))

    def write(self, plan: Plan) -> Receipt:
        """Find the shipment with our reference, take its next step, read again, until it is done.

        Each step happens only if nobody changed the shipment since we read it; creating it is the only one that could
        happen twice, so a lost answer to that is looked up and never sent again.
        """
        document = plan.document
        assert isinstance(document, StockCount)
        if document.quantity == document.expected:
            return _receipt(plan.system, document, None, Operation.NONE, plan.before)
        taken: list[str] = []
        for _ in range(MAX_STEPS):
            there = self._looked_up(document, taken)
            if there is not None and there.state == "done":
                return _receipt(plan.system, document, there, plan.operation if taken else Operation.NONE, plan.before)
            step = "create" if there is None else _NEXT.get(there.state, "")
            if not step or (step == "create" and taken) or taken[-1:] == ["assign_try"] == [step]:
                raise self._stuck(document, there, taken)
            try:
                self._take(step, document, there)
            except Concurrent:
                continue
            except AnswerLost as error:
                taken.append(f"{step} (answer lost)")
                if step == "create":
                    self._wait_for_lost(document, taken, error)
                continue
            taken.append(step)
        raise SourceRejected(
            self._words(document, f"it changed under us again and again; done so far: {', '.join(taken)}")
        )

    def _take(self, step: str, document: StockCount, there: _Shipment | None) -> None:
        if there is None:
            self._session.call(MODEL, "create", [self._values(document)])
            return
        context = {"_timestamp": {f"{MODEL},{there.id}": there.timestamp}}
        self._session.call(MODEL, step, [there.id], context=context)

    def _values(self, document: StockCount) -> dict[str, Any]:
        row = self._product(document.sku)
        if row is None:
            raise SourceRejected(self._words(document, f"no product with code {document.sku!r}"))
        difference = document.quantity - document.expected
        here, lost = self._catalogue.location(document.location), self._lost_and_found(document)
        source, target = (lost, here) if difference > 0 else (here, lost)
        places = {"from_location": source, "to_location": target}
        move = {"product": row["id"], "unit": row["default_uom"], "quantity": float(abs(difference)), **places}
        return {"reference": document.reference, **places, "moves": [["create", [move]]]}

    def _lost_and_found(self, document: StockCount) -> int:
        ids = self._session.read("stock.location", "search", [["type", "=", "lost_found"]], 0, 1, [["id", "ASC"]])
        if not ids:
            raise SourceRejected(self._words(document, "the ERP has no lost and found location to book against"))
        return int(ids[0])

    def _find(self, document: StockCount) -> _Shipment | None:
        if not document.reference:
            return None
        domain = [["reference", "=", document.reference], ["state", "!=", "cancelled"]]
        fields = [*_FIELDS, *_MOVE_FIELDS]
        rows = self._session.read(MODEL, "search_read", domain, 0, None, [["id", "ASC"]], fields)
        found = [_shipment(row, document.location) for row in rows]
        if not found:
            return None
        wanted = (document.sku, document.quantity - document.expected)
        if len(found) > 1 or (found[0].sku, found[0].difference) != wanted:
            there = ", ".join(f"{one.number}: {one.sku} {one.difference:+f}" for one in found)
            raise SourceRejected(self._words(document, f"this reference is taken by other shipments ({there})"))
        return found[0]

    def _looked_up(self, document: StockCount, taken: list[str]) -> _Shipment | None:
        try:
            return self._find(document)
        except (SourceUnavailable, SourceError) as error:
            if any("lost" in step for step in taken):
                raise self._unknown(document, taken, error) from error
            raise

    def _wait_for_lost(self, document: StockCount, taken: list[str], error: Exception) -> None:
        for wait_seconds in LOST_ANSWER_WAITS_SECONDS:
            self._clock.sleep(wait_seconds)
            if self._looked_up(document, taken) is not None:
                return
        raise self._unknown(document, taken, error) from error

    def _now(self, document: StockCount) -> tuple[Mapping[str, Any] | None, tuple[Precondition, ...]]:
        """The ERP's quantity now, and what must hold before a count may be posted."""
        referenced = bool(document.reference.strip())
        product = self._product(document.sku)
        location: int | None = None
        try:
            location = self._catalogue.location(document.location)
            place: Text = {"en": "location found", "zh": "库位存在"}
        except SchemaMismatch as error:
            place = {"en": str(error), "zh": f"ERP 没有编码为 {document.location!r} 的库位"}
        conditions = (
            Precondition(
                name="reference",
                ok=referenced,
                message={
                    "en": "reference is there" if referenced else "a count needs a reference of ours",
                    "zh": "盘点单号齐全" if referenced else "盘点必须有单号",
                },
            ),
            Precondition(
                name="product",
                ok=product is not None,
                message={
                    "en": "product found" if product else f"not exactly one product with code {document.sku!r}",
                    "zh": "商品存在" if product else f"编码为 {document.sku!r} 的商品不是恰好一个",
                },
            ),
            Precondition(name="location", ok=location is not None, message=place),
        )
        if product is None or location is None:
            return None, conditions
        context = {"locations": [location]}
        (row,) = self._session.read(PRODUCT_MODEL, "read", [product["id"]], ["quantity"], context=context)
        return {"quantity": str(Decimal(row["quantity"]))}, conditions

    def _product(self, sku: str) -> dict[str, Any] | None:
        domain = [["code", "=", sku], ["type", "=", "goods"]]
        rows = self._session.read(PRODUCT_MODEL, "search_read", domain, 0, 2, [["id", "ASC"]], ["default_uom"])
        return rows[0] if len(rows) == 1 else None

    def _stuck(self, document: StockCount, there: _Shipment | None, taken: list[str]) -> SourceError | OutcomeUnknown:
        if there is None:
            return self._unknown(document, taken, None)
        if there.state == "waiting":
            return SourceRejected(
                self._words(document, f"the ERP has less than {abs(there.difference):f} of {there.sku} free there")
            )
        return SourceRejected(
            self._words(document, f"shipment {there.number} is {there.state!r}; finish it in the ERP")
        )

    def _unknown(self, document: StockCount, taken: list[str], error: Exception | None) -> OutcomeUnknown:
        reason = f" ({error})" if error else ""
        return OutcomeUnknown(
            self._words(document, f"after {', '.join(taken)} it cannot be found{reason}; use find before anything else")
        )

    def _words(self, document: StockCount, text: str) -> str:
        return f"system {self._session.system!r}, stock count {document.reference!r}: {text}"


def _shipment(row: Mapping[str, Any], location: str) -> _Shipment:
    moves = row.get("moves.") or ()
    quantity = sum((Decimal(move["quantity"] or 0) for move in moves), Decimal(0))
    inbound = (row.get("to_location.") or {}).get("code") == location
    outbound = (row.get("from_location.") or {}).get("code") == location
    return _Shipment(
        id=row["id"],
        number=row["number"] or f"id {row['id']}",
        state=row["state"],
        timestamp=row["_timestamp"],
        sku="+".join(sorted({(move.get("product.") or {}).get("code") or "" for move in moves})),
        difference=quantity if inbound else -quantity if outbound else Decimal(0),
    )


def _step(document: StockCount) -> Text:
    difference = document.quantity - document.expected
    return {
        "en": f"book the counted difference of {document.sku} in {document.location}: {difference:+f}",
        "zh": f"在 {document.location} 过账 {document.sku} 的盘点差异：{difference:+f}",
    }


def _receipt(
    system: str,
    document: StockCount,
    there: _Shipment | None,
    operation: Operation,
    before: Mapping[str, Any] | None,
) -> Receipt:
    return Receipt(
        system=system,
        reference=document.reference,
        state=ReceiptState.UNCHANGED if operation is Operation.NONE else ReceiptState.POSTED,
        operation=operation,
        document=document,
        document_id=str(there.id) if there else "",
        before=before,
        after=there.to_json() if there else None,
    )
