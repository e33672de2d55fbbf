"""What stands only in a real Tryton is taken back there by its own means, never deleted, and can stand again."""

from pathlib import Path

import pytest
from tests.integration.audit.test_tryton import CHECKS, Bench, DyingErp
from tests.integration.audit.test_tryton import bench as bench
from tests.support.audits import Killed

from tillwatch.config.load import load
from tillwatch.model.audit import Verdict
from tillwatch.model.repair import RepairAction, RepairStatus

#: An order the till never had.
NEVER = 7


@pytest.fixture
def reversing(bench: Bench, tmp_path: Path) -> Bench:
    """All orders of the till stand in the ERP, and one more."""
    checks = CHECKS.replace("ordered_at: changed_at}", "ordered_at: changed_at, extra: reverse}")
    assert checks != CHECKS
    (tmp_path / "probes" / "orders.yaml").write_text(checks, encoding="utf-8")
    bench.config = load(tmp_path)
    for number in (*range(6), NEVER):
        bench.post(number)
    return bench


def test_an_order_the_shop_never_had_is_cancelled_and_stands_again_after_an_undo(reversing: Bench) -> None:
    plan = reversing.repairs().plan_repair(reversing.run().run)
    (item,) = plan.items
    reference = f"{reversing.prefix}{NEVER:04d}"
    assert (item.action, dict(item.document)) == (
        RepairAction.REVERSE,
        {"kind": "order_reversal", "reference": reference},
    )
    (preview,) = reversing.repairs().preview(plan.id)
    assert preview.plan is not None
    assert (preview.plan.operation.value, preview.reason) == ("cancel", "")
    assert {language for step in preview.plan.steps for language in step} == {"en", "zh"}
    assert reversing.sales(NEVER) == ["confirmed"]

    result = reversing.repairs().apply_repair(plan.id, actor="test")
    assert result.complete, result
    assert result.ok[0].receipt["before"]["state"] == "confirmed"  # type: ignore[index]
    assert reversing.sales(NEVER) == ["cancelled"]
    assert reversing.run().verdict is Verdict.CLEAN
    assert reversing.repairs().apply_repair(plan.id, actor="test") == result

    undone = reversing.repairs().undo_repair(plan.id, actor="test")
    assert undone.complete, undone
    assert undone.undone[0].reason.endswith("shows what it showed before the repair")
    # The very same sale: nothing was deleted, and nothing stands twice.
    assert reversing.sales(NEVER) == ["confirmed"]
    assert reversing.run().extra == 1


def test_a_reversal_and_its_undo_killed_after_the_erp_committed_are_carried_on_once(reversing: Bench) -> None:
    plan = reversing.repairs().plan_repair(reversing.run().run)
    source = reversing.systems.sources.get("erp")
    reversing.systems.instead["erp"] = DyingErp(source)
    with pytest.raises(Killed):
        reversing.repairs().apply_repair(plan.id, actor="test")
    assert reversing.repairs().get(plan.id).items[0].status is RepairStatus.SENDING
    reversing.systems.instead.clear()
    assert reversing.repairs().apply_repair(plan.id, actor="test").ok[0].reason.startswith("found by its reference as ")
    assert reversing.sales(NEVER) == ["cancelled"]

    reversing.systems.instead["erp"] = DyingErp(source)
    with pytest.raises(Killed):
        reversing.repairs().undo_repair(plan.id, actor="test")
    reversing.systems.instead.clear()
    assert reversing.repairs().undo_repair(plan.id, actor="test").complete
    assert reversing.sales(NEVER) == ["confirmed"]


def test_an_order_that_moved_or_that_took_its_place_is_left_to_a_person(reversing: Bench) -> None:
    found = reversing.run()
    plan = reversing.repairs().plan_repair(found.run)
    reversing.post(NEVER, more=1)
    moved = reversing.repairs().apply_repair(plan.id, actor="test")
    assert [item.reason for item in moved.skipped] == ["erp moved since the audit; run the audit again and plan anew"]
    assert reversing.sales(NEVER) == ["confirmed"]

    again = reversing.repairs().plan_repair(reversing.run().run)
    assert reversing.repairs().apply_repair(again.id, actor="test").complete
    # Somebody enters the order anew: the cancelled sale must not come back beside it.
    reversing.post(NEVER)
    kept = reversing.repairs().undo_repair(again.id, actor="test").kept
    assert "another one stands in its place" in kept[0].reason
    assert sorted(reversing.sales(NEVER)) == ["cancelled", "confirmed"]


def test_without_the_word_a_person_is_asked(reversing: Bench, tmp_path: Path) -> None:
    (tmp_path / "probes" / "orders.yaml").write_text(CHECKS, encoding="utf-8")
    reversing.config = load(tmp_path)
    plan = reversing.repairs().plan_repair(reversing.run().run)
    assert [(item.action, item.status) for item in plan.items] == [(RepairAction.MANUAL, RepairStatus.SKIPPED)]
