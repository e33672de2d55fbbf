"""`tillwatch audit list|run|show|export`: do both sides agree, and where not."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from tillwatch.audit import export as exports
from tillwatch.audit.reading import Progress
from tillwatch.audit.sentences import how, reason
from tillwatch.audit.tiers import Tier
from tillwatch.audit.timetable import next_instant
from tillwatch.audit.verdict import document, money
from tillwatch.cli import files
from tillwatch.cli.context import ExitCode, config, emit, language, local_time, opened, say, table
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit
from tillwatch.model.audit import AuditReport, AuditRun, Difference, Verdict
from tillwatch.model.text import pick
from tillwatch.store import audits as records

app = typer.Typer(help="Run and read consistency audits.", no_args_is_help=True)

#: Differences drawn for people; the export has them all.
MAX_ROWS_DRAWN = 50

_EXIT = {
    Verdict.CLEAN: ExitCode.OK,
    Verdict.DRIFT: ExitCode.PROBLEM_FOUND,
    Verdict.SYNC_LAG: ExitCode.PROBLEM_FOUND,
    Verdict.INCONCLUSIVE: ExitCode.COULD_NOT_RUN,
    Verdict.FAILED: ExitCode.COULD_NOT_RUN,
}


@app.command("list")
def list_audits(
    ctx: typer.Context,
    expanded: Annotated[
        bool, typer.Option("--expanded", help="What is compared instead, with what presets and defaults fill in.")
    ] = False,
) -> None:
    """Every declared audit with its last run."""
    if expanded:
        audits = config(ctx, secrets=False).audits
        filled = ("AUDIT", "PRESET", "KEY", "FIELDS", "VALUE", "SEVERITY")
        emit(ctx, [_expanded(spec) for spec in audits], table(filled, [_expanded_row(spec) for spec in audits]))
        return
    with opened(ctx) as application:
        chain: ChainConfig = application.config
        with application.database.read() as connection:
            last = {
                spec.id: next(iter(records.runs(connection, audit=spec.id, limit=1)), None) for spec in chain.audits
            }
        now = application.clock.now()
    due = {spec.id: next_instant(spec, chain, now) for spec in chain.audits}
    rows = [_row(ctx, chain, spec, last[spec.id], due[spec.id]) for spec in chain.audits]
    columns = (
        "AUDIT", "NAME", "LEFT", "RIGHT", "SCHEDULE", "NEXT", "RUN", "VERDICT", "DIFFERENCES", "AT RISK", "STARTED",
    )  # fmt: skip
    emit(ctx, [_listed(spec, last[spec.id], due[spec.id]) for spec in chain.audits], table(columns, rows))


@app.command("run")
def run(
    ctx: typer.Context,
    audit: Annotated[str, typer.Argument(metavar="ID", help="The audit to run.")],
    strategy: Annotated[
        Tier | None, typer.Option("--strategy", help="How to compare, this time; refused when it would prove nothing.")
    ] = None,
) -> None:
    """Run one audit now. Exit code 0 when both sides agree, 1 on drift or lag, 3 when it could not be found out."""
    with opened(ctx) as application, _watched(audit) as progress:
        report: AuditReport = application.audits.run(
            audit, trigger="cli", strategy=str(strategy or ""), progress=progress
        )
        chain: ChainConfig = application.config
    emit(ctx, document(report), lambda console: _draw(console, report, chain, language(ctx, chain)))
    if code := _EXIT[report.verdict]:
        raise typer.Exit(code)


@app.command("show")
def show(ctx: typer.Context, run: files.Run) -> None:
    """What a run found, with every difference that was kept."""
    with opened(ctx) as application:
        chain: ChainConfig = application.config
        with application.database.read() as connection:
            report = records.report(connection, run)
    emit(ctx, document(report), lambda console: _draw(console, report, chain, language(ctx, chain)))


@app.command("export")
def export(
    ctx: typer.Context,
    run: files.Run,
    format: files.Format = "csv",
    output: files.Output = None,
) -> None:
    """Write a run's report as a file for people. Cells are data, never formulas."""
    files.refuse_mixture(ctx, format, output)
    with opened(ctx) as application:
        chain: ChainConfig = application.config
        words = language(ctx, chain)
        if output is None:
            exports.write(application.database, run, format, sys.stdout.buffer, config=chain, language=words)
            sys.stdout.buffer.flush()
            return
        with exports.document(application.database, run, format, config=chain, language=words) as content:
            files.write(ctx, run, format, content, output)


@app.command("sign-off")
def sign_off(
    ctx: typer.Context,
    run: files.Run,
    reason: Annotated[str, typer.Option("--reason", help="Why this is all right, or what is done about it.")],
    actor: Annotated[str, typer.Option("--as", help="Who signs; the name of the login when not given.")] = "",
) -> None:
    """Answer for what a run found, by name and with a reason. The drift stays drift."""
    with opened(ctx) as application:
        signed = application.audits.sign_off(run, actor or getpass.getuser(), reason)
        chain: ChainConfig = application.config
    result = {"run": signed.run, "actor": signed.actor, "reason": signed.reason, "at": signed.at}
    said = f"run {signed.run} signed off by {signed.actor} at {local_time(chain, signed.at)}: {signed.reason}"
    emit(ctx, result, lambda console: console.print(said, markup=False))


