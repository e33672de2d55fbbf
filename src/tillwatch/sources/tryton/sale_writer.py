"""One write of one order: found by our reference first, posted once, corrected under compare-and-set.

`reference` is not unique in the ERP, so uniqueness is ours to keep. A sale is only ever confirmed while it is the only
one with its reference; of several drafts racing for it the oldest stays and the writers of the others take theirs back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import OutcomeUnknown, SourceError, SourceRejected, SourceUnavailable
from tillwatch.sources.documents import Line, Operation, OrderDocument, Plan, Receipt, ReceiptState
from tillwatch.sources.http import AnswerLost
from tillwatch.sources.tryton import sale_steps, sale_words
from tillwatch.sources.tryton.options import SALE_MODEL
from tillwatch.sources.tryton.partners import PartnerLookup, Partners, Product
from tillwatch.sources.tryton.sale_steps import SaleImage, Step, content
from tillwatch.sources.tryton.session import Session
from tillwatch.sources.tryton.wire import Concurrent

#: Waits before looking again for a sale whose creation was not answered: the ERP may still be committing it.
LOST_ANSWER_WAITS_SECONDS = (0.0, 1.0, 3.0)
#: How long the oldest of several new drafts waits for the others to be taken back by their writers.
YIELD_WAIT_SECONDS = 1.0
MAX_YIELDS = 5
#: States of a sale in which nothing is promised yet, so that its writer may take it back.
UNCONFIRMED = frozenset({"draft", "quotation"})
#: No way through the states of a sale is longer; more means somebody else keeps changing it.
MAX_STEPS = 20
#: After this many lost answers in one write the link is too bad to go on; a person decides.
MAX_LOST_ANSWERS = 3
#: Written into sales we create, for the people who read them in the ERP.
DESCRIPTION = "tillwatch: 补传订单 / order replayed"


def live_sales(session: Session, reference: str) -> list[SaleImage]:
    """Sales with this reference that are not cancelled, oldest first."""
    return _sales(session, [["reference", "=", reference], ["state", "!=", "cancelled"]])


def cancelled_sales(session: Session, reference: str) -> list[SaleImage]:
    """Sales with this reference that are cancelled, oldest first."""
    return _sales(session, [["reference", "=", reference], ["state", "=", "cancelled"]])


def _sales(session: Session, domain: list[Any]) -> list[SaleImage]:
    rows = session.read(SALE_MODEL, "search_read", domain, 0, None, [["id", "ASC"]], list(sale_steps.FIELDS))
    return [sale_steps.image(row) for row in rows]


class SaleWriter:
    """1. Read what the ERP holds under our reference; what is neither before nor after the plan is refused.
    2. Take the next step; what it changes, it changes only if nobody else has since we read.
    3. Read again and go on until the sale is as planned. A lost answer is looked up, never sent again blindly.
    """

    def __init__(self, session: Session, partners: PartnerLookup, plan: Plan, *, clock: Clock) -> None:
        self._session = session
        self._partners = partners
        self._plan = plan
        self._document = _wanted(plan)
        self._clock = clock
        self._taken: list[str] = []
        #: Id of the sale we created, once we know it.
        self._ours: int | None = None
        self._yields = 0

    def write(self) -> Receipt:
        for _ in range(MAX_STEPS):
            sales = self._look()
            if len(sales) > 1:
                self._yield(sales)
                continue
            sale = sales[0] if sales else None
            step = self._next(sale)
            if step is Step.DONE:
                return self._receipt(sale)
            self._unmoved(sale)
            if step is Step.STUCK:
                assert sale is not None
                raise self._rejected(f"it is {sale.state!r} now; correct it by hand in the ERP")
            self._take(step, sale)
        raise self._rejected(f"it changed under us again and again; done so far: {', '.join(self._taken)}")

    def _next(self, sale: SaleImage | None) -> Step:
        match self._plan.operation:
            case Operation.CANCEL:
                return sale_steps.next_undo(sale)
            case Operation.RESTORE:
                assert self._plan.before is not None
                return sale_steps.next_restore(sale, self._plan.before["until"])
            case _:
                return sale_steps.next_step(sale, content(self._document.lines))

    def _look(self) -> list[SaleImage]:
        try:
            return live_sales(self._session, self._plan.reference)
        except (SourceUnavailable, SourceError) as error:
            if any("lost" in step for step in self._taken):
                taken = ", ".join(self._taken)
                raise self._unknown(f"after {taken} it cannot be looked up ({error})") from error
            raise

    def _yield(self, sales: Sequence[SaleImage]) -> None:
        """Several sales, perhaps one of them ours that another writer raced: it goes unless it is the oldest.

        A busy ERP that cannot be asked just now is asked again: what we leave behind here only a person can clear up.
        """
        ours = next((sale for sale in sales if sale.id == self._ours and sale.state in UNCONFIRMED), None)
        self._yields += 1
        if ours is None or self._yields > MAX_YIELDS + 1:
            raise self._rejected(sale_words.twice(sales).message["en"])
        if ours is sales[0] and self._yields <= MAX_YIELDS:
            self._clock.sleep(YIELD_WAIT_SECONDS)
            return
        method = "delete" if ours.state == "draft" else "cancel"
        try:
            self._send("withdraw", method, [ours.id], context=_unchanged(ours))
        except SourceUnavailable:
            if self._yields > MAX_YIELDS:
                raise
            self._clock.sleep(YIELD_WAIT_SECONDS)

    def _unmoved(self, sale: SaleImage | None) -> None:
        """Compare-and-set on the plan's before-image: somebody else's change is never overwritten."""
        before = self._plan.before
        allowed = [content(self._document.lines)]
        if before is not None:
            allowed.append(content(sale_steps.lines_of(before)))
        if sale is None:
            expected = before is not None and self._plan.operation is not Operation.RESTORE
            moved = expected or bool(self._taken)
        else:
            moved = content(sale.lines) not in allowed or (before is not None and before["id"] != sale.id)
        if moved:
            now = f"now {sale.to_json()}" if sale else "it is gone or cancelled now"
            done = f"done so far: {', '.join(self._taken)}" if self._taken else "nothing was sent"
            raise self._rejected(f"it is not as planned: {now}; {done}; plan again")

    def _take(self, step: Step, sale: SaleImage | None) -> None:
        if step is Step.CREATE:
            values = self._values()
            created = self._send("create", "create", [values])
            self._ours = created[0] if created else None
            return
        if step is Step.REVIVE:
            self._revive()
            return
        assert sale is not None
        if step is Step.LINES:
            self._send("lines", "write", [sale.id], {"lines": self._lines(sale)}, context=_unchanged(sale))
        else:
            self._send(str(step), str(step), [sale.id], context=_unchanged(sale))

    def _revive(self) -> None:
        """Only the sale we cancelled, and only while it is as we left it."""
        assert self._plan.before is not None
        found = cancelled_sales(self._session, self._plan.reference)
        gone = next((sale for sale in found if sale.id == self._plan.before["id"]), None)
        if gone is None or content(gone.lines) != content(self._document.lines):
            raise self._rejected("the cancelled sale is not as we left it; correct it by hand in the ERP")
        self._send("revive", "draft", [gone.id], context=_unchanged(gone))

    def _send(self, name: str, method: str, *arguments: object, context: Mapping[str, object] | None = None) -> Any:
        """One writing call, sent once. None when the ERP refused it as stale or its answer was lost."""
        try:
            result = self._session.call(SALE_MODEL, method, *arguments, context=context)
        except Concurrent:
            # Nothing was done; what changed shows in the next reading.
            return None
        except AnswerLost as error:
            self._taken.append(f"{name} (answer lost)")
            self._after_lost_answer(method, error)
            return None
        self._taken.append(name)
        return result

    def _after_lost_answer(self, method: str, error: AnswerLost) -> None:
        """Only a creation must be seen before we go on: the other steps cannot happen twice."""
        if sum("lost" in step for step in self._taken) > MAX_LOST_ANSWERS:
            raise self._unknown(f"more than {MAX_LOST_ANSWERS} answers were lost ({error})") from error
        if method != "create":
            return
        for wait_seconds in LOST_ANSWER_WAITS_SECONDS:
            self._clock.sleep(wait_seconds)
            if self._look():
                return
        raise self._unknown(f"the answer to 'create' was lost ({error}) and no sale shows yet") from error

    def _values(self) -> dict[str, Any]:
        """A new sale. Lines carry the shop's own price; taxes are not added, the shop's price is what was paid."""
        partners = self._partners.for_new(self._document)
        if failed := [condition for condition in partners.preconditions if not condition.ok]:
            raise self._rejected("; ".join(condition.message["en"] for condition in failed))
        return _sale_values(self._document, partners)

    def _lines(self, sale: SaleImage) -> list[list[Any]]:
        changes = sale_steps.line_changes(sale.lines, self._document.lines)
        products, there = self._partners.products(line.sku for line in self._document.lines)
        if not there.ok:
            raise self._rejected(there.message["en"])
        commands: list[list[Any]] = [
            ["write", [line_id], {"quantity": float(line.quantity), "unit_price": line.unit_price}]
            for line_id, line in changes.written
        ]
        if changes.deleted:
            commands.append(["delete", list(changes.deleted)])
        if changes.created:
            commands.append(["create", [_line_values(line, products) for line in changes.created]])
        return commands

    def _receipt(self, sale: SaleImage | None) -> Receipt:
        state = ReceiptState.POSTED if self._taken else ReceiptState.UNCHANGED
        if self._plan.operation is Operation.CANCEL:
            state = ReceiptState.CANCELLED
        return receipt_of(self._plan, sale, state, self._taken)

    def _rejected(self, text: str) -> SourceRejected:
        return SourceRejected(f"system {self._session.system!r}, order {self._plan.reference!r}: {text}")

    def _unknown(self, text: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"system {self._session.system!r}, order {self._plan.reference!r}: {text}; use find before anything else"
        )


def _wanted(plan: Plan) -> OrderDocument:
    """The order a plan is about; what is to be taken back has the lines it was found with."""
    if isinstance(plan.document, OrderDocument):
        return plan.document
    lines = sale_steps.lines_of(plan.before) if plan.before is not None else ()
    return OrderDocument(reference=plan.reference, lines=lines)


def receipt_of(plan: Plan, sale: SaleImage | None, state: ReceiptState, taken: Sequence[str]) -> Receipt:
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


def _unchanged(sale: SaleImage) -> dict[str, object]:
    """The context that makes the ERP refuse, atomically, when the sale or a line was changed since we read it."""
    stamps = {f"{SALE_MODEL},{sale.id}": sale.timestamp}
    stamps |= {f"sale.line,{line.id}": line.timestamp for line in sale.lines}
    return {"_timestamp": stamps}


def _sale_values(document: OrderDocument, partners: Partners) -> dict[str, Any]:
    values: dict[str, Any] = {
        "party": partners.party,
        "invoice_address": partners.address,
        "shipment_address": partners.address,
        "reference": document.reference,
        "description": DESCRIPTION,
        "lines": [["create", [_line_values(line, partners.products) for line in document.lines]]],
    }
    if partners.warehouse is not None:
        values["warehouse"] = partners.warehouse
    if partners.sale_date is not None:
        values["sale_date"] = partners.sale_date
    return values


def _line_values(line: Line, products: Mapping[str, Product]) -> dict[str, Any]:
    product = products[line.sku]
    return {
        "type": "line",
        "product": product.id,
        "unit": product.unit,
        # The ERP stores quantities as floats, rounded to the unit; the shortest text of one is the decimal again.
        "quantity": float(line.quantity),
        "unit_price": line.unit_price,
    }
