"""`tillwatch probe list|run`: what is watched, and looking now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, emit, language, local_time, opened, table
from tillwatch.config.schema import Probe
from tillwatch.errors import UsageError
from tillwatch.model.probe import Measurement, Outcome, ProbeResult, ProbeState
from tillwatch.model.text import pick
from tillwatch.store import probes as memory

app = typer.Typer(help="Run and list probes.", no_args_is_help=True)


@app.command("list")
def list_probes(ctx: typer.Context) -> None:
    """Every declared probe with its state and last result."""
    with opened(ctx) as application:
        chain = application.config
        with application.database.read() as connection:
            states = memory.load_states(connection)
    documents = [listed(probe, states.get(probe.id)) for probe in chain.probes]
    rows = [
        (
            probe.id,
            pick(dict(probe.name.items()), language(ctx, chain), ""),
            probe.prober,
            probe.interface or probe.system,
            f"{probe.every.total_seconds():g}s",
            document["status"],
            document["outcome"],
            document["cause"],
            local_time(chain, checked_at(states.get(probe.id))),
        )
        for probe, document in zip(chain.probes, documents, strict=True)
    ]
    columns = ("PROBE", "NAME", "PROBER", "ABOUT", "EVERY", "STATUS", "LAST", "CAUSE", "CHECKED")
    emit(ctx, documents, table(columns, rows))


@app.command("run")
def run(
    ctx: typer.Context,
    probes: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Probes to run.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Run every probe.")] = False,
) -> None:
    """Run probes now, all at once, and count their results. Exit code 1 when one failed, 3 when one could not look."""
    wanted = probes or []
    if all_ == bool(wanted):
        raise UsageError("name the probes to run, or give --all; 'tillwatch probe list' shows them")
    with opened(ctx) as application:
        chain = application.config
        names = [probe.id for probe in chain.probes] if all_ else wanted
        results = application.probes.run_now(names)
    emit(ctx, [ran(result) for result in results], lambda console: _draw(console, results))
    if code := exit_code(results):
        raise typer.Exit(code)


def exit_code(results: list[ProbeResult]) -> int:
    """1 when something is wrong, 3 when somewhere we could not look, else 0."""
    outcomes = {result.outcome for result in results}
    if Outcome.FAILED in outcomes:
        return ExitCode.PROBLEM_FOUND
    return ExitCode.COULD_NOT_RUN if Outcome.UNKNOWN in outcomes else ExitCode.OK


def listed(probe: Probe, state: ProbeState | None) -> dict[str, object]:
    """One element of `probe list --json`."""
    last = state.last if state else None
    return {
        "probe": probe.id,
        "prober": probe.prober,
        "system": probe.system,
        "interface": probe.interface,
        "site": probe.site,
        "target": probe.target,
        "every_seconds": probe.every.total_seconds(),
        "timeout_seconds": probe.timeout.total_seconds(),
        "severity": probe.severity,
        "status": state.status if state else "pending",
        "since": state.since if state else None,
        "alertname": state.alertname if state else "",
        "outcome": last.outcome if last else "",
        "cause": last.cause if last else "",
        "message": last.message if last else "",
        "checked_at": checked_at(state),
    }


def checked_at(state: ProbeState | None) -> datetime | None:
    return state.last.started_at if state and state.last else None


def ran(result: ProbeResult) -> dict[str, object]:
    """One element of `probe run --json`."""
    return {
        "probe": result.probe,
        "outcome": result.outcome,
        "cause": result.cause,
        "message": result.message,
        "started_at": result.started_at,
        "seconds": result.seconds,
        "phases": result.phases,
        "measurements": {_spelled(item): item.value for item in result.measurements},
        "log": result.log,
        "evidence": result.evidence,
    }


def _spelled(measurement: Measurement) -> str:
    """As Prometheus writes it: `name{label="value"}`."""
    labels = ",".join(f'{name}="{value}"' for name, value in measurement.labels.items())
    return f"{measurement.name}{{{labels}}}" if labels else measurement.name


def _draw(console: Console, results: list[ProbeResult]) -> None:
    for result in results:
        cause = f" ({result.cause})" if result.cause else ""
        phases = _phases(result.phases)
        console.print(f"{result.probe}: {result.outcome}{cause} in {result.seconds:.3f} s{phases}", markup=False)
        if result.outcome is not Outcome.OK:
            for line in result.log:
                console.print(f"    {line}", markup=False)


def _phases(phases: Mapping[str, float]) -> str:
    return f" [{', '.join(f'{name} {seconds:.3f}' for name, seconds in phases.items())}]" if phases else ""
