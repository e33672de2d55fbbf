"""Sides that are filtered or put together before they are compared, at first sight and in every look after it."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audits import ZONE, FakeSource, audited, stock_audit

from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.audit.tiers import Impossible
from tillwatch.clock import ManualClock
from tillwatch.config.checks import Condition
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.errors import UsageError
from tillwatch.model.audit import AuditReport, DifferenceKind, Row, Verdict

FIELDS = {"amount": Field(type="decimal", scale=2), "lines": Field(type="integer")}


def line(order: str, amount: str | None, **more: Any) -> Row:
    return {"order": order, "amount": None if amount is None else Decimal(amount), "state": "posted", **more}


def document(order: str, amount: str | None, lines: int) -> Row:
    return {"order": order, "amount": None if amount is None else Decimal(amount), "lines": lines}


def tills(**changes: Any) -> Audit:
    """The lines of the tills against one document an order in the ERP."""
    values: dict[str, Any] = {
        "key": ("order",),
        "fields": FIELDS,
        "left": Side(system="till", dataset="lines", aggregate={"amount": "sum", "lines": "count"}),
        "right": Side(system="erp", dataset="documents"),
    }
    return stock_audit(**(values | changes))


def compared(lines: list[Row], documents: list[Row], spec: Audit | None = None) -> AuditReport:
    left, right = FakeSource("till", {"lines": lines}), FakeSource("erp", {"documents": documents})
    return audited(left, right, spec or tills())


def test_the_sum_of_many_rows_is_compared_with_one_document() -> None:
    lines = [line("A", "1.005"), line("B", "5"), line("A", "2.004"), line("C", "1")]
    report = compared(lines, [document("A", "3.01", 2), document("B", "5", 2), document("D", "9", 1)])
    assert [(row.kind, row.key["order"], row.fields) for row in report.differences] == [
        (DifferenceKind.CHANGED, "B", ("lines",)),
        (DifferenceKind.MISSING, "C", ()),
        (DifferenceKind.EXTRA, "D", ()),
    ]
    assert report.differences[0].left == {"amount": "5.00", "lines": "1"}
    assert (report.left.rows, report.right.rows) == (3, 3)


def test_sums_are_exact_and_rounded_once() -> None:
    lines = [line("A", "0.004")] * 10
    assert compared(lines, [document("A", "0.04", 10)]).verdict is Verdict.CLEAN


def test_null_is_no_value_and_a_group_without_any_has_none() -> None:
    assert compared([line("A", None), line("A", "2")], [document("A", "2", 2)]).verdict is Verdict.CLEAN
    assert compared([line("A", None)], [document("A", None, 1)]).verdict is Verdict.CLEAN
    assert compared([line("A", None)], [document("A", "0", 1)]).verdict is Verdict.DRIFT


def test_a_value_that_cannot_be_read_spoils_its_group_and_is_shown() -> None:
    report = compared([{"order": "A", "amount": "3 kg"}, line("A", "2")], [document("A", "5", 2)])
    assert report.verdict is Verdict.DRIFT
    assert report.differences[0].left == {"amount": "3 kg", "lines": "2"}


@pytest.mark.parametrize(("function", "expected"), [("min", "-10.00"), ("max", "9.00"), ("sum", "1.00")])
def test_numbers_are_ordered_as_numbers(function: Any, expected: str) -> None:
    side = Side(system="till", dataset="lines", aggregate={"amount": function, "lines": "count"})
    lines = [line("A", "9"), line("A", "-10"), line("A", "2")]
    report = compared(lines, [document("A", "77", 3)], tills(left=side))
    assert report.differences[0].left == {"amount": expected, "lines": "3"}


def test_both_sides_can_be_put_together() -> None:
    side = {"amount": "sum", "lines": "sum"}
    spec = tills(
        left=Side(system="till", dataset="lines", aggregate=side),
        right=Side(system="erp", dataset="documents", aggregate=side),
    )
    left = [document("A", "1", 1), document("A", "2", 1)]
    right = [document("A", "4", 3), document("A", "-1", -1)]
    assert compared(left, right, spec).verdict is Verdict.CLEAN


def scoped(*where: Condition, lines: list[Row]) -> list[str]:
    """The orders in scope."""
    side = Side(system="till", dataset="lines", where=where)
    report = compared(lines, [], tills(left=side, fields={"amount": FIELDS["amount"]}))
    return [row.key["order"] for row in report.differences]


LINES = [
    line("A", "10", state="posted", day="2026-11-23"),
    line("B", "9", state=" draft", day="2026-11-24"),
    line("C", "-1", state=None, day="2026-11-25"),
    line("D", None, state="posted'; DROP TABLE x", day="2026-11-26"),
]


@pytest.mark.parametrize(
    ("condition", "orders"),
    [
        ({"field": "state", "any_of": ("posted", "draft")}, "AB"),
        ({"field": "state", "none_of": ("draft",)}, "ACD"),
        ({"field": "state", "any_of": ("posted'; DROP TABLE x",)}, "D"),
        ({"field": "state", "null": True}, "C"),
        ({"field": "state", "null": False}, "ABD"),
        ({"field": "amount", "type": "decimal", "at_least": "9"}, "AB"),
        ({"field": "amount", "type": "decimal", "below": "10.0"}, "BC"),
        ({"field": "amount", "type": "decimal", "any_of": ("10.00",)}, "A"),
        ({"field": "day", "type": "date", "at_least": "2026-11-24", "below": "2026-11-26"}, "BC"),
    ],
)
def test_conditions_are_typed(condition: dict[str, Any], orders: str) -> None:
    assert scoped(Condition(**condition), lines=LINES) == list(orders)


def test_all_conditions_must_hold() -> None:
    posted, large = Condition(field="state", any_of=("posted",)), Condition(field="amount", type="decimal", below="5")
    assert scoped(posted, large, lines=LINES) == []


def test_a_row_of_which_the_scope_cannot_be_told_is_never_clean() -> None:
    side = Side(system="till", dataset="lines", where=(Condition(field="state", type="integer", at_least="1"),))
    report = compared([line("A", "1")], [], tills(left=side, fields={"amount": FIELDS["amount"]}))
    assert (report.verdict, report.differences) == (Verdict.INCONCLUSIVE, ())
    assert report.reason == "1 values cannot be read as their declared type"
    assert report.evidence["unreadable_left"] == {"count": 1, "examples": ["A: where: 'posted' is not a integer"]}


@pytest.mark.parametrize("keys", [True, False])
def test_rows_are_filtered_and_put_together_again_in_every_later_look(keys: bool) -> None:
    """Only the second line of A was on its way; a draft of B never counts."""
    side = Side(
        system="till",
        dataset="lines",
        where=(Condition(field="state", any_of=("posted",)),),
        aggregate={"amount": "sum", "lines": "count"},
    )
    lines = [line("A", "1"), line("A", "2"), line("B", "5"), line("B", "7", state="draft")]
    left, right = FakeSource("till", {"lines": lines}, keys=keys), FakeSource("erp", {"documents": []}, keys=keys)

    def arrive(number: int) -> None:
        right.datasets["documents"] = [document("A", "3" if number > 1 else "1", 2), document("B", "6", 1)]

    right.before = arrive
    report = audited(left, right, tills(left=side, settle=timedelta(seconds=30)))
    assert [(row.key["order"], row.fields) for row in report.differences] == [("B", ("amount",))]
    assert report.differences[0].left == {"amount": "5.00", "lines": "1"}
    assert report.evidence["cleared"] == 1
    assert (left.asked[1][1] is None) is not keys


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.decimals(-99, 99, places=3)), max_size=40))
def test_sums_and_counts_are_those_of_plain_arithmetic(rows: list[tuple[str, Decimal]]) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    counts: dict[str, int] = defaultdict(int)
    for order, amount in rows:
        sums[order] += amount
        counts[order] += 1
    documents = [document(order, str(sums[order]), counts[order]) for order in sums]
    assert compared([line(order, str(amount)) for order, amount in rows], documents).verdict is Verdict.CLEAN


SUM: dict[str, Any] = {"amount": "sum", "lines": "count"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"left": Side(system="till", dataset="lines", aggregate={"amount": "sum"})}, "say how lines of several rows"),
        (
            {"left": Side(system="till", dataset="lines", aggregate={**SUM, "tax": "sum"})},
            "left.aggregate: tax is neither compared nor priced; remove it",
        ),
        (
            {"left": Side(system="till", dataset="lines", aggregate={**SUM, "order": "min"})},
            "left.aggregate: order is the key that rows are put together by",
        ),
        (
            {
                "fields": {"amount": Field(type="text"), "lines": Field(type="integer")},
                "left": Side(system="till", dataset="lines", aggregate=SUM),
            },
            "left.aggregate: amount is a text, which has no sum",
        ),
        (
            {"left": Side(system="till", dataset="l", where=(Condition(field="d", type="date", below="soon"),))},
            "left.where: d: 'soon' is not a date",
        ),
        ({"strategy": "digest"}, "strategy: digest compares rows as they are"),
        ({"changed_by": "amount"}, "rows put together have no change column"),
        ({"repair": {}}, "repair: needs single rows"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    spec = tills()
    for name, value in changes.items():
        spec = spec.model_copy(update={name: value})
    with pytest.raises(UsageError, match=f"audit 'stock': .*{words}"):
        declare(spec, ZONE)


def test_another_strategy_asked_for_is_refused_and_streaming_says_why() -> None:
    report = compared([], [])
    assert (report.strategy, report.strategy_reason) == (
        "stream",
        "a side is filtered or put together before it is compared",
    )
    clock = ManualClock()
    sides = {"till": FakeSource("till", {"lines": []}), "erp": FakeSource("erp", {"documents": []})}
    with pytest.raises(Impossible, match="strategy 'delta' cannot prove this audit"):
        examine(
            Order(
                declared=declare(tills(), ZONE),
                open=sides.__getitem__,  # type: ignore[arg-type]
                run=1,
                started_at=clock.now(),
                clock=clock,
                strategy="delta",
            )
        )
