"""Taking a repair back: what stood there before stands there again, and what somebody used since stays as it is."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.audits import Killed
from tests.support.repairs import OrdersBench as Bench
from tests.support.repairs import lines_of

from tillwatch.errors import Cause, RefusedError, SourceUnavailable
from tillwatch.model.repair import RepairStatus, UndoResult


@pytest.fixture
def bench(orders_bench: Bench) -> Bench:
    return orders_bench


def undo(bench: Bench, plan: int, **options: Any) -> UndoResult:
    return bench.another().undo_repair(plan, actor="ann", **options)


def applied(bench: Bench) -> int:
    plan = bench.plan()
    assert bench.apply(plan).complete
    return plan


def test_an_undo_brings_back_what_stood_there_before_the_repair(bench: Bench) -> None:
    before = dict(bench.erp.orders)
    plan = applied(bench)
    assert bench.erp.orders != before
    result = undo(bench, plan)
    assert result.complete
    assert [(item.key["order_ref"], item.reason) for item in result.undone] == [
        ("CY-2", "taken back (cancelled) as S-CY-2; erp shows what it showed before the repair"),
        ("CY-3", "taken back (posted) as S-CY-3; erp shows what it showed before the repair"),
    ]
    assert bench.erp.orders == before
    assert bench.journal(plan) == [(1, "done"), (2, "done"), (2, "undone"), (1, "undone")]


def test_undoing_twice_sends_nothing_twice_and_applying_again_sends_nothing(bench: Bench) -> None:
    plan = applied(bench)
    first = undo(bench, plan)
    sent = list(bench.erp.sent)
    assert undo(bench, plan) == first
    bench.apply(plan)
    assert bench.erp.sent == sent == ["CY-2", "CY-3", "CY-3", "cancel CY-2"]


def test_an_undo_shown_beforehand_sends_nothing(bench: Bench) -> None:
    plan = applied(bench)
    bench.erp.used.add("CY-3")
    shown = [(one.plan.operation.value if one.plan else "", one.reason) for one in bench.another().preview_undo(plan)]
    assert shown == [("cancel", ""), ("correct", "it is shipped already")]
    assert bench.erp.sent == ["CY-2", "CY-3"]
    assert bench.states(plan) == [("CY-2", "done"), ("CY-3", "done")]


def test_what_was_used_since_stays_with_the_reason(bench: Bench) -> None:
    plan = applied(bench)
    bench.erp.used.add("CY-2")
    result = undo(bench, plan)
    assert not result.complete
    assert [(item.key["order_ref"], item.reason) for item in result.kept] == [
        ("CY-2", "not taken back: it is shipped already")
    ]
    assert bench.erp.orders["CY-2"] == lines_of("CY-2")


def test_somebody_elses_later_change_is_never_overwritten(bench: Bench) -> None:
    plan = applied(bench)
    theirs = tuple(replace(line, quantity=line.quantity + 7) for line in lines_of("CY-3"))
    bench.erp.orders["CY-3"] = theirs
    result = undo(bench, plan)
    assert [item.reason for item in result.kept] == ["not taken back: the sale was changed after us"]
    assert bench.erp.orders["CY-3"] == theirs


@pytest.mark.parametrize("moment", ["die_before", "die_after"])
@pytest.mark.parametrize("times", [1, 2])
def test_an_undo_that_is_killed_is_carried_on_and_happens_once(bench: Bench, moment: str, times: int) -> None:
    before = dict(bench.erp.orders)
    plan = applied(bench)
    for _ in range(times):
        setattr(bench.erp, moment, Killed())
        with pytest.raises(Killed):
            undo(bench, plan)
    result = undo(bench, plan)
    assert result.complete
    assert bench.erp.orders == before
    assert bench.erp.sent.count("CY-3") == 2


def test_a_repair_that_was_killed_after_it_was_sent_can_be_undone_too(bench: Bench) -> None:
    before = dict(bench.erp.orders)
    plan = bench.plan()
    bench.erp.die_after = Killed()
    with pytest.raises(Killed):
        bench.apply(plan)
    assert bench.apply(plan).complete
    assert bench.items(plan)[0].reason.startswith("found by its reference")
    assert undo(bench, plan).complete
    assert bench.erp.orders == before


def test_after_a_kill_nothing_is_sent_while_the_first_undo_may_still_be_under_way(bench: Bench) -> None:
    plan = applied(bench)
    bench.erp.die_before = Killed()
    with pytest.raises(Killed):
        undo(bench, plan)
    began = bench.clock.now()
    asked = iter([False, True])
    undo(bench, plan, stop=lambda: next(asked, True))
    assert bench.states(plan) == [("CY-2", "done"), ("CY-3", "undoing")]
    undo(bench, plan)
    assert (bench.clock.now() - began).total_seconds() >= 10
    assert bench.states(plan) == [("CY-2", "undone"), ("CY-3", "undone")]


def test_a_lost_answer_is_unknown_until_the_search_says_more(bench: Bench) -> None:
    plan = applied(bench)
    bench.erp.lose_answer = True
    result = undo(bench, plan)
    assert [item.key["order_ref"] for item in result.unknown] == ["CY-3"]
    bench.erp.lose_answer = False
    sent = list(bench.erp.sent)
    assert undo(bench, plan).complete
    assert bench.erp.sent == sent


def test_a_limit_takes_back_the_last_document_first(bench: Bench) -> None:
    plan = applied(bench)
    result = undo(bench, plan, limit=1)
    assert result.reason == "the limit of 1 documents is reached"
    assert [item.key["order_ref"] for item in result.undone] == ["CY-3"]
    assert [item.key["order_ref"] for item in result.kept] == ["CY-2"]


@pytest.mark.parametrize("error", [RefusedError("read only"), SourceUnavailable("down", cause=Cause.TCP)])
def test_a_system_that_cannot_be_written_to_leaves_everything_standing(bench: Bench, error: Exception) -> None:
    plan = applied(bench)
    bench.erp.die_before = error
    result = undo(bench, plan, limit=1)
    assert [item.status for item in bench.items(plan)] == [RepairStatus.DONE] * 2
    assert result.kept[1].reason == f"not taken back: {error}"


def test_what_was_never_sent_is_not_undone(bench: Bench) -> None:
    plan = bench.plan()
    assert undo(bench, plan) == UndoResult(plan=plan)
    assert [one.reason for one in bench.another().preview_undo(plan)] == [
        "is pending; only what was done is taken back"
    ] * 2
