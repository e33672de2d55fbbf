"""Validation runs and their findings. A run is written down before it starts and completed in one transaction."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update

from tillwatch.errors import UsageError
from tillwatch.model.validation import (
    Finding,
    ValidationReport,
    ValidationRun,
    ValidationRunState,
    ValidationVerdict,
)
from tillwatch.store.tables.validations import validation_findings, validation_runs

#: Runs kept of each validation.
KEEP_RUNS = 1_000
#: Runs removed at most with each new one, so that finishing a run stays short.
MAX_PRUNED = 50
#: Findings read in one query when all of a run are wanted.
PAGE_FINDINGS = 1_000
#: What a run interrupted by a crash says.
INTERRUPTED = "interrupted"
#: Verdicts that are an answer.
CONCLUSIVE = (ValidationVerdict.CLEAN.value, ValidationVerdict.INVALID.value)


def begin(
    connection: Connection,
    *,
    validation: str,
    system: str,
    dataset: str,
    trigger: str,
    slot: datetime | None,
    owner: str,
    now: datetime,
    lease_until: datetime,
) -> int | None:
    """Write down that a run starts. None when somebody else has this slot: then it must not be run again."""
    if slot is not None:
        mine = and_(validation_runs.c.validation == validation, validation_runs.c.slot == slot)
        if connection.execute(select(validation_runs.c.id).where(mine)).first() is not None:
            return None
    row = {
        "validation": validation,
        "system": system,
        "dataset": dataset,
        "trigger": trigger,
        "slot": slot,
        "state": ValidationRunState.RUNNING.value,
        "owner": owner,
        "lease_until": lease_until,
        "started_at": now,
        "verdict": "",
        "reason": "",
        "rows": 0,
        "rows_read": 0,
        "strategy": "",
        "bytes_read": 0,
        "seconds": 0.0,
    }
    inserted = connection.execute(insert(validation_runs).values(row).returning(validation_runs.c.id))
    return int(inserted.scalar_one())


def renew(connection: Connection, run: int, owner: str, lease_until: datetime) -> bool:
    """Say that the run is alive; with a lease until now, let go of it. False when it was already given up."""
    mine = and_(_running(run), validation_runs.c.owner == owner)
    return connection.execute(update(validation_runs).where(mine).values(lease_until=lease_until)).rowcount == 1


def finish(connection: Connection, report: ValidationReport, *, owner: str, now: datetime) -> bool:
    """Store the report of a run and its findings. False when the run was given up meanwhile: nothing is stored."""
    values = {
        "state": ValidationRunState.FINISHED.value,
        "lease_until": None,
        "started_at": report.started_at,
        "finished_at": now,
        "verdict": report.verdict.value,
        "reason": report.reason,
        "rows": report.rows,
        "rows_read": report.rows_read,
        "counts": dict(report.counts),
        "strategy": report.strategy,
        "strategy_reason": dict(report.strategy_reason),
        "bytes_read": report.bytes_read,
        "seconds": report.seconds,
        "evidence": dict(report.evidence),
    }
    mine = and_(_running(report.run), validation_runs.c.owner == owner)
    if connection.execute(update(validation_runs).where(mine).values(values)).rowcount != 1:
        return False
    if report.findings:
        rows = [_row(report.run, number, item) for number, item in enumerate(report.findings, start=1)]
        connection.execute(insert(validation_findings), rows)
    _prune(connection, report.validation)
    return True


def give_up(connection: Connection, now: datetime) -> list[ValidationRun]:
    """Runs whose owner gave no sign of life until `now`, marked failed: `interrupted`. Returned to be run again."""
    dead = and_(validation_runs.c.state == ValidationRunState.RUNNING.value, validation_runs.c.lease_until <= now)
    numbers = list(
        connection.execute(select(validation_runs.c.id).where(dead).order_by(validation_runs.c.id)).scalars()
    )
    if not numbers:
        return []
    connection.execute(
        update(validation_runs)
        .where(validation_runs.c.id.in_(numbers))
        .values(
            state=ValidationRunState.FINISHED.value,
            lease_until=None,
            finished_at=now,
            verdict=ValidationVerdict.FAILED.value,
            reason=INTERRUPTED,
        )
    )
    return [run_of(connection, number) for number in numbers]


def run_of(connection: Connection, run: int) -> ValidationRun:
    """One run without its findings. Raises UsageError when there is none."""
    row = connection.execute(select(validation_runs).where(validation_runs.c.id == run)).mappings().first()
    if row is None:
        raise UsageError(f"there is no validation run {run}; 'tillwatch validate list' shows the latest of each")
    return _run(row)


def report(connection: Connection, run: int, *, findings: int | None = None) -> ValidationReport:
    """The report of a finished run with its findings, at most `findings` of them.

    Raises UsageError when there is no such run or it has not finished.
    """
    found = run_of(connection, run)
    if found.report is None:
        raise UsageError(f"validation run {run} has not finished; it started at {found.started_at.isoformat()}")
    return replace(found.report, findings=tuple(findings_of(connection, run, limit=findings)))


def runs(connection: Connection, *, validation: str | None = None, limit: int) -> list[ValidationRun]:
    """Newest first, without findings."""
    query = select(validation_runs).order_by(validation_runs.c.id.desc()).limit(limit)
    if validation is not None:
        query = query.where(validation_runs.c.validation == validation)
    return [_run(row) for row in connection.execute(query).mappings()]


def in_vain(connection: Connection, validation: str, limit: int) -> int:
    """How many of the newest finished runs in a row ended without an answer; counted up to `limit`."""
    verdicts = connection.execute(
        select(validation_runs.c.verdict)
        .where(_finished(validation))
        .order_by(validation_runs.c.id.desc())
        .limit(limit)
    ).scalars()
    found = verdicts.all()
    return next((count for count, verdict in enumerate(found) if verdict in CONCLUSIVE), len(found))


def latest(connection: Connection, *, conclusive: bool = False) -> dict[str, ValidationReport]:
    """The newest finished report of each validation, without findings; with `conclusive` the newest with an answer."""
    newest = select(func.max(validation_runs.c.id)).where(validation_runs.c.state == ValidationRunState.FINISHED.value)
    if conclusive:
        newest = newest.where(validation_runs.c.verdict.in_(CONCLUSIVE))
    query = select(validation_runs).where(validation_runs.c.id.in_(newest.group_by(validation_runs.c.validation)))
    reports = [_run(row).report for row in connection.execute(query).mappings()]
    return {done.validation: done for done in reports if done is not None}


def answered(connection: Connection, validation: str, limit: int) -> list[ValidationReport]:
    """The newest runs with an answer, newest first, without findings."""
    query = select(validation_runs).where(_finished(validation), validation_runs.c.verdict.in_(CONCLUSIVE))
    rows = connection.execute(query.order_by(validation_runs.c.id.desc()).limit(limit)).mappings()
    return [done for row in rows if (done := _run(row).report) is not None]


def last_slots(connection: Connection) -> dict[str, datetime]:
    """The last scheduled instant each validation was run for."""
    slot = func.max(validation_runs.c.slot, type_=validation_runs.c.slot.type).label("slot")
    query = select(validation_runs.c.validation, slot).where(validation_runs.c.slot.is_not(None))
    return {row.validation: row.slot for row in connection.execute(query.group_by(validation_runs.c.validation))}


def findings(
    connection: Connection, run: int, *, rule: str | None = None, offset: int = 0, limit: int = PAGE_FINDINGS
) -> list[Finding]:
    """One page of a run's findings."""
    query = select(validation_findings).where(validation_findings.c.run == run)
    if rule is not None:
        query = query.where(validation_findings.c.rule == rule)
    query = query.order_by(validation_findings.c.number).offset(offset).limit(limit)
    return [_finding(row) for row in connection.execute(query).mappings()]


