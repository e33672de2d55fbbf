"""Orders into Tryton as sales: plans, look-ups and undo plans. All of it reads; `sale_writer` writes."""

from collections.abc import Sequence

from tillwatch.clock import Clock
from tillwatch.sources.documents import Operation, OrderDocument, Plan, Precondition, Receipt, ReceiptState
from tillwatch.sources.tryton import sale_steps, sale_words
from tillwatch.sources.tryton.partners import PartnerLookup
from tillwatch.sources.tryton.sale_steps import SaleImage, Step, content
from tillwatch.sources.tryton.sale_writer import SaleWriter, live_sales, receipt_of
from tillwatch.sources.tryton.session import Session


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
        return receipt_of(plan, sales[0], ReceiptState.UNCHANGED, [])

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
