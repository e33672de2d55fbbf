"""Audits of data that is written all the time: nothing in flight is called drift, nothing wrong is overlooked."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.audits import ZONE, stock_audit
from tests.support.traffic import SECONDS, START, Traffic, TrafficSource

from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Field
from tillwatch.model.audit import AuditReport, Verdict

SEEDS = range(5)
#: The sync needs two seconds at most.
SETTLE = timedelta(seconds=3)
#: When the audit begins: the traffic is in full swing.
BEGIN = 20.0


def audited(traffic: Traffic, *, changed_by: str = "", settle: timedelta = SETTLE, lag: float = 0.0) -> AuditReport:
    clock = ManualClock(START)
    clock.advance(BEGIN)
    spec = stock_audit(fields={"quantity": Field(type="integer")}, settle=settle, changed_by=changed_by)
    sides = {"erp": TrafficSource(traffic, "left", clock), "till": TrafficSource(traffic, "right", clock)}
    report = examine(
        Order(
            declared=declare(spec, ZONE),
            open=sides.__getitem__,  # type: ignore[arg-type]
            run=1,
            started_at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
            clock=clock,
            measured_lag=lag,
        )
    )
    assert clock.monotonic() < SECONDS, "the audit outlasted the traffic"
    return report


@pytest.mark.parametrize("changed_by", ["changed_at", ""])
@pytest.mark.parametrize("seed", SEEDS)
def test_of_live_traffic_exactly_what_is_wrong_is_confirmed(seed: int, changed_by: str) -> None:
    traffic = Traffic(seed)
    assert traffic.writes / SECONDS > 100
    assert len(traffic.planted) == 20
    report = audited(traffic, changed_by=changed_by)
    assert {row.key["sku"] for row in report.differences} == traffic.planted
    assert (report.verdict, report.unsettled, report.late) == (Verdict.DRIFT, 0, 0)
    # The test would prove nothing if little had been in flight.
    suspects, cleared = report.evidence["suspects"], report.evidence["cleared"]
    assert isinstance(suspects, int)
    assert isinstance(cleared, int)
    assert suspects > 100
    assert cleared > 80
