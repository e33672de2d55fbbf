"""Audit runs and their differences. A run is written down before it starts and completed in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from tillwatch.errors import UsageError
from tillwatch.model.audit import AuditReport, AuditRun, AuditRunState, SideReport, Verdict
from tillwatch.store import differences
from tillwatch.store.lifecycle import Lifecycle
from tillwatch.store.tables.audits import audit_differences, audit_runs
from tillwatch.store.tables.repairs import repair_plans

#: Runs kept of each audit: a quarter-hourly one looks back ten days. Runs with a repair plan are kept for ever.
KEEP_RUNS = 1_000

#: Verdicts that prove what both sides hold: the state that stays known until the next of them.
PROVEN = (Verdict.CLEAN.value, Verdict.DRIFT.value)
#: Verdicts that are an answer. A sync that lags is one, though what it still owes is not known.
CONCLUSIVE = (*PROVEN, Verdict.SYNC_LAG.value)
LIFE = Lifecycle(runs=audit_runs, of="audit", found=audit_differences)


def begin(
    connection: Connection,
    *,
    audit: str,
    trigger: str,
    slot: datetime | None,
    owner: str,
    now: datetime,
    lease_until: datetime,
) -> int | None:
    """Write down that a run starts. None when somebody else has this slot: then it must not be run again."""
    blank = {
        "missing": 0,
        "extra": 0,
        "changed": 0,
        "unsettled": 0,
        "late": 0,
        "value_at_risk": Decimal(0),
        "strategy_reason": "",
    }
    return LIFE.begin(
        connection, audit, trigger=trigger, slot=slot, owner=owner, now=now, lease_until=lease_until, blank=blank
    )


def finish(connection: Connection, report: AuditReport, *, owner: str, now: datetime, stored: int = 0) -> bool:
    """Store the report of a run and its differences, the first `stored` of which are there already.

    False when the run was given up meanwhile: nothing is stored.
    """
    values = {
        # It may have waited for its turn since it was written down.
        "started_at": report.started_at,
        "verdict": report.verdict.value,
        "reason": report.reason,
        "left": asdict(report.left),
        "right": asdict(report.right),
        "missing": report.missing,
        "extra": report.extra,
        "changed": report.changed,
        "unsettled": report.unsettled,
        "late": report.late,
        "value_at_risk": report.value_at_risk,
        "strategy": report.strategy,
        "strategy_reason": report.strategy_reason,
        "bytes_read": report.bytes_read,
        "seconds": report.seconds,
        "evidence": dict(report.evidence),
    }
    if not LIFE.complete(connection, report.run, owner, now, values):
        return False
    differences.insert(connection, report.run, stored + 1, report.differences[stored:], report.started_at)
    planned = audit_runs.c.id.in_(select(repair_plans.c.run))
    LIFE.prune(connection, report.audit, keep=KEEP_RUNS, unless=planned)
    return True


def give_up(connection: Connection, now: datetime) -> list[AuditRun]:
    """Runs whose owner gave no sign of life until `now`, marked failed: `interrupted`. Returned to be run again."""
    return [run_of(connection, number) for number in LIFE.give_up(connection, now)]


def run_of(connection: Connection, run: int) -> AuditRun:
    """One run without its differences. Raises UsageError when there is none."""
    row = connection.execute(select(audit_runs).where(audit_runs.c.id == run)).mappings().first()
    if row is None:
        raise UsageError(f"there is no audit run {run}; 'tillwatch audit list' shows the latest of each audit")
    return _run(row)


def report(connection: Connection, run: int, *, limit: int | None = None) -> AuditReport:
    """The report of a finished run with its differences, at most `limit` of them.

    Raises UsageError when there is no such run or it has not finished.
    """
    found = run_of(connection, run)
    if found.report is None:
        raise UsageError(f"audit run {run} has not finished; it started at {found.started_at.isoformat()}")
    return replace(found.report, differences=tuple(differences.of_run(connection, run, limit=limit)))


def runs(
    connection: Connection, *, audit: str | None = None, limit: int, before: int | None = None, finished: bool = False
) -> list[AuditRun]:
    """Newest first, without differences; with `finished` only those that have a report."""
    query = select(audit_runs).order_by(audit_runs.c.id.desc()).limit(limit)
    if finished:
        query = query.where(audit_runs.c.state == AuditRunState.FINISHED.value)
    if audit is not None:
        query = query.where(audit_runs.c.audit == audit)
    if before is not None:
        query = query.where(audit_runs.c.id < before)
    return [_run(row) for row in connection.execute(query).mappings()]


def in_vain(connection: Connection, audit: str, limit: int) -> int:
    """How many of the newest finished runs in a row ended without an answer; counted up to `limit`."""
    return LIFE.in_vain(connection, audit, limit, answers=CONCLUSIVE)


def latest(connection: Connection, *, conclusive: bool = False, answered: bool = False) -> dict[str, AuditReport]:
    """The newest finished report of each audit, without differences; with `conclusive` the newest that proved what the
    sides hold: what was last known for certain; with `answered` the newest that gave any answer."""
    verdicts = PROVEN if conclusive else CONCLUSIVE if answered else ()
    found: dict[str, AuditReport] = {}
    for row in connection.execute(select(audit_runs).where(LIFE.newest(verdicts=verdicts))).mappings():
        if (done := _run(row).report) is not None:
            found[done.audit] = done
    return found


def _side(values: Mapping[str, Any] | None) -> SideReport:
    return SideReport(**values) if values else SideReport(system="", dataset="", rows=0)


def _run(row: RowMapping) -> AuditRun:
    state = AuditRunState(row["state"])
    done = None
    if state is AuditRunState.FINISHED:
        done = AuditReport(
            run=row["id"],
            audit=row["audit"],
            verdict=Verdict(row["verdict"]),
            reason=row["reason"],
            left=_side(row["left"]),
            right=_side(row["right"]),
            missing=row["missing"],
            extra=row["extra"],
            changed=row["changed"],
            unsettled=row["unsettled"],
            late=row["late"],
            value_at_risk=row["value_at_risk"],
            strategy=row["strategy"],
            strategy_reason=row["strategy_reason"],
            bytes_read=row["bytes_read"],
            started_at=row["started_at"],
            seconds=row["seconds"],
            evidence=row["evidence"] or {},
        )
    return AuditRun(
        run=row["id"],
        audit=row["audit"],
        trigger=row["trigger"],
        state=state,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        report=done,
    )
