"""The numbers of the metrics, not only their names."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.audits import ZONE, chain
from tests.unit.audit.test_verdict import REPORT, SPEC, START

from tillwatch.audit import gauges
from tillwatch.audit.declare import declare
from tillwatch.config.schema import Site, When
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Verdict

WHERE = {"audit": "stock-chaoyang", "interface": "stock-chaoyang", "site": "chaoyang"}
ENDED = START + timedelta(seconds=3)


@pytest.fixture
def after() -> Callable[..., Metrics]:
    """The metrics after these reports, one after the other."""

    def told(*reports: AuditReport) -> Metrics:
        metrics = Metrics()
        for report in reports:
            gauges.finished(metrics, report, declare(SPEC, ZONE), chain(SPEC), ENDED)
        return metrics

    return told


def drift(metrics: Metrics) -> list[float | None]:
    return [metrics.value("tillwatch_drift_rows", kind=kind, **WHERE) for kind in ("missing", "extra", "changed")]


def test_drift_counts_rows_by_kind_and_money(after: Callable[..., Metrics]) -> None:
    metrics = after(replace(REPORT, missing=1, extra=2, changed=30, value_at_risk=Decimal("75.15")))
    assert drift(metrics) == [1, 2, 30]
    assert metrics.value("tillwatch_drift_value_at_risk", **WHERE) == 75.15
    clean = after(REPORT, replace(REPORT, verdict=Verdict.CLEAN, changed=0, value_at_risk=Decimal(0)))
    assert drift(clean) == [0, 0, 0]
    assert clean.value("tillwatch_drift_value_at_risk", **WHERE) == 0


def test_drift_within_thresholds_counts_like_any_other(after: Callable[..., Metrics]) -> None:
    within = replace(REPORT, evidence={"thresholds": {"rows": 99, "value": None, "within": True}})
    assert within.tolerated
    metrics = after(within)
    assert drift(metrics) == [0, 0, 30]
    assert metrics.value("tillwatch_drift_value_at_risk", **WHERE) == 75.15
    assert 'tillwatch_audit_runs_total{audit="stock-chaoyang",verdict="drift"} 1.0' in metrics.render().decode()


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.FAILED, Verdict.SYNC_LAG])
def test_a_run_that_proves_nothing_leaves_the_last_known_drift(after: Callable[..., Metrics], verdict: Verdict) -> None:
    metrics = after(REPORT, replace(REPORT, verdict=verdict, changed=0, value_at_risk=Decimal(0)))
    assert drift(metrics) == [0, 0, 30]
    assert metrics.value("tillwatch_drift_value_at_risk", **WHERE) == 75.15


def test_rows_per_second_are_rows_read_of_both_sides_over_the_time_of_comparing(after: Callable[..., Metrics]) -> None:
    read = {"rows_read": 600, "compare_seconds": 2.0}
    assert after(replace(REPORT, evidence=read)).value("tillwatch_audit_rows_per_second", audit="stock-chaoyang") == 300
    idle = after(replace(REPORT, evidence=read), replace(REPORT, evidence={"rows_read": 0, "compare_seconds": 1.0}))
    assert idle.value("tillwatch_audit_rows_per_second", audit="stock-chaoyang") == 300, "a run that read nothing"


def test_late_rows_are_told_whether_or_not_there_is_drift_and_gone_after_a_clean_run(
    after: Callable[..., Metrics],
) -> None:
    late = replace(REPORT, verdict=Verdict.SYNC_LAG, changed=0, late=4)
    assert after(late).value("tillwatch_drift_late", **WHERE) == 4
    assert after(replace(REPORT, late=2)).value("tillwatch_drift_late", **WHERE) == 2
    clean = replace(REPORT, verdict=Verdict.CLEAN, changed=0)
    assert after(late, clean).value("tillwatch_drift_late", **WHERE) == 0


def test_an_audit_that_the_calendar_keeps_from_running_is_not_overdue() -> None:
    spec = SPEC.model_copy(update={"schedule": "0 * * * *", "when": When(shop="closed"), "timeout": timedelta(0)})
    config = replace(chain(spec), sites=(Site(id="chaoyang", hours="09:00-22:00"),))
    metrics = Metrics()
    # It ran at 11:00 in Shanghai: due at 22:00, and given until the next slot at 23:00.
    gauges.finished(metrics, REPORT, declare(spec, ZONE), config, ENDED)
    due = metrics.value("tillwatch_audit_expected_by_timestamp_seconds", audit="stock-chaoyang")
    assert due == (START + timedelta(hours=12)).timestamp()
