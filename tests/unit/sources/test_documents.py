"""Documents, plans and receipts go through the journal and come back the same."""

import json
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.sources import documents
from tillwatch.sources.documents import (
    Line,
    Operation,
    OrderDocument,
    OrderReversal,
    Plan,
    Precondition,
    Receipt,
    ReceiptState,
    StockCount,
)

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
SHANGHAI = timezone(timedelta(hours=8))
ORDERS = st.builds(
    OrderDocument,
    reference=st.text(),
    lines=st.lists(st.builds(Line, sku=st.text(), quantity=DECIMALS, unit_price=DECIMALS), max_size=4).map(tuple),
    ordered_at=st.none() | st.datetimes(timezones=st.sampled_from([UTC, SHANGHAI])),
    location=st.text(),
)
COUNTS = st.builds(
    StockCount, location=st.text(), sku=st.text(), quantity=DECIMALS, expected=DECIMALS, reference=st.text()
)


@given(st.one_of(ORDERS, COUNTS, st.builds(OrderReversal, reference=st.text())))
def test_a_document_survives_json(document: documents.Document) -> None:
    kept = json.loads(json.dumps(documents.document_to_json(document)))
    assert documents.document_from_json(kept) == document


@given(ORDERS, st.sampled_from(Operation), st.sampled_from(ReceiptState))
def test_plans_and_receipts_survive_json(document: OrderDocument, operation: Operation, state: ReceiptState) -> None:
    plan = Plan(
        system="erp",
        document=document,
        operation=operation,
        reference=document.reference,
        before={"id": 7, "lines": []},
        steps=({"en": "create", "zh": "新建"},),
        preconditions=(Precondition(name="unique", ok=False, message={"en": "two", "zh": "两张"}),),
    )
    assert documents.plan_from_json(json.loads(json.dumps(documents.plan_to_json(plan)))) == plan
    receipt = Receipt(
        system="erp",
        reference=document.reference,
        state=state,
        operation=operation,
        document=document,
        document_id="7",
        before=plan.before,
        after=None,
        evidence={"steps": ["create"]},
    )
    assert documents.receipt_from_json(json.loads(json.dumps(documents.receipt_to_json(receipt)))) == receipt


def test_a_plan_is_possible_only_when_every_condition_holds() -> None:
    def plan(*oks: bool) -> Plan:
        return Plan(
            system="erp",
            document=OrderDocument(reference="1", lines=()),
            operation=Operation.CREATE,
            reference="1",
            before=None,
            preconditions=tuple(Precondition(name="n", ok=ok, message={}) for ok in oks),
        )

    assert plan().possible
    assert plan(True, True).possible
    assert not plan(True, False).possible


def test_a_kind_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown document kind 'invoice'; known: order, order_reversal, stock_count"):
        documents.document_from_json({"kind": "invoice"})
