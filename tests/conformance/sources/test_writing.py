"""What a source that writes owes the books: each document once, whatever gets lost, and nobody's change overwritten."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from tests.conformance.sources.conftest import erp_options, erp_source
from tests.conformance.sources.test_reading import rows_of
from tests.support.fault_proxy import FaultProxy

from tillwatch.audit.sentences import chinese
from tillwatch.clock import ManualClock
from tillwatch.errors import OutcomeUnknown, RefusedError, SourceRejected, SourceUnavailable, TillwatchError
from tillwatch.lab.erp import Erp
from tillwatch.sources.base import Line, MemoryBreaker, Operation, OrderDocument, ReceiptState, StockCount
from tillwatch.sources.documents import plan_from_json, plan_to_json, receipt_from_json, receipt_to_json
from tillwatch.sources.tryton import TrytonSource

_NUMBERS = count(1)
APPLE, OIL, RICE = "001234", "001661", "002606"
CREATE, CONFIRM = "model.sale.sale.create", "model.sale.sale.confirm"


def order(*lines: tuple[str, str, str], reference: str = "") -> OrderDocument:
    return OrderDocument(
        reference=reference or f"ZC-{next(_NUMBERS):04d}",
        ordered_at=datetime(2026, 11, 23, 17, 30, tzinfo=UTC),
        location="LOC-CHAOYANG",
        lines=tuple(
            Line(sku=sku, quantity=Decimal(quantity), unit_price=Decimal(price)) for sku, quantity, price in lines
        ),
    )


def a_basket() -> OrderDocument:
    return order((APPLE, "1.172", "33.09"), (OIL, "2", "10.45"))


@pytest.fixture(scope="module")
def source(own_erp: Erp) -> Iterator[TrytonSource]:
    source = erp_source(own_erp)
    yield source
    source.close()


@pytest.fixture
def proxied(
    own_erp: Erp, fault_proxy: Callable[[str], FaultProxy], clock: ManualClock
) -> Iterator[tuple[TrytonSource, FaultProxy]]:
    """A source behind a proxy that can lose things; waiting costs no time."""
    proxy = fault_proxy(own_erp.url)
    options = erp_options(own_erp, url=proxy.url)
    source = TrytonSource("erp", options, clock=clock, breaker=MemoryBreaker(), zone=ZoneInfo("Asia/Shanghai"))
    yield source, proxy
    source.close()


def sales(own_erp: Erp, reference: str) -> list[dict[str, object]]:
    """What really stands in the ERP, asked by a client that is not ours to test."""
    rpc = own_erp.rpc()
    found = rpc.search_read("sale.sale", [["reference", "=", reference]], ["state", "sale_date", "total_amount"])
    rpc.close()
    return [{name: value for name, value in row.items() if name != "id"} for row in found]


def live(own_erp: Erp, reference: str) -> int:
    return sum(row["state"] != "cancelled" for row in sales(own_erp, reference))


def test_an_order_is_posted_confirmed_and_read_back_exactly(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    plan = source.plan(document)
    assert (plan.operation, plan.possible, plan.before) == (Operation.CREATE, True, None)
    assert sales(own_erp, document.reference) == []
    receipt = source.write(plan)
    assert (receipt.state, receipt.operation) == (ReceiptState.POSTED, Operation.CREATE)
    (row,) = rows_of(source, "orders", keys=[{"order_ref": document.reference}])[0]
    assert (row["amount"], row["quantity"], row["state"], row["documents"]) == (
        Decimal("59.68"),
        Decimal("3.172"),
        "confirmed",
        1,
    )
    # 17:30 UTC is the next day in the shop.
    assert str(sales(own_erp, document.reference)[0]["sale_date"]) == "2026-11-24"


def test_writing_twice_or_planning_again_makes_one_document(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    plan = source.plan(document)
    assert source.find(document) is None
    source.write(plan)
    assert source.write(plan).state is ReceiptState.UNCHANGED
    again = source.plan(document)
    assert again.operation is Operation.NONE
    assert source.write(again).state is ReceiptState.UNCHANGED
    found = source.find(document)
    assert found is not None
    assert found.state is ReceiptState.UNCHANGED
    assert live(own_erp, document.reference) == 1


def test_plans_and_receipts_survive_the_journal(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    plan = source.plan(document)
    kept = plan_from_json(json.loads(json.dumps(plan_to_json(plan))))
    assert kept == plan
    receipt = source.write(kept)
    assert receipt_from_json(json.loads(json.dumps(receipt_to_json(receipt)))) == receipt
    assert live(own_erp, document.reference) == 1


@pytest.mark.parametrize("step", ["create", "quote", "confirm"])
def test_an_answer_lost_after_commit_is_found_not_sent_again(
    proxied: tuple[TrytonSource, FaultProxy], own_erp: Erp, step: str
) -> None:
    source, proxy = proxied
    document = a_basket()
    plan = source.plan(document)
    proxy.lose_answer(f"model.sale.sale.{step}")
    receipt = source.write(plan)
    assert receipt.state is ReceiptState.POSTED
    assert f"{step} (answer lost)" in receipt.evidence["steps"]
    assert proxy.seen[f"model.sale.sale.{step}"] == 1
    assert [row["state"] for row in sales(own_erp, document.reference)] == ["confirmed"]


def test_a_creation_that_cannot_be_found_is_unknown_and_not_repeated(
    proxied: tuple[TrytonSource, FaultProxy], own_erp: Erp
) -> None:
    source, proxy = proxied
    document = a_basket()
    plan = source.plan(document)
    proxy.lose_request(CREATE)
    with pytest.raises(OutcomeUnknown, match="use find before anything else"):
        source.write(plan)
    assert proxy.seen[CREATE] == 1
    assert source.find(document) is None
    assert sales(own_erp, document.reference) == []


def test_a_link_that_dies_right_after_the_creation_is_unknown(
    proxied: tuple[TrytonSource, FaultProxy], own_erp: Erp
) -> None:
    source, proxy = proxied
    document = a_basket()
    plan = source.plan(document)
    proxy.lose_answer(CREATE)
    # The search before it went through; everything after the creation is lost until the link is back.
    original = proxy.passes
    proxy.passes = lambda method: (original(method) and not proxy.seen[CREATE]) or method == CREATE  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown):
        source.write(plan)
    proxy.passes = original  # type: ignore[method-assign]
    assert source.find(document) is None, "a draft is not yet the document"
    again = source.plan(document)
    assert again.operation is Operation.FINISH
    assert source.write(again).state is ReceiptState.POSTED
    assert live(own_erp, document.reference) == 1


def test_a_confirmation_that_never_arrives_is_sent_again_because_it_cannot_happen_twice(
    proxied: tuple[TrytonSource, FaultProxy], own_erp: Erp
) -> None:
    source, proxy = proxied
    document = a_basket()
    plan = source.plan(document)
    proxy.lose_request(CONFIRM)
    assert source.write(plan).state is ReceiptState.POSTED
    assert proxy.seen[CONFIRM] == 2
    assert live(own_erp, document.reference) == 1


def test_a_link_that_loses_everything_ends_as_unknown(proxied: tuple[TrytonSource, FaultProxy]) -> None:
    source, proxy = proxied
    plan = source.plan(a_basket())
    proxy.lose_request(CONFIRM, times=20)
    with pytest.raises(OutcomeUnknown, match="answers were lost"):
        source.write(plan)
    assert 1 < proxy.seen[CONFIRM] <= 4


def test_writers_that_race_never_leave_two_documents(own_erp: Erp) -> None:
    document = a_basket()
    sources = [erp_source(own_erp) for _ in range(4)]
    plans = [source.plan(document) for source in sources]
    gate = threading.Barrier(len(sources))
    refused: list[TillwatchError] = []

    def write(index: int) -> None:
        gate.wait(30)
        try:
            sources[index].write(plans[index])
        except (SourceRejected, SourceUnavailable) as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    states = [row["state"] for row in sales(own_erp, document.reference)]
    assert states.count("confirmed") <= 1
    sources[0].write(sources[0].plan(document))
    assert [row["state"] for row in sales(own_erp, document.reference) if row["state"] != "cancelled"] == ["confirmed"]
    for source in sources:
        source.close()


def test_a_wrong_quantity_is_corrected_and_can_be_put_back(source: TrytonSource, own_erp: Erp) -> None:
    wrong = order((APPLE, "1.5", "33.09"), (OIL, "2", "10.45"))
    source.write(source.plan(wrong))
    right = order((APPLE, "1.172", "33.09"), (RICE, "1", "7.5"), reference=wrong.reference)
    plan = source.plan(right)
    assert plan.operation is Operation.CORRECT
    assert any("1.5" in step["en"] and "1.172" in step["en"] for step in plan.steps)
    assert all(step["zh"] for step in plan.steps)
    receipt = source.write(plan)
    assert source.find(right) is not None
    assert receipt.before is not None
    undo = source.revert(receipt)
    assert undo.possible
    source.write(undo)
    assert source.find(wrong) is not None
    assert live(own_erp, wrong.reference) == 1


def test_an_undone_posting_is_cancelled_not_deleted(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    receipt = source.write(source.plan(document))
    undo = source.revert(receipt)
    assert undo.operation is Operation.CANCEL
    assert source.write(undo).state is ReceiptState.CANCELLED
    assert source.write(undo).state is ReceiptState.CANCELLED
    assert [row["state"] for row in sales(own_erp, document.reference)] == ["cancelled"]
    assert source.plan(document).operation is Operation.CREATE


def test_somebody_elses_change_between_plan_and_write_is_not_overwritten(source: TrytonSource) -> None:
    document = a_basket()
    source.write(source.plan(document))
    plan = source.plan(order((APPLE, "9", "33.09"), reference=document.reference))
    theirs = order((OIL, "5", "1"), reference=document.reference)
    source.write(source.plan(theirs))
    with pytest.raises(SourceRejected, match=r"not as planned.*plan again"):
        source.write(plan)
    assert source.find(theirs) is not None


def test_an_undo_does_not_take_back_somebody_elses_change(source: TrytonSource) -> None:
    document = a_basket()
    receipt = source.write(source.plan(document))
    theirs = order((OIL, "5", "1"), reference=document.reference)
    source.write(source.plan(theirs))
    undo = source.revert(receipt)
    assert not undo.possible
    with pytest.raises(SourceRejected, match=r"changed after us.*nothing was sent"):
        source.write(undo)
    assert source.find(theirs) is not None


@pytest.mark.parametrize("between", ["before the undo is planned", "between plan and write"])
def test_an_undo_of_an_order_that_is_being_delivered_is_refused_with_the_reason(
    source: TrytonSource, own_erp: Erp, between: str
) -> None:
    document = a_basket()
    receipt = source.write(source.plan(document))
    undo = source.revert(receipt)
    rpc = own_erp.rpc()
    sale = [int(receipt.document_id)]
    rpc.call("sale.sale", "draft", sale)
    # The lab keeps no accounts, so nothing is invoiced; the goods are on their way.
    rpc.call("sale.sale", "write", sale, {"invoice_method": "manual"})
    for step in ("quote", "confirm", "process"):
        rpc.call("sale.sale", step, sale)
    rpc.close()
    if between == "before the undo is planned":
        undo = source.revert(receipt)
        (reason,) = [one.message for one in undo.preconditions if not one.ok]
        assert not undo.possible
        assert "being delivered or invoiced already, so correct it by hand with a return" in reason["en"]
        assert chinese(reason["en"]) == reason["zh"]
    with pytest.raises(SourceRejected):
        source.write(undo)
    assert [row["state"] for row in sales(own_erp, document.reference)] == ["processing"]


def test_two_sales_with_one_reference_are_a_persons_decision(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    receipt = source.write(source.plan(document))
    rpc = own_erp.rpc()
    (copy,) = rpc.call("sale.sale", "copy", [int(receipt.document_id)], {})
    rpc.call("sale.sale", "write", [copy], {"reference": document.reference})
    rpc.close()
    plan = source.plan(document)
    assert not plan.possible
    with pytest.raises(SourceRejected, match="2 sales carry the reference"):
        source.write(plan)
    assert source.find(document) is None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (order(("no-such", "1", "1")), "no-such"),
        (order(), "no line"),
        (
            OrderDocument(
                reference="ZC-place",
                location="NOWHERE",
                lines=(Line(sku=APPLE, quantity=Decimal(1), unit_price=Decimal(1)),),
            ),
            "NOWHERE",
        ),
    ],
)
def test_what_cannot_be_posted_is_refused_before_anything_is_sent(
    source: TrytonSource, own_erp: Erp, document: OrderDocument, words: str
) -> None:
    plan = source.plan(document)
    failed = [condition for condition in plan.preconditions if not condition.ok]
    assert failed
    assert all(set(condition.message) == {"en", "zh"} for condition in failed)
    with pytest.raises(SourceRejected, match=f"{words}.*nothing was sent"):
        source.write(plan)
    assert sales(own_erp, document.reference) == []


def test_without_a_customer_no_order_can_be_posted(own_erp: Erp) -> None:
    source = erp_source(own_erp, customer="")
    plan = source.plan(a_basket())
    assert [condition.name for condition in plan.preconditions if not condition.ok] == ["customer"]
    source.close()


def test_a_source_not_told_to_write_plans_but_never_sends(own_erp: Erp) -> None:
    source = erp_source(own_erp, writes="disabled")
    document = a_basket()
    plan = source.plan(document)
    with pytest.raises(RefusedError, match="writes: enabled"):
        source.write(plan)
    assert not source.capabilities.write_orders
    assert sales(own_erp, document.reference) == []
    source.close()


def test_a_plan_for_another_system_is_refused(source: TrytonSource, own_erp: Erp) -> None:
    document = a_basket()
    journaled = plan_to_json(source.plan(document)) | {"system": "other"}
    with pytest.raises(RefusedError, match="not for 'erp'"):
        source.write(plan_from_json(journaled))
    assert sales(own_erp, document.reference) == []


def stock_of(source: TrytonSource, sku: str) -> Decimal:
    (row,) = rows_of(source, "stock", ["quantity"], keys=[{"sku": sku}])[0]
    quantity = row["quantity"]
    assert isinstance(quantity, Decimal)
    return quantity


def count_of(source: TrytonSource, sku: str, difference: str) -> StockCount:
    now = stock_of(source, sku)
    return StockCount(
        location="LOC-CHAOYANG",
        sku=sku,
        expected=now,
        quantity=now + Decimal(difference),
        reference=f"ZC-COUNT-{next(_NUMBERS)}",
    )


@pytest.mark.parametrize("difference", ["-1.25", "3.001"])
def test_a_stock_count_books_its_difference_once_and_back(source: TrytonSource, difference: str) -> None:
    document = count_of(source, APPLE, difference)
    plan = source.plan(document)
    receipt = source.write(plan)
    assert receipt.state is ReceiptState.POSTED
    assert source.write(plan).state is ReceiptState.UNCHANGED
    assert stock_of(source, APPLE) == document.quantity
    assert source.find(document) is not None
    source.write(source.revert(receipt))
    assert stock_of(source, APPLE) == document.expected


def test_a_count_keeps_what_sold_between_plan_and_write(source: TrytonSource) -> None:
    document = count_of(source, APPLE, "-2")
    plan = source.plan(document)
    sold = count_of(source, APPLE, "-0.5")
    source.write(source.plan(sold))
    source.write(plan)
    assert stock_of(source, APPLE) == document.quantity - Decimal("0.5")


@pytest.mark.parametrize("step", ["create", "wait", "assign_try", "do"])
def test_a_counts_lost_answer_books_nothing_twice(proxied: tuple[TrytonSource, FaultProxy], step: str) -> None:
    source, proxy = proxied
    document = count_of(source, APPLE, "-0.25")
    plan = source.plan(document)
    proxy.lose_answer(f"model.stock.shipment.internal.{step}")
    assert source.write(plan).state is ReceiptState.POSTED
    assert stock_of(source, APPLE) == document.quantity


def test_a_count_below_what_is_free_is_refused_with_the_reason(source: TrytonSource) -> None:
    document = count_of(source, APPLE, "-100000")
    with pytest.raises(SourceRejected, match="less than"):
        source.write(source.plan(document))
    assert stock_of(source, APPLE) == document.expected


def test_a_count_without_a_reference_or_of_an_unknown_product_is_refused(source: TrytonSource) -> None:
    for document in (
        StockCount(location="LOC-CHAOYANG", sku=APPLE, expected=Decimal(1), quantity=Decimal(2)),
        StockCount(location="LOC-CHAOYANG", sku="none", expected=Decimal(1), quantity=Decimal(2), reference="ZC-C1"),
        StockCount(location="NOWHERE", sku=APPLE, expected=Decimal(1), quantity=Decimal(2), reference="ZC-C2"),
    ):
        plan = source.plan(document)
        assert not plan.possible
        with pytest.raises(SourceRejected, match="nothing was sent"):
            source.write(plan)
