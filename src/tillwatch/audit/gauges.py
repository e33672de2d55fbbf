"""What metrics say of an audit. A run that reached no verdict leaves the last known state in place."""

from datetime import datetime, timedelta

from tillwatch.audit.declare import Declared
from tillwatch.audit.settle import MAX_WAIT_WINDOWS
from tillwatch.audit.timetable import timetable
from tillwatch.audit.verdict import site_of
from tillwatch.config.declared import ChainConfig
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, DifferenceKind, Verdict


def finished(metrics: Metrics, report: AuditReport, declared: Declared, config: ChainConfig, now: datetime) -> None:
    """After every run that ended by itself."""
    metrics.inc("tillwatch_audit_runs_total", audit=report.audit, verdict=report.verdict.value)
    metrics.set("tillwatch_audit_duration_seconds", report.seconds, audit=report.audit)
    settling(metrics, report, declared, config)
    rows, seconds = report.evidence.get("rows_read"), report.evidence.get("compare_seconds")
    if isinstance(rows, int) and isinstance(seconds, float) and rows and seconds:
        metrics.set("tillwatch_audit_rows_per_second", rows / seconds, audit=report.audit)
    totals = report.evidence.get("totals")
    if isinstance(totals, dict) and "differing" in totals:
        metrics.set("tillwatch_audit_totals_differing", totals["differing"], audit=report.audit)
    if report.verdict in {Verdict.CLEAN, Verdict.DRIFT}:
        conclusive(metrics, report, declared, config)
    if report.verdict in {Verdict.CLEAN, Verdict.DRIFT, Verdict.SYNC_LAG}:
        expected(metrics, declared, config, report, now)


def settling(metrics: Metrics, report: AuditReport, declared: Declared, config: ChainConfig) -> None:
    """What waiting for rows in flight has shown; a run that ended before it says nothing of it."""
    if report.verdict not in {Verdict.CLEAN, Verdict.DRIFT, Verdict.SYNC_LAG} and "settle" not in report.evidence:
        return
    where = {"audit": report.audit, "interface": declared.spec.interface, "site": site_of(declared.spec, config)}
    suspects = report.evidence.get("suspects", 0)
    metrics.set("tillwatch_drift_suspects", suspects if isinstance(suspects, int) else 0, **where)
    metrics.set("tillwatch_drift_unsettled", report.unsettled, **where)
    metrics.set("tillwatch_drift_late", report.late, **where)
    lag = report.evidence.get("lag")
    if isinstance(lag, dict):
        metrics.set("tillwatch_audit_sync_lag_seconds", lag["p99"], **where)


def conclusive(metrics: Metrics, report: AuditReport, declared: Declared, config: ChainConfig) -> None:
    """The state a run has proven."""
    spec = declared.spec
    where = {"audit": spec.id, "interface": spec.interface, "site": site_of(spec, config)}
    for side, rows in (("left", report.left.rows), ("right", report.right.rows)):
        metrics.set("tillwatch_audit_rows", rows, side=side, **where)
    counts = {
        DifferenceKind.MISSING: report.missing,
        DifferenceKind.EXTRA: report.extra,
        DifferenceKind.CHANGED: report.changed,
    }
    for kind, rows in counts.items():
        metrics.set("tillwatch_drift_rows", rows, kind=kind.value, **where)
    metrics.set("tillwatch_drift_value_at_risk", float(report.value_at_risk), **where)
    ended = report.started_at.timestamp() + report.seconds
    metrics.set("tillwatch_audit_last_success_timestamp_seconds", ended, audit=spec.id)


def expected(
    metrics: Metrics, declared: Declared, config: ChainConfig, last: AuditReport | None, now: datetime
) -> None:
    """When the next verdict is due at the latest: the next scheduled run may use its whole time. Past that, the audit
    is overdue, whatever the reason."""
    spec = declared.spec
    schedule = timetable(spec, config)
    since = now if last is None else last.started_at
    due = schedule.first_after(since, spec.id)
    interval = schedule.first_after(due, spec.id) - due
    allowed: timedelta = spec.timeout + MAX_WAIT_WINDOWS * spec.settle
    metrics.set("tillwatch_audit_expected_by_timestamp_seconds", (due + interval + allowed).timestamp(), audit=spec.id)
    metrics.set("tillwatch_audit_interval_seconds", interval.total_seconds(), audit=spec.id)
