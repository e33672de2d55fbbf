"""`tillwatch check` and `tillwatch doctor`: what is wrong, where, and the fix."""

import dataclasses
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli import diagnosis, lint
from tillwatch.cli.context import ExitCode, emit, options, say, table
from tillwatch.clock import SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import ConfigError, Problem
from tillwatch.runbook.parse import TWIN_SUFFIX

_COLUMNS = ("CHECK", "OUTCOME", "MESSAGE", "FIX")
_COUNTED = (
    "sites",
    "systems",
    "interfaces",
    "channels",
    "probes",
    "audits",
    "validations",
    "receivers",
    "rules",
    "runbooks",
)


def check(
    ctx: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Also fill in secrets and ask every system.")] = False,
) -> None:
    """Say everything that is wrong with the chain directory: file, line, column and the fix."""
    config: ChainConfig | None = None
    try:
        config = load(options(ctx).chain, secrets=live)
        problems = tuple(lint.problems(config, SystemClock()))
    except ConfigError as error:
        problems = error.problems
    findings = diagnosis.systems(config, SystemClock()) if live and config is not None and not problems else []
    document = {
        "ok": not problems and not diagnosis.failed(findings),
        "problems": [dataclasses.asdict(problem) for problem in problems],
        "counts": _counts(config) if config is not None else {},
        "systems": findings,
    }
    emit(ctx, document, lambda console: _render(console, config, problems, findings))
    if problems:
        if not options(ctx).json:
            _say(problems)
        raise typer.Exit(ExitCode.USAGE)
    if diagnosis.failed(findings):
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


def _counts(config: ChainConfig) -> dict[str, int]:
    counts = {name: len(getattr(config, name)) for name in _COUNTED}
    # The English half of a runbook is not a runbook of its own.
    return counts | {"runbooks": sum(not path.name.endswith(TWIN_SUFFIX) for path in config.runbooks)}


def _render(
    console: Console,
    config: ChainConfig | None,
    problems: tuple[Problem, ...],
    findings: list[diagnosis.Finding],
) -> None:
    if findings:
        _table(findings)(console)
    if config is not None and not problems:
        counts = ", ".join(f"{number} {name}" for name, number in _counts(config).items())
        console.print(f"ok: {counts}", markup=False)


def _say(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        say(str(problem))
    say(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}")


def doctor(ctx: typer.Context) -> None:
    """Try everything tillwatch depends on, and say the fix for what does not work. Changes and sends nothing."""
    findings = diagnosis.everything(options(ctx).chain, SystemClock())
    emit(ctx, {"ok": not diagnosis.failed(findings), "checks": findings}, _table(findings))
    if diagnosis.failed(findings):
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


def _table(findings: list[diagnosis.Finding]) -> Callable[[Console], None]:
    return table(_COLUMNS, [(one.name, one.outcome, one.message, one.fix) for one in findings])
