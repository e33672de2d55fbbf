"""Audit runs and their differences. A run is written down before it starts and completed in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update

from tillwatch.errors import UsageError
from tillwatch.model.audit import AuditReport, AuditRun, AuditRunState, SideReport, Verdict
from tillwatch.store import differences
from tillwatch.store.tables.audits import audit_differences, audit_runs
from tillwatch.store.tables.repairs import repair_plans

#: Runs kept of each audit: a quarter-hourly one looks back ten days. Runs with a repair plan are kept for ever.
KEEP_RUNS = 1_000
#: Runs removed at most with each new one, so that finishing a run stays short.
MAX_PRUNED = 50
#: What a run interrupted by a crash says.
INTERRUPTED = "interrupted"

#: Verdicts that prove what both sides hold: the state that stays known until the next of them.
PROVEN = (Verdict.CLEAN.value, Verdict.DRIFT.value)
#: Verdicts that are an answer. A sync that lags is one, though what it still owes is not known.
CONCLUSIVE = (*PROVEN, Verdict.SYNC_LAG.value)


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
    if slot is not None:
        taken = select(audit_runs.c.id).where(audit_runs.c.audit == audit, audit_runs.c.slot == slot)
        if connection.execute(taken).first() is not None:
            return None
    row = {
        "audit": audit,
        "trigger": trigger,
        "slot": slot,
        "state": AuditRunState.RUNNING.value,
        "owner": owner,
        "lease_until": lease_until,
        "started_at": now,
        "verdict": "",
        "reason": "",
        "missing": 0,
        "extra": 0,
        "changed": 0,
        "unsettled": 0,
        "late": 0,
        "value_at_risk": Decimal(0),
        "strategy": "",
        "strategy_reason": "",
        "bytes_read": 0,
        "seconds": 0.0,
    }
    from_insert = connection.execute(insert(audit_runs).values(row).returning(audit_runs.c.id))
    return int(from_insert.scalar_one())


def renew(connection: Connection, run: int, owner: str, lease_until: datetime) -> bool:
    """Say that the run is alive. False when it was already given up."""
    kept = connection.execute(
        update(audit_runs).where(_running(run), audit_runs.c.owner == owner).values(lease_until=lease_until)
    )
    return kept.rowcount == 1


def release(connection: Connection, run: int, owner: str, now: datetime) -> None:
    """Let go of a run that is not finished, so that the next `give_up` takes it at once: the process is stopping."""
    connection.execute(update(audit_runs).where(_running(run), audit_runs.c.owner == owner).values(lease_until=now))


def is_ours(connection: Connection, run: int, owner: str) -> bool:
    """Whether the run is still believed to be alive and is `owner`'s."""
    query = select(audit_runs.c.id).where(_running(run), audit_runs.c.owner == owner)
    return connection.execute(query).first() is not None


def withdraw(connection: Connection, run: int, owner: str) -> None:
    """Take back a run that could not begin as it was asked for: it never was."""
    connection.execute(delete(audit_runs).where(_running(run), audit_runs.c.owner == owner))


def finish(connection: Connection, report: AuditReport, *, owner: str, now: datetime, stored: int = 0) -> bool:
    """Store the report of a run and its differences, the first `stored` of which are there already.

    False when the run was given up meanwhile: nothing is stored.
    """
    values = {
        "state": AuditRunState.FINISHED.value,
        "lease_until": None,
        # It may have waited for its turn since it was written down.
        "started_at": report.started_at,
        "finished_at": now,
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
    done = connection.execute(
        update(audit_runs).where(_running(report.run), audit_runs.c.owner == owner).values(values)
    )
    if done.rowcount != 1:
        return False
    differences.insert(connection, report.run, stored + 1, report.differences[stored:], report.started_at)
    _prune(connection, report.audit)
    return True


def give_up(connection: Connection, now: datetime) -> list[AuditRun]:
    """Runs whose owner gave no sign of life until `now`, marked failed: `interrupted`. Returned to be run again."""
    dead = and_(audit_runs.c.state == AuditRunState.RUNNING.value, audit_runs.c.lease_until <= now)
    rows = connection.execute(select(audit_runs).where(dead).order_by(audit_runs.c.id)).mappings().all()
    if not rows:
        return []
    numbers = [row["id"] for row in rows]
    connection.execute(delete(audit_differences).where(audit_differences.c.run.in_(numbers)))
    connection.execute(
        update(audit_runs)
        .where(audit_runs.c.id.in_(numbers))
        .values(
            state=AuditRunState.FINISHED.value,
            lease_until=None,
            finished_at=now,
            verdict=Verdict.FAILED.value,
            reason=INTERRUPTED,
        )
    )
    return [run_of(connection, number) for number in numbers]


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
    query = (
        select(audit_runs.c.verdict)
        .where(audit_runs.c.audit == audit, audit_runs.c.state == AuditRunState.FINISHED.value)
        .order_by(audit_runs.c.id.desc())
        .limit(limit)
    )
    verdicts = connection.execute(query).scalars().all()
    return next((count for count, verdict in enumerate(verdicts) if verdict in CONCLUSIVE), len(verdicts))


def latest(connection: Connection, *, conclusive: bool = False, answered: bool = False) -> dict[str, AuditReport]:
    """The newest finished report of each audit, without differences; with `conclusive` the newest that proved what the
    sides hold: what was last known for certain; with `answered` the newest that gave any answer."""
    query = select(func.max(audit_runs.c.id)).where(audit_runs.c.state == AuditRunState.FINISHED.value)
    if conclusive or answered:
        query = query.where(audit_runs.c.verdict.in_(PROVEN if conclusive else CONCLUSIVE))
    newest = query.group_by(audit_runs.c.audit)
    found: dict[str, AuditReport] = {}
    for row in connection.execute(select(audit_runs).where(audit_runs.c.id.in_(newest))).mappings():
        if (done := _run(row).report) is not None:
            found[done.audit] = done
    return found


def last_slots(connection: Connection) -> dict[str, datetime]:
    """The last scheduled instant each audit was run for."""
    query = (
        select(audit_runs.c.audit, func.max(audit_runs.c.slot, type_=audit_runs.c.slot.type).label("slot"))
        .where(audit_runs.c.slot.is_not(None))
        .group_by(audit_runs.c.audit)
    )
    return {row.audit: row.slot for row in connection.execute(query)}


def _running(run: int) -> Any:
    return and_(audit_runs.c.id == run, audit_runs.c.state == AuditRunState.RUNNING.value)


def _prune(connection: Connection, audit: str) -> None:
    """Remove runs beyond KEEP_RUNS, oldest first; never one that a repair plan stands on."""
    boundary = connection.execute(
        select(audit_runs.c.id)
        .where(audit_runs.c.audit == audit)
        .order_by(audit_runs.c.id.desc())
        .offset(KEEP_RUNS)
        .limit(1)
    ).scalar_one_or_none()
    if boundary is None:
        return
    old = connection.execute(
        select(audit_runs.c.id)
        .where(
            audit_runs.c.audit == audit,
            audit_runs.c.id <= boundary,
            audit_runs.c.state == AuditRunState.FINISHED.value,
            audit_runs.c.id.not_in(select(repair_plans.c.run)),
        )
        .order_by(audit_runs.c.id)
        .limit(MAX_PRUNED)
    ).scalars()
    if numbers := list(old):
        connection.execute(delete(audit_differences).where(audit_differences.c.run.in_(numbers)))
        connection.execute(delete(audit_runs).where(audit_runs.c.id.in_(numbers)))


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