@contextmanager
def _watched(audit: str) -> Iterator[Callable[[Progress], None]]:
    """A progress line on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(audit)
        yield lambda rows: bar.update(task, description=f"{audit}: {rows.left:,} / {rows.right:,} rows")


def _listed(spec: Audit, last: AuditRun | None, due: datetime | None) -> dict[str, object]:
    """One element of `audit list --json`."""
    report = last.report if last else None
    return {
        "audit": spec.id,
        "name": dict(spec.name),
        "interface": spec.interface,
        "left": {"system": spec.left.system, "dataset": spec.left.dataset},
        "right": {"system": spec.right.system, "dataset": spec.right.dataset},
        "schedule": spec.schedule,
        "when": spec.when.model_dump(mode="json") if spec.when else None,
        "next_at": due,
        "severity": spec.severity,
        "owner": spec.owner,
        "run": last.run if last else None,
        "state": last.state if last else "",
        "verdict": report.verdict if report else "",
        "reason": report.reason if report else "",
        "within_thresholds": report.tolerated if report else False,
        "differences": _found(report) if report else 0,
        "value_at_risk": money(report.value_at_risk) if report else "0.00",
        "started_at": last.started_at if last else None,
    }


def _expanded(spec: Audit) -> dict[str, object]:
    """One element of `audit list --expanded --json`."""
    return {
        "audit": spec.id,
        "preset": spec.preset,
        "key": spec.key,
        "fields": {name: field.model_dump(mode="json", exclude_defaults=True) for name, field in spec.fields.items()},
        "value": spec.value,
        "severity": spec.severity,
    }


def _expanded_row(spec: Audit) -> tuple[object, ...]:
    fields = (
        " ".join([name, *(str(value) for value in field.model_dump(mode="json", exclude_defaults=True).values())])
        for name, field in spec.fields.items()
    )
    return (spec.id, spec.preset or "", ", ".join(spec.key), ", ".join(fields), spec.value, spec.severity)


def _row(
    ctx: typer.Context, chain: ChainConfig, spec: Audit, last: AuditRun | None, due: datetime | None
) -> tuple[object, ...]:
    report = last.report if last else None
    return (
        spec.id,
        pick({str(key): text for key, text in spec.name.items()}, language(ctx, chain)),
        f"{spec.left.system}.{spec.left.dataset}",
        f"{spec.right.system}.{spec.right.dataset}",
        spec.schedule,
        local_time(chain, due) if due else "never",
        last.run if last else "",
        _verdict(report) if report else last.state if last else "never run",
        _found(report) if report else "",
        money(report.value_at_risk) if report else "",
        local_time(chain, last.started_at if last else None),
    )


def _verdict(report: AuditReport) -> str:
    return f"{report.verdict}, within thresholds" if report.tolerated else str(report.verdict)


def _found(report: AuditReport) -> int:
    return report.missing + report.extra + report.changed


def _draw(console: Console, report: AuditReport, chain: ChainConfig, words: str) -> None:
    console.print(
        f"run {report.run} · {report.audit}: {report.verdict} · {reason(report.reason, words)}\n"
        f"{report.left.system}.{report.left.dataset}: {report.left.rows} rows · "
        f"{report.right.system}.{report.right.dataset}: {report.right.rows} rows · "
        f"{money(report.value_at_risk)} {chain.chain.currency} at risk · {report.seconds:.1f} s, {report.strategy} · "
        f"{local_time(chain, report.started_at)}\n{how(report, words)}",
        markup=False,
    )
    if not report.differences:
        return
    columns = ("KIND", "KEY", "FIELD", report.left.system.upper(), report.right.system.upper(), "AT RISK")
    table(columns, [line for row in report.differences[:MAX_ROWS_DRAWN] for line in _lines(row)])(console)
    if (more := _found(report) - MAX_ROWS_DRAWN) > 0:
        say(f"{more} more; 'tillwatch audit export {report.run} --format xlsx -o FILE' has them")


def _lines(row: Difference) -> Iterator[tuple[object, ...]]:
    """One line a field that matters: those that differ, or all of a row that stands on one side only."""
    fields = row.fields or tuple(row.left or row.right or {"": None})
    for number, field in enumerate(fields):
        first = (row.kind, "/".join(row.key.values())) if number == 0 else ("", "")
        worth = money(row.value_at_risk) if number == 0 else ""
        yield (*first, field, _cell(row.left, field), _cell(row.right, field), worth)


def _cell(side: object, field: str) -> str:
    if side is None:
        return "-"
    assert isinstance(side, dict)
    value = side.get(field)
    return "NULL" if value is None else str(value)
