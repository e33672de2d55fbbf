"""Orders into Tryton as sales: plans, look-ups and undo plans. All of it reads; `sale_writer` writes."""

from collections.abc import Sequence

from tillwatch.clock import Clock
from tillwatch.sources.documents import (
    Operation,
    OrderDocument,
    OrderReversal,
    Plan,
    Precondition,
    Receipt,
    ReceiptState,
)
from tillwatch.sources.tryton import sale_steps, sale_words
from tillwatch.sources.tryton.partners import PartnerLookup
from tillwatch.sources.tryton.sale_steps import SaleImage, Step, content
from tillwatch.sources.tryton.sale_writer import SaleWriter, cancelled_sales, live_sales, receipt_of
from tillwatch.sources.tryton.session import Session


class Sales:
    """Plans, writes, finds and reverts orders."""

    def __init__(self, session: Session, partners: PartnerLookup, *, clock: Clock) -> None:
        self._session = session
        self._partners = partners
        self._clock = clock

    def plan(self, document: OrderDocument | OrderReversal) -> Plan:
        sales = self._live(document.reference)
        if isinstance(document, OrderReversal):
            return self._reversal(document, sales)
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

    def _reversal(self, document: OrderReversal, sales: Sequence[SaleImage]) -> Plan:
        """A sale is taken back by cancelling it; one that is delivered or invoiced already is a person's to return."""
        sale = sales[0] if sales else None
        conditions: list[Precondition] = [sale_words.twice(sales)] if len(sales) > 1 else []
        if sale is not None:
            conditions.append(sale_words.changeable(sale))
        return Plan(
            system=self._session.system,
            document=document,
            operation=Operation.CANCEL if sale else Operation.NONE,
            reference=document.reference,
            before=sale.to_json() if sale else None,
            steps=sale_words.reversal(sale),
            preconditions=tuple(conditions),
        )

    def find(self, document: OrderDocument | OrderReversal) -> Receipt | None:
        sales = self._live(document.reference)
        if isinstance(document, OrderReversal):
            gone = None if sales else self._cancelled(document.reference)
            return None if gone is None else receipt_of(self._reversal(document, ()), gone, ReceiptState.CANCELLED, [])
        if len(sales) != 1 or sale_steps.next_step(sales[0], content(document.lines)) is not Step.DONE:
            return None
        plan = self._plan(document, Operation.NONE, sales[0], ())
        return receipt_of(plan, sales[0], ReceiptState.UNCHANGED, [])

    def revert(self, receipt: Receipt) -> Plan:
        """Back to the before-image: cancel what we created, restore what we corrected, nothing when we sent nothing."""
        document = receipt.document
        if isinstance(document, OrderReversal):
            return self._restore(receipt)
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

    def _restore(self, receipt: Receipt) -> Plan:
        """The sale we cancelled stands again, in the state it had; its lines were never touched."""
        gone = self._cancelled(receipt.reference, receipt.document_id)
        lines = () if gone is None else sale_steps.lines_of(gone.to_json())
        state = receipt.before["state"] if receipt.before else "confirmed"
        return Plan(
            system=self._session.system,
            document=OrderDocument(reference=receipt.reference, lines=lines),
            operation=Operation.RESTORE,
            reference=receipt.reference,
            before=None if gone is None else {**gone.to_json(), "until": state},
            steps=sale_words.restoring(gone),
            preconditions=(sale_words.still_cancelled(gone, self._live(receipt.reference)),),
        )

    def _cancelled(self, reference: str, document_id: str = "") -> SaleImage | None:
        """The latest cancelled sale with this reference, or the one with this id."""
        found = cancelled_sales(self._session, reference)
        wanted = [sale for sale in found if document_id in {"", str(sale.id)}]
        return wanted[-1] if wanted else None

    def write(self, plan: Plan) -> Receipt:
        """See `SaleWriter`."""
        return SaleWriter(self._session, self._partners, plan, clock=self._clock).write()

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
        return live_sales(self._session, reference)