def findings_of(connection: Connection, run: int, *, limit: int | None = None) -> Iterator[Finding]:
    """A run's findings in order, at most `limit`."""
    number, given = 0, 0
    while limit is None or given < limit:
        wanted = PAGE_FINDINGS if limit is None else min(limit - given, PAGE_FINDINGS)
        later = and_(validation_findings.c.run == run, validation_findings.c.number > number)
        query = select(validation_findings).where(later).order_by(validation_findings.c.number).limit(wanted)
        page = connection.execute(query).mappings().all()
        if not page:
            return
        yield from map(_finding, page)
        number, given = page[-1]["number"], given + len(page)


def _running(run: int) -> Any:
    return and_(validation_runs.c.id == run, validation_runs.c.state == ValidationRunState.RUNNING.value)


def _finished(validation: str) -> Any:
    return and_(
        validation_runs.c.validation == validation, validation_runs.c.state == ValidationRunState.FINISHED.value
    )


def _prune(connection: Connection, validation: str) -> None:
    """Remove runs beyond KEEP_RUNS, oldest first."""
    mine = select(validation_runs.c.id).where(validation_runs.c.validation == validation)
    boundary = connection.execute(
        mine.order_by(validation_runs.c.id.desc()).offset(KEEP_RUNS).limit(1)
    ).scalar_one_or_none()
    if boundary is None:
        return
    old = mine.where(
        validation_runs.c.id <= boundary, validation_runs.c.state == ValidationRunState.FINISHED.value
    ).order_by(validation_runs.c.id)
    if numbers := list(connection.execute(old.limit(MAX_PRUNED)).scalars()):
        connection.execute(delete(validation_findings).where(validation_findings.c.run.in_(numbers)))
        connection.execute(delete(validation_runs).where(validation_runs.c.id.in_(numbers)))


def _row(run: int, number: int, finding: Finding) -> dict[str, object]:
    return {
        "run": run,
        "number": number,
        "rule": finding.rule,
        "key": dict(finding.key),
        "field": finding.field,
        "value": finding.value,
        "problem": dict(finding.problem),
    }


def _finding(row: RowMapping) -> Finding:
    return Finding(rule=row["rule"], key=row["key"], field=row["field"], value=row["value"], problem=row["problem"])


def _run(row: RowMapping) -> ValidationRun:
    state = ValidationRunState(row["state"])
    done = None
    if state is ValidationRunState.FINISHED:
        done = ValidationReport(
            run=row["id"],
            validation=row["validation"],
            verdict=ValidationVerdict(row["verdict"]),
            reason=row["reason"],
            system=row["system"],
            dataset=row["dataset"],
            rows=row["rows"],
            rows_read=row["rows_read"],
            counts=row["counts"] or {},
            strategy=row["strategy"],
            strategy_reason=row["strategy_reason"] or {},
            bytes_read=row["bytes_read"],
            started_at=row["started_at"],
            seconds=row["seconds"],
            evidence=row["evidence"] or {},
        )
    return ValidationRun(
        run=row["id"],
        validation=row["validation"],
        trigger=row["trigger"],
        state=state,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        report=done,
    )
