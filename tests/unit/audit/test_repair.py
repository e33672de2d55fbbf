"""From drift to documents: each sent once, whatever happens in between, and believed only when read again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.support.audits import Killed
from tests.support.repairs import LINES, lines_of, orders_audit, repair_node
from tests.support.repairs import OrdersBench as Bench

from tillwatch.clock import ManualClock
from tillwatch.config.schema import Field
from tillwatch.errors import (
    AuthRefused,
    Cause,
    ConfigError,
    OutcomeUnknown,
    RefusedError,
    SourceRejected,
    SourceUnavailable,
    UsageError,
)
from tillwatch.model.repair import RepairAction, RepairStatus
from tillwatch.store import leases
from tillwatch.store.db import Database


@pytest.fixture
def bench(orders_bench: Bench) -> Bench:
    return orders_bench


def test_a_plan_has_a_document_for_each_difference(bench: Bench) -> None:
    plan = bench.repairs.get(bench.plan())
    assert (plan.audit, plan.system, plan.created_by) == ("orders", "erp", "ann")
    assert [(item.key, item.action, item.status) for item in plan.items] == [
        ({"order_ref": "CY-2"}, RepairAction.CREATE, RepairStatus.PENDING),
        ({"order_ref": "CY-3"}, RepairAction.CORRECT, RepairStatus.PENDING),
    ]
    assert plan.items[0].document == {
        "kind": "order",
        "reference": "CY-2",
        "location": "",
        "ordered_at": None,
        "lines": [
            {"sku": "001", "quantity": "1", "unit_price": "3.5"},
            {"sku": "002", "quantity": "0.5", "unit_price": "10"},
        ],
    }
    assert bench.erp.sent == []


def test_planning_a_run_twice_gives_the_same_plan(bench: Bench) -> None:
    run = bench.runner.run("orders").run
    first = bench.repairs.plan_repair(run)
    bench.till.datasets["lines"] = []
    assert bench.another().plan_repair(run) == first


def test_applying_makes_the_next_audit_clean(bench: Bench) -> None:
    plan = bench.plan()
    result = bench.apply(plan)
    assert result.complete
    assert [item.reason for item in result.ok] == [
        "posted as S-CY-2; both sides agree",
        "posted as S-CY-3; both sides agree",
    ]
    assert bench.erp.sent == ["CY-2", "CY-3"]
    assert bench.journal(plan) == [(1, "done"), (2, "done")]
    assert bench.runner.run("orders").verdict.value == "clean"


def test_applying_twice_posts_nothing_twice(bench: Bench) -> None:
    plan = bench.plan()
    first = bench.apply(plan)
    assert bench.apply(plan) == first
    assert bench.erp.sent == ["CY-2", "CY-3"]


def test_a_new_plan_for_what_is_repaired_meanwhile_posts_nothing(bench: Bench) -> None:
    first, second = bench.plan(), bench.plan()
    assert first != second
    bench.apply(first)
    result = bench.apply(second)
    assert [(item.status, item.reason) for item in result.skipped] == [
        (RepairStatus.SKIPPED, "both sides agree already")
    ] * 2
    assert bench.erp.sent == ["CY-2", "CY-3"]


@pytest.mark.parametrize("moment", ["die_before", "die_after"])
def test_a_process_killed_while_sending_posts_once_in_the_end(bench: Bench, moment: str) -> None:
    plan = bench.plan()
    setattr(bench.erp, moment, Killed())
    with pytest.raises(Killed):
        bench.apply(plan)
    assert bench.states(plan) == [("CY-2", "sending"), ("CY-3", "pending")]
    assert bench.journal(plan) == [(1, "")]
    result = bench.apply(plan)
    assert result.complete
    assert [item.status for item in result.ok] == [RepairStatus.DONE] * 2
    assert bench.erp.sent == ["CY-2", "CY-3"]


def test_after_a_kill_nothing_is_decided_while_the_request_may_still_be_under_way(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.die_before = Killed()
    with pytest.raises(Killed):
        bench.apply(plan)
    killed_at = bench.clock.now()
    looked: list[float] = []
    find = bench.erp.find

    def watched(document: Any) -> Any:
        looked.append((bench.clock.now() - killed_at).total_seconds())
        if len(looked) == 1:
            # The request that was cut off lands in the last moment.
            bench.erp.orders["CY-2"] = lines_of("CY-2")
        return find(document)

    bench.erp.find = watched  # type: ignore[method-assign]
    assert bench.apply(plan).complete
    assert looked[0] >= 10
    assert bench.erp.sent == ["CY-3"]


def test_a_lost_answer_is_searched_for_and_never_sent_again(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.die_before = OutcomeUnknown("system 'erp' did not answer")
    result = bench.apply(plan)
    assert [item.key["order_ref"] for item in result.unknown] == ["CY-2"]
    assert not result.complete
    again = bench.apply(plan)
    assert [item.key["order_ref"] for item in again.unknown] == ["CY-2"]
    assert bench.erp.sent == ["CY-3"]
    # It did arrive after all.
    bench.erp.orders["CY-2"] = lines_of("CY-2")
    final = bench.apply(plan)
    assert final.complete
    assert final.ok[0].reason == "found by its reference as S-CY-2; both sides agree"
    assert bench.erp.sent == ["CY-3"]


def test_a_defect_while_sending_counts_as_unknown_not_as_failed(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.die_after = ZeroDivisionError("x")
    result = bench.apply(plan)
    assert "a defect while it was sent" in result.unknown[0].reason
    assert bench.apply(plan).complete
    assert bench.erp.sent == ["CY-2", "CY-3"]


def test_a_refused_document_fails_alone_and_may_be_tried_again(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.die_before = SourceRejected("product 001 is blocked")
    result = bench.apply(plan)
    assert [(item.key["order_ref"], item.reason) for item in result.failed] == [("CY-2", "product 001 is blocked")]
    assert [item.key["order_ref"] for item in result.ok] == ["CY-3"]
    assert bench.apply(plan).complete
    assert bench.journal(plan) == [(1, "failed"), (2, "done"), (1, "done")]


def test_a_closed_month_refuses_before_anything_is_sent(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.possible = False
    result = bench.apply(plan)
    assert [item.reason for item in result.failed] == ["the month is closed"] * 2
    assert (bench.erp.sent, bench.journal(plan)) == ([], [])


@pytest.mark.parametrize(
    "error", [AuthRefused("user tillwatch was refused"), RefusedError("system 'erp' is read only")]
)
def test_a_system_that_lets_nobody_write_stops_the_whole_repair(bench: Bench, error: Exception) -> None:
    plan = bench.plan()
    bench.erp.die_before = error
    result = bench.apply(plan)
    assert result.reason == str(error)
    assert bench.states(plan) == [("CY-2", "failed"), ("CY-3", "pending")]
    assert result.left_over == 1


def test_a_document_the_erp_changes_on_its_own_is_not_called_done(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.post_wrong = True
    result = bench.apply(plan)
    assert result.ok == ()
    assert result.failed[0].reason == (
        "posted as S-CY-2, but the sides still differ (amount, quantity); run the audit again"
    )


def test_an_order_that_moved_since_the_audit_is_left_alone(bench: Bench) -> None:
    plan = bench.plan()
    bench.till.datasets["orders"][1] = {"order_ref": "CY-2", "amount": Decimal("1.00"), "quantity": Decimal(1)}
    bench.erp.orders["CY-3"] = lines_of("CY-1")
    result = bench.apply(plan)
    assert [item.reason for item in result.skipped] == [
        "the side of truth moved since the audit; run the audit again and plan anew",
        "erp moved since the audit; run the audit again and plan anew",
    ]
    assert bench.erp.sent == []


def test_a_side_that_cannot_be_read_leaves_items_to_be_tried_again(bench: Bench) -> None:
    plan = bench.plan()

    def down(_: int) -> None:
        raise SourceUnavailable("connection refused", cause=Cause.TCP)

    bench.erp.before = down
    result = bench.apply(plan)
    assert [item.reason for item in result.failed] == ["connection refused"] * 2
    bench.erp.before = int
    assert bench.apply(plan).complete


def test_what_stands_only_in_the_erp_is_left_to_a_person(bench: Bench) -> None:
    bench.erp.orders["CY-9"] = lines_of("CY-1")
    item = bench.items(bench.plan())[2]
    assert (item.action, item.status) == (RepairAction.MANUAL, RepairStatus.SKIPPED)
    assert item.reason == "stands only in the other system; nothing is ever deleted there, a person decides"


def test_what_stands_only_in_the_erp_is_taken_back_where_the_audit_says_so(
    sqlite_database: Database, clock: ManualClock
) -> None:
    node = repair_node("{lines: {system: till, dataset: lines}, extra: reverse}")
    bench = Bench(sqlite_database, clock, orders_audit(repair=node))
    bench.erp.orders["CY-9"] = lines_of("CY-1")
    item = bench.items(bench.plan())[2]
    assert (item.action, dict(item.document)) == (
        RepairAction.REVERSE,
        {"kind": "order_reversal", "reference": "CY-9"},
    )
    bench.runner.stop()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "the shop has no lines for it, so nobody knows what was sold"),
        (LINES[1:2], "its lines add up to amount 3.50, the shop says 8.50"),
        ([{**LINES[1], "quantity": "two"}], "a line cannot be used: sku=001, two × 3.50"),
    ],
)
def test_an_order_whose_lines_cannot_be_trusted_is_left_to_a_person(
    bench: Bench, lines: list[Any], reason: str
) -> None:
    bench.till.datasets["lines"] = lines + [row for row in LINES if row["order_ref"] != "CY-2"]
    item = bench.items(bench.plan())[0]
    assert (item.action, item.reason) == (RepairAction.MANUAL, reason)


def test_a_limit_and_a_stop_leave_the_rest_for_later(bench: Bench) -> None:
    plan = bench.plan()
    first = bench.apply(plan, limit=1)
    assert (len(first.ok), first.left_over, first.reason) == (1, 1, "the limit of 1 documents is reached")
    stopped = bench.apply(plan, stop=lambda: True)
    assert (stopped.left_over, stopped.reason) == (1, "told to stop")
    assert bench.apply(plan).complete
    assert bench.erp.sent == ["CY-2", "CY-3"]


def test_two_repairs_of_one_system_never_run_at_once(bench: Bench) -> None:
    plan = bench.plan()

    def hold(connection: Connection) -> int | None:
        return leases.acquire(connection, "repair:erp", "somebody", timedelta(minutes=1), bench.clock.now())

    bench.database.write(hold)
    with pytest.raises(RefusedError, match="another repair of system 'erp' is running"):
        bench.apply(plan)
    assert bench.erp.sent == []
    bench.clock.advance(60)
    assert bench.apply(plan).complete


def test_a_preview_says_what_would_be_sent_and_sends_nothing(bench: Bench) -> None:
    plan = bench.plan()
    bench.erp.orders["CY-2"] = lines_of("CY-2")
    previews = list(bench.repairs.preview(plan))
    assert [(preview.reason, preview.plan.operation.value if preview.plan else None) for preview in previews] == [
        ("both sides agree already", None),
        ("", "correct"),
    ]
    assert (bench.erp.sent, bench.states(plan)) == ([], [("CY-2", "pending"), ("CY-3", "pending")])


def test_only_what_a_run_has_proven_is_repaired(bench: Bench) -> None:
    bench.erp.unstable = {1, 2}
    with pytest.raises(UsageError, match="is inconclusive"):
        bench.plan()


def test_too_many_differences_are_a_fault_not_a_repair(database: Database, clock: ManualClock) -> None:
    bench = Bench(
        database, clock, orders_audit(repair=repair_node("{lines: {system: till, dataset: lines}, max_items: 1}"))
    )
    with pytest.raises(UsageError, match=r"2 differences, more than max_items \(1\)"):
        bench.plan()
    bench.runner.stop()


def test_an_audit_without_a_repair_says_how_to_get_one(database: Database, clock: ManualClock) -> None:
    bench = Bench(database, clock, orders_audit(repair=None))
    with pytest.raises(UsageError, match="audit 'orders' has no repair; add 'repair:"):
        bench.plan()
    bench.runner.stop()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{lines: {system: till}}", "repair of audit 'orders': missing key 'dataset'"),
        ("{kind: order}", "repair of audit 'orders': an order needs 'lines: {system: …, dataset: …}'"),
        ("{kind: stock_count}", "repair of audit 'orders': a stock count needs 'location'"),
        ("{line: 1}", "repair of audit 'orders': unknown key 'line'; did you mean 'lines'?"),
    ],
)
def test_a_wrong_repair_is_a_problem_at_its_place(
    sqlite_database: Database, clock: ManualClock, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Bench(sqlite_database, clock, orders_audit(repair=repair_node(text)))
    assert any(problem.message == message and problem.line == 1 for problem in caught.value.problems)


def test_a_stock_difference_becomes_a_count_of_what_is_there(sqlite_database: Database, clock: ManualClock) -> None:
    spec = orders_audit(
        fields={"quantity": Field(type="decimal", scale=3)},
        value="",
        repair=repair_node("{kind: stock_count, location: LOC-CHAOYANG, sku: order_ref}"),
    )
    bench = Bench(sqlite_database, clock, spec)
    bench.erp.orders["CY-9"] = lines_of("CY-1")
    plan = bench.repairs.get(bench.plan())
    assert [(item.action, dict(item.document)) for item in plan.items] == [
        (RepairAction.CREATE, count(plan.run, "CY-2", "1.500", expected="0")),
        (RepairAction.CREATE, count(plan.run, "CY-3", "4.000", expected="5.000")),
        (RepairAction.MANUAL, {}),
    ]
    bench.runner.stop()


def count(run: int, sku: str, quantity: str, *, expected: str) -> dict[str, str]:
    return {
        "kind": "stock_count",
        "reference": f"tillwatch-{run}-{sku}",
        "location": "LOC-CHAOYANG",
        "sku": sku,
        "quantity": quantity,
        "expected": expected,
    }


def test_the_time_of_an_order_goes_with_it(sqlite_database: Database, clock: ManualClock) -> None:
    node = repair_node("{lines: {system: till, dataset: lines}, ordered_at: paid_at}")
    bench = Bench(sqlite_database, clock, orders_audit(repair=node))
    bench.till.datasets["orders"] = [{**row, "paid_at": clock.now()} for row in bench.till.datasets["orders"]]
    assert {item.document["ordered_at"] for item in bench.items(bench.plan())} == {clock.now().isoformat()}
    bench.runner.stop()
