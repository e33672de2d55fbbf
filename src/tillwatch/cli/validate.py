"""`tillwatch validate list|run|show|export`: do the rows of a dataset keep their rules, and which do not."""

import io
import sys
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli import files
from tillwatch.cli.context import ExitCode, emit, language, local_time, opened, say, table
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Validation
from tillwatch.model.text import pick
from tillwatch.model.validation import ValidationReport, ValidationRun, ValidationVerdict
from tillwatch.store import validations as records
from tillwatch.validation.verdict import document

app = typer.Typer(help="Check the rows of one system by declared rules.", no_args_is_help=True)

#: Findings drawn for people; the export has all that were kept.
MAX_ROWS_DRAWN = 50

_EXIT = {
    ValidationVerdict.CLEAN: ExitCode.OK,
    ValidationVerdict.INVALID: ExitCode.PROBLEM_FOUND,
    ValidationVerdict.INCONCLUSIVE: ExitCode.COULD_NOT_RUN,
    ValidationVerdict.FAILED: ExitCode.COULD_NOT_RUN,
}


@app.command("list")
def list_validations(ctx: typer.Context) -> None:
    """Every declared validation with its last run."""
    with opened(ctx) as application:
        chain: ChainConfig = application.config
        with application.database.read() as connection:
            last = {
                spec.id: next(iter(records.runs(connection, validation=spec.id, limit=1)), None)
                for spec in chain.validations
            }
    words = language(ctx, chain)
    rows = [_row(spec, last[spec.id], chain, words) for spec in chain.validations]
    columns = ("VALIDATION", "NAME", "DATASET", "RULES", "SCHEDULE", "RUN", "VERDICT", "VIOLATIONS", "STARTED")
    emit(ctx, [_listed(spec, last[spec.id]) for spec in chain.validations], table(columns, rows))


@app.command("run")
def run(
    ctx: typer.Context,
    validation: Annotated[str, typer.Argument(metavar="ID", help="The validation to run.")],
) -> None:
    """Run one validation now. Exit code 0 when every row keeps every rule, 1 when not, 3 when it could not be told."""
    with opened(ctx) as application:
        report: ValidationReport = application.validations.run(validation, trigger="cli")
        chain: ChainConfig = application.config
    emit(ctx, document(report), lambda console: _draw(console, report, chain, language(ctx, chain)))
    if code := _EXIT[report.verdict]:
        raise typer.Exit(code)


@app.command("show")
def show(ctx: typer.Context, run: files.Run) -> None:
    """What a run found, with every finding that was kept."""
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
    """Write a run's findings as a file for people. Cells are data, never formulas."""
    files.refuse_mixture(ctx, format, output)
    with opened(ctx) as application:
        content = application.validations.export(run, format, language=language(ctx, application.config))
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    files.write(ctx, run, format, io.BytesIO(content), output)


def _listed(spec: Validation, last: ValidationRun | None) -> dict[str, object]:
    """One element of `validate list --json`."""
    report = last.report if last else None
    return {
        "validation": spec.id,
        "name": dict(spec.name),
        "system": spec.system,
        "dataset": spec.dataset,
        "rules": [rule.name for rule in spec.rules],
        "schedule": spec.schedule,
        "severity": spec.severity,
        "run": last.run if last else None,
        "state": last.state if last else "",
        "verdict": report.verdict if report else "",
        "reason": report.reason if report else "",
        "violations": report.broken if report else 0,
        "started_at": last.started_at if last else None,
    }


def _row(spec: Validation, last: ValidationRun | None, chain: ChainConfig, words: str) -> tuple[object, ...]:
    report = last.report if last else None
    return (
        spec.id,
        pick(spec.name, words),
        f"{spec.system}.{spec.dataset}",
        len(spec.rules),
        spec.schedule,
        last.run if last else "",
        report.verdict if report else last.state if last else "never run",
        report.broken if report else "",
        local_time(chain, last.started_at if last else None),
    )


def _draw(console: Console, report: ValidationReport, chain: ChainConfig, words: str) -> None:
    console.print(
        f"run {report.run} · {report.validation}: {report.verdict} · {report.reason}\n"
        f"{report.system}.{report.dataset}: {report.rows} rows · {report.seconds:.1f} s, {report.strategy} · "
        f"{local_time(chain, report.started_at)}\n{pick(report.strategy_reason, words)}",
        markup=False,
    )
    if not report.findings:
        return
    rows = [
        (
            finding.rule,
            "/".join(part or "NULL" for part in finding.key.values()),
            finding.field,
            "NULL" if finding.value is None else finding.value,
            pick(finding.problem, words),
        )
        for finding in report.findings[:MAX_ROWS_DRAWN]
    ]
    table(("RULE", "KEY", "FIELD", "VALUE", "PROBLEM"), rows)(console)
    if (more := report.broken - len(rows)) > 0:
        say(f"{more} more; 'tillwatch validate export {report.run} --format xlsx -o FILE' has those that were kept")
