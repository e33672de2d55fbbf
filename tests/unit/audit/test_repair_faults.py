"""Whatever sequence of crashes, lost answers and refusals a repair meets: no document is ever posted twice."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.audits import Killed
from tests.support.repairs import OrdersBench

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, OutcomeUnknown, SourceRejected, SourceUnavailable
from tillwatch.model.audit import Verdict
from tillwatch.model.repair import RepairResult, RepairStatus
from tillwatch.store.db import Database

FAULTS: dict[str, Callable[[], BaseException]] = {
    "killed": Killed,
    "answer lost": lambda: OutcomeUnknown("no answer"),
    "refused": lambda: SourceRejected("blocked"),
    "down": lambda: SourceUnavailable("connection refused", cause=Cause.TCP),
    "defect": lambda: ZeroDivisionError("x"),
}
#: One call of apply: what goes wrong, and whether before or after the ERP has posted the document.
calls = st.tuples(st.sampled_from(["", *FAULTS]), st.booleans())


def apply(bench: OrdersBench, plan: int, fault: str, *, after: bool) -> RepairResult | None:
    bench.erp.die_before = bench.erp.die_after = None
    if fault:
        error = FAULTS[fault]()
        if after and fault not in {"refused", "down"}:
            bench.erp.die_after = error
        else:
            bench.erp.die_before = error
    try:
        return bench.apply(plan)
    except Killed:
        return None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, max_size=6))
def test_no_sequence_of_faults_posts_a_document_twice(
    sqlite_database: Database, clock: ManualClock, sequence: list[tuple[str, bool]]
) -> None:
    bench = OrdersBench(sqlite_database, clock)
    plan = bench.plan()
    for fault, after in sequence:
        apply(bench, plan, fault, after=after)
        assert len(bench.erp.sent) == len(set(bench.erp.sent)), bench.erp.sent
    result = apply(bench, plan, "", after=False)
    assert result is not None
    assert (result.failed, result.left_over) == ((), 0)
    # Only an answer that was lost before the document arrived leaves a question, and a new audit answers it.
    assert all(item.status is RepairStatus.DONE for item in result.ok)
    report = bench.runner.run("orders")
    assert {row.key["order_ref"] for row in report.differences} == {item.key["order_ref"] for item in result.unknown}
    if result.unknown:
        again = bench.repairs.plan_repair(report.run)
        assert bench.apply(again.id).complete
        assert bench.runner.run("orders").verdict is Verdict.CLEAN
    assert sorted(bench.erp.sent) == ["CY-2", "CY-3"]
    bench.runner.stop()


@pytest.mark.parametrize("times", [1, 5])
def test_being_killed_again_and_again_ends_well(sqlite_database: Database, clock: ManualClock, times: int) -> None:
    bench = OrdersBench(sqlite_database, clock)
    plan = bench.plan()
    for _ in range(times):
        apply(bench, plan, "killed", after=False)
    assert bench.apply(plan).complete
    assert [number for number, _ in bench.journal(plan)] == [1] * (times + 1) + [2]
    assert bench.erp.sent == ["CY-2", "CY-3"]
    bench.runner.stop()
