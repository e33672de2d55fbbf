"""Validation runs and their findings. A run is written down before it starts and completed in one transaction."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, insert, select

from tillwatch.errors import UsageError
from tillwatch.model.validation import (
    Finding,
    ValidationReport,
    ValidationRun,
    ValidationRunState,
    ValidationVerdict,
)
from tillwatch.store.lifecycle import Lifecycle
from tillwatch.store.tables.validations import validation_findings, validation_own, validation_runs

#: Runs kept of each validation.
KEEP_RUNS = 1_000
#: Runs whose groups are kept for the rules against their own history.
KEEP_OWN = 30
#: Findings read in one query when all of a run are wanted.
PAGE_FINDINGS = 1_000
#: Verdicts that are an answer.
CONCLUSIVE = (ValidationVerdict.CLEAN.value, ValidationVerdict.INVALID.value)
LIFE = Lifecycle(runs=validation_runs, of="validation", found=validation_findings)


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
    blank = {"system": system, "dataset": dataset, "rows": 0, "rows_read": 0}
    return LIFE.begin(
        connection, validation, trigger=trigger, slot=slot, owner=owner, now=now, lease_until=lease_until, blank=blank
    )


def finish(connection: Connection, report: ValidationReport, *, owner: str, now: datetime) -> bool:
    """Store the report of a run and its findings. False when the run was given up meanwhile: nothing is stored."""
    values = {
        "started_at": report.started_at,
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
    if not LIFE.complete(connection, report.run, owner, now, values):
        return False
    if report.findings:
        rows = [_row(report.run, number, item) for number, item in enumerate(report.findings, start=1)]
        connection.execute(insert(validation_findings), rows)
    _keep_own(connection, report)
    LIFE.prune(connection, report.validation, keep=KEEP_RUNS)
    return True


def give_up(connection: Connection, now: datetime) -> list[ValidationRun]:
    """Runs whose owner gave no sign of life until `now`, marked failed: `interrupted`. Returned to be run again."""
    return [run_of(connection, number) for number in LIFE.give_up(connection, now)]


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
    return LIFE.in_vain(connection, validation, limit, answers=CONCLUSIVE)


def latest(connection: Connection, *, conclusive: bool = False) -> dict[str, ValidationReport]:
    """The newest finished report of each validation, without findings; with `conclusive` the newest with an answer."""
    query = select(validation_runs).where(LIFE.newest(verdicts=CONCLUSIVE if conclusive else ()))
    reports = [_run(row).report for row in connection.execute(query).mappings()]
    return {done.validation: done for done in reports if done is not None}


def answered(connection: Connection, validation: str, limit: int) -> list[ValidationReport]:
    """The newest runs with an answer, newest first, without findings."""
    query = select(validation_runs).where(_finished(validation), validation_runs.c.verdict.in_(CONCLUSIVE))
    rows = connection.execute(query.order_by(validation_runs.c.id.desc()).limit(limit)).mappings()
    return [done for row in rows if (done := _run(row).report) is not None]


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


def own(connection: Connection, validation: str, rule: str) -> list[dict[str, float]]:
    """What each of the newest runs kept of each group under `rule`, newest first."""
    query = (
        select(validation_own.c["values"])
        .join(validation_runs, validation_runs.c.id == validation_own.c.run)
        .where(validation_runs.c.validation == validation, validation_own.c.rule == rule)
        .order_by(validation_own.c.run.desc())
        .limit(KEEP_OWN)
    )
    return list(connection.execute(query).scalars())


def _keep_own(connection: Connection, report: ValidationReport) -> None:
    if not report.own:
        return
    rows = [{"run": report.run, "rule": rule, "values": dict(values)} for rule, values in report.own.items()]
    connection.execute(insert(validation_own), rows)
    for rule in report.own:
        mine = select(validation_own.c.run).join(validation_runs, validation_runs.c.id == validation_own.c.run)
        mine = mine.where(validation_runs.c.validation == report.validation, validation_own.c.rule == rule)
        old = list(connection.execute(mine.order_by(validation_own.c.run.desc()).offset(KEEP_OWN)).scalars())
        connection.execute(delete(validation_own).where(validation_own.c.rule == rule, validation_own.c.run.in_(old)))


def _finished(validation: str) -> Any:
    return and_(
        validation_runs.c.validation == validation, validation_runs.c.state == ValidationRunState.FINISHED.value
    )


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
