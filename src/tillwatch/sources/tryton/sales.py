"""Orders into Tryton as sales: found by our reference first, posted once, corrected under compare-and-set.

`reference` is not unique in the ERP, so uniqueness is ours to keep: search before create, and search again after it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import OutcomeUnknown, SourceError, SourceRejected, SourceUnavailable
from tillwatch.sources.documents import (
    Line,
    Operation,
    OrderDocument,
    Plan,
    Precondition,
    Receipt,
    ReceiptState,
)
from tillwatch.sources.http import AnswerLost
from tillwatch.sources.tryton import sale_steps, sale_words
from tillwatch.sources.tryton.options import SALE_MODEL
from tillwatch.sources.tryton.partners import PartnerLookup, Partners, Product
from tillwatch.sources.tryton.sale_steps import SaleImage, Step, content
from tillwatch.sources.tryton.session import Session
from tillwatch.sources.tryton.wire import Concurrent

#: Waits before looking again for a sale whose creation was not answered: the ERP may still be committing it.
LOST_ANSWER_WAITS_SECONDS = (0.0, 1.0, 3.0)
#: No way through the states of a sale is longer; more means somebody else keeps changing it.
MAX_STEPS = 12
#: After this many lost answers in one write the link is too bad to go on; a person decides.
MAX_LOST_ANSWERS = 3
#: Written into sales we create, for the people who read them in the ERP.
DESCRIPTION = "tillwatch: 补传订单 / order replayed"


class Sales:
    """Plans, writes, finds and reverts orders."""

    def __init__(self, session: Session, partners: PartnerLookup, *, clock: Clock) -> None:
        self._session = session
        self._partners = partners
        self._clock = clock

    def plan(self, document: OrderDocument) -> Plan:
        sales = self._live(document.reference)
        if len(sales) > 1:
            return self._plan(document, Operation.NONE, sales[0], (sale_words.twice(sales),))
        sale = sales[0] if sales else None
        operation = sale_steps.operation(sale, content(document.lines))
        conditions: tuple[Precondition, ...] = (sale_words.sound(document),)
        if operation is Operation.CREATE:
            conditions += self._partners.for_new(document).preconditions
        elif operation is Operation.CORRECT:
            assert sale is not None
            conditions += (self._partners.products(line.sku for line in document.lines)[1], sale_words.changeable(sale))
        return self._plan(document, operation, sale, conditions)

    def find(self, document: OrderDocument) -> Receipt | None:
        sales = self._live(document.reference)
        if len(sales) != 1 or sale_steps.next_step(sales[0], content(document.lines)) is not Step.DONE:
            return None
        plan = self._plan(document, Operation.NONE, sales[0], ())
        return _receipt(plan, sales[0], ReceiptState.UNCHANGED, [])

    def revert(self, receipt: Receipt) -> Plan:
        """Back to the before-image: cancel what we created, restore what we corrected, nothing when we sent nothing."""
        document = receipt.document
        assert isinstance(document, OrderDocument)
        sales = self._live(document.reference)
        sale = sales[0] if len(sales) == 1 else None
        if receipt.state is not ReceiptState.POSTED:
            return self._plan(document, Operation.NONE, sale, ())
        conditions: list[Precondition] = [sale_words.twice(sales)] if len(sales) > 1 else []
        if sale is not None:
            conditions += [sale_words.as_we_left_it(sale, receipt), sale_words.changeable(sale)]
        if receipt.operation is Operation.CORRECT and receipt.before is not None:
            document = OrderDocument(
                reference=document.reference,
                lines=sale_steps.lines_of(receipt.before),
                ordered_at=document.ordered_at,
                location=document.location,
            )
            return self._plan(document, Operation.CORRECT, sale, tuple(conditions))
        return self._plan(document, Operation.CANCEL, sale, tuple(conditions))

    def write(self, plan: Plan) -> Receipt:
        """1. Read what the ERP holds under our reference; more than one, or neither before nor after: refuse.
        2. Take the next step; what it changes, it changes only if nobody else has since we read.
        3. Read again and go on until the sale is as planned. A lost answer is looked up, never sent again blindly.
        """
        document = plan.document
        assert isinstance(document, OrderDocument)
        undo = plan.operation is Operation.CANCEL
        wanted = content(document.lines)
        taken: list[str] = []
        for _ in range(MAX_STEPS):
            sale = self._one(plan, taken)
            step = sale_steps.next_undo(sale) if undo else sale_steps.next_step(sale, wanted)
            if step is Step.DONE:
                return _done(plan, sale, taken)
            self._unmoved(plan, sale, taken)
            if step is Step.STUCK:
                assert sale is not None
                raise SourceRejected(self._words(plan, f"it is {sale.state!r} now; correct it by hand in the ERP"))
            try:
                self._take(step, plan, document, sale)
            except Concurrent:
                # Nothing was done; what changed shows in the next reading.
                continue
            except AnswerLost as error:
                taken.append(f"{step} (answer lost)")
                self._look_for_lost(step, plan, error, taken)
                continue
            taken.append(str(step))
        raise SourceRejected(self._words(plan, f"it changed under us again and again; done so far: {', '.join(taken)}"))

    def _plan(
        self, document: OrderDocument, operation: Operation, sale: SaleImage | None, conditions: Sequence[Precondition]
    ) -> Plan:
        return Plan(
            system=self._session.system,
            document=document,
            operation=operation,
            reference=document.reference,
            before=sale.to_json() if sale else None,
            steps=sale_words.in_words(document, operation, sale),
            preconditions=tuple(conditions),
        )

    def _live(self, reference: str) -> list[SaleImage]:
        """Sales with our reference that are not cancelled, oldest first."""
        domain = [["reference", "=", reference], ["state", "!=", "cancelled"]]
        rows = self._session.read(SALE_MODEL, "search_read", domain, 0, None, [["id", "ASC"]], list(sale_steps.FIELDS))
        return [sale_steps.image(row) for row in rows]

    def _one(self, plan: Plan, taken: Sequence[str]) -> SaleImage | None:
        try:
            sales = self._live(plan.reference)
        except (SourceUnavailable, SourceError) as error:
            if any("lost" in step for step in taken):
                raise OutcomeUnknown(
                    self._words(
                        plan, f"after {', '.join(taken)} it cannot be looked up ({error}); use find when it answers"
                    )
                ) from error
            raise
        if len(sales) > 1:
            raise SourceRejected(self._words(plan, sale_words.twice(sales).message["en"]))
        return sales[0] if sales else None

    def _unmoved(self, plan: Plan, sale: SaleImage | None, taken: Sequence[str]) -> None:
        """Compare-and-set on the plan's before-image: somebody else's change is never overwritten."""
        assert isinstance(plan.document, OrderDocument)
        allowed = [content(plan.document.lines)]
        if plan.before is not None:
            allowed.append(content(sale_steps.lines_of(plan.before)))
        if sale is None:
            moved = plan.before is not None or bool(taken)
        else:
            other = plan.before is not None and plan.before["id"] != sale.id
            moved = other or content(sale.lines) not in allowed
        if moved:
            now = f"now {sale.to_json()}" if sale else "it is gone or cancelled now"
            done = f"; done so far: {', '.join(taken)}" if taken else "; nothing was sent"
            raise SourceRejected(self._words(plan, f"it is not as planned: {now}{done}; plan again"))

    def _take(self, step: Step, plan: Plan, document: OrderDocument, sale: SaleImage | None) -> None:
        if step is Step.CREATE:
            self._create(plan, document)
            return
        assert sale is not None
        # The ERP refuses, atomically, when one of these records was changed since we read it.
        unchanged = {f"{SALE_MODEL},{sale.id}": sale.timestamp}
        unchanged |= {f"sale.line,{line.id}": line.timestamp for line in sale.lines}
        context = {"_timestamp": unchanged}
        if step is Step.LINES:
            self._session.call(SALE_MODEL, "write", [sale.id], {"lines": self._lines(document, sale)}, context=context)
        else:
            self._session.call(SALE_MODEL, str(step), [sale.id], context=context)

    def _lines(self, document: OrderDocument, sale: SaleImage) -> list[list[Any]]:
        changes = sale_steps.line_changes(sale.lines, document.lines)
        products, there = self._partners.products(line.sku for line in document.lines)
        if not there.ok:
            raise SourceRejected(
                f"system {self._session.system!r}, order {document.reference!r}: {there.message['en']}"
            )
        commands: list[list[Any]] = [
            ["write", [line_id], {"quantity": float(line.quantity), "unit_price": line.unit_price}]
            for line_id, line in changes.written
        ]
        if changes.deleted:
            commands.append(["delete", list(changes.deleted)])
        if changes.created:
            commands.append(["create", [_line(line, products) for line in changes.created]])
        return commands

    def _create(self, plan: Plan, document: OrderDocument) -> None:
        partners = self._partners.for_new(document)
        if failed := [condition for condition in partners.preconditions if not condition.ok]:
            raise SourceRejected(self._words(plan, "; ".join(condition.message["en"] for condition in failed)))
        (ours,) = self._session.call(SALE_MODEL, "create", [_values(document, partners)])
        if [sale.id for sale in self._live(document.reference)] != [ours]:
            # Somebody posted the same order between our search and our create: theirs stands, ours was a draft.
            self._session.call(SALE_MODEL, "delete", [ours])

    def _look_for_lost(self, step: Step, plan: Plan, error: AnswerLost, taken: Sequence[str]) -> None:
        """Wait for what was sent to show. Only a creation must: the other steps cannot happen twice."""
        if sum("lost" in done for done in taken) >= MAX_LOST_ANSWERS:
            raise OutcomeUnknown(
                self._words(plan, f"{MAX_LOST_ANSWERS} answers were lost ({error}); use find when the link is better")
            ) from error
        if step is not Step.CREATE:
            return
        for wait_seconds in LOST_ANSWER_WAITS_SECONDS:
            self._clock.sleep(wait_seconds)
            if self._one(plan, taken) is not None:
                return
        raise OutcomeUnknown(
            self._words(
                plan, f"the answer to 'create' was lost ({error}) and no sale shows yet; use find before anything else"
            )
        ) from error

    def _words(self, plan: Plan, text: str) -> str:
        return f"system {self._session.system!r}, order {plan.reference!r}: {text}"


def _done(plan: Plan, sale: SaleImage | None, taken: Sequence[str]) -> Receipt:
    if plan.operation is Operation.CANCEL:
        return _receipt(plan, sale, ReceiptState.CANCELLED, taken)
    return _receipt(plan, sale, ReceiptState.POSTED if taken else ReceiptState.UNCHANGED, taken)


def _receipt(plan: Plan, sale: SaleImage | None, state: ReceiptState, taken: Sequence[str]) -> Receipt:
    before_id = str(plan.before["id"]) if plan.before else ""
    return Receipt(
        system=plan.system,
        reference=plan.reference,
        state=state,
        operation=plan.operation if taken else Operation.NONE,
        document=plan.document,
        document_id=str(sale.id) if sale else before_id,
        before=plan.before,
        after=sale.to_json() if sale else None,
        evidence={"steps": list(taken), "number": sale.number if sale else ""},
    )


def _values(document: OrderDocument, partners: Partners) -> dict[str, Any]:
    """A new sale. Lines carry the shop's own price; taxes are not added, the shop's price is what was paid."""
    values: dict[str, Any] = {
        "party": partners.party,
        "invoice_address": partners.address,
        "shipment_address": partners.address,
        "reference": document.reference,
        "description": DESCRIPTION,
        "lines": [["create", [_line(line, partners.products) for line in document.lines]]],
    }
    if partners.warehouse is not None:
        values["warehouse"] = partners.warehouse
    if partners.sale_date is not None:
        values["sale_date"] = partners.sale_date
    return values


def _line(line: Line, products: Mapping[str, Product]) -> dict[str, Any]:
    product = products[line.sku]
    return {
        "type": "line",
        "product": product.id,
        "unit": product.unit,
        # The ERP stores quantities as floats, rounded to the unit; the shortest text of one is the decimal again.
        "quantity": float(line.quantity),
        "unit_price": line.unit_price,
    }
