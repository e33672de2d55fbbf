"""`tillwatch incident list|show|ack|unack|snooze|assign|note|resolve|export`."""

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, emit, language, local_time, opened, say, table
from tillwatch.cli.postmortem import markdown, title_of
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.incident.explain import explain
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.oncall.duty import Duty
from tillwatch.schedule import parse_duration
from tillwatch.store import incidents as store
from tillwatch.store import similar
from tillwatch.web.formats import Formats
from tillwatch.web.language import CHINESE, ENGLISH, texts
from tillwatch.web.views.timeline import entry_views

app = typer.Typer(help="Incidents: what a person on call works on.", no_args_is_help=True)

DEFAULT_LIMIT = 50

Number = Annotated[int, typer.Argument(metavar="INCIDENT", min=1, help="Number of the incident.")]
Actor = Annotated[str, typer.Option("--actor", help="Who does this; the login name when not given.")]


@app.command("list")
def list_incidents(
    ctx: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also resolved ones, newest first.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")] = DEFAULT_LIMIT,
) -> None:
    """List incidents. Exit code 1 while one is open."""
    with opened(ctx) as application:
        chain = application.config
        with application.database.read() as connection:
            found = (
                store.latest(connection, limit=limit) if all_ else list(reversed(store.list_open(connection)))[:limit]
            )
    speech = language(ctx, chain)
    rows = [
        (
            incident.id,
            incident.state.value,
            incident.severity.value,
            str(incident.component),
            local_time(chain, incident.opened_at),
            incident.value_at_risk,
            incident.assigned_to or incident.acknowledged_by,
            title_of(incident, speech) + (f" (#{incident.parent})" if incident.parent else ""),
        )
        for incident in found
    ]
    columns = ("INCIDENT", "STATE", "SEVERITY", "ABOUT", "OPENED", "AT RISK", "WHO", "TITLE")
    emit(ctx, [store.summary(incident) for incident in found], table(columns, rows))
    if any(incident.state is not IncidentState.RESOLVED for incident in found):
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("show")
def show(ctx: typer.Context, incident: Number) -> None:
    """Everything about one incident. Exit code 1 while it is open."""
    with opened(ctx) as application:
        chain = application.config
        found, document, text = _told(ctx, application, incident)
    emit(ctx, document, lambda console: console.print(text, markup=False, soft_wrap=True))
    if found.state is not IncidentState.RESOLVED:
        say(f"incident {found.id} is {found.state} since {local_time(chain, found.opened_at)}")
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("export")
def export(
    ctx: typer.Context,
    incident: Number,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout when not given.")] = None,
) -> None:
    """The incident as a post-mortem in Markdown: what, when, who, evidence. With --json the whole document."""
    with opened(ctx) as application:
        _, document, text = _told(ctx, application, incident)
    if output is None:
        emit(ctx, document, lambda console: console.print(text, markup=False, soft_wrap=True))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    emit(ctx, {"incident": incident, "file": str(output)}, lambda console: console.print(f"{output}", markup=False))


@app.command("ack")
def acknowledge(
    ctx: typer.Context,
    incident: Number,
    lasting: Annotated[str, typer.Option("--for", help="So long, for example 2h; then it escalates again.")] = "",
    actor: Actor = "",
) -> None:
    """Say that somebody is on it; reminders and escalations stop."""
    span = parse_duration(lasting) if lasting else None
    with opened(ctx) as application:
        changed = application.desk.acknowledge(incident, _who(actor), lasting=span)
        _changed(ctx, application.config, changed)


@app.command("unack")
def unacknowledge(
    ctx: typer.Context,
    incident: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why it is given back.")] = "",
    actor: Actor = "",
) -> None:
    """Give it back: nobody is on it any more, and whoever is next is told."""
    with opened(ctx) as application:
        _changed(ctx, application.config, application.desk.unacknowledge(incident, _who(actor), reason))


@app.command("snooze")
def snooze(
    ctx: typer.Context,
    incident: Number,
    lasting: Annotated[str, typer.Option("--for", help="So long, for example 45m.")],
    reason: Annotated[str, typer.Option("--reason", help="What is waited for.")] = "",
    actor: Actor = "",
) -> None:
    """Quiet for a while although nobody is on it; a raised severity ends it."""
    span = parse_duration(lasting)
    with opened(ctx) as application:
        _changed(ctx, application.config, application.desk.snooze(incident, _who(actor), span, reason))


@app.command("assign")
def assign(
    ctx: typer.Context,
    incident: Number,
    assignee: Annotated[str, typer.Argument(help="Who works on it.")],
    actor: Actor = "",
) -> None:
    """Say who works on it."""
    with opened(ctx) as application:
        _changed(ctx, application.config, application.desk.assign(incident, _who(actor), assignee))


@app.command("note")
def note(
    ctx: typer.Context,
    incident: Number,
    text: Annotated[str, typer.Argument(help="What to write into the timeline.")],
    actor: Actor = "",
) -> None:
    """Write something down; possible at any time."""
    with opened(ctx) as application:
        _changed(ctx, application.config, application.desk.note(incident, _who(actor), text))


@app.command("resolve")
def resolve(
    ctx: typer.Context,
    incident: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why nothing will ever say that it is over.")],
    actor: Actor = "",
) -> None:
    """Close an incident whose sources are gone. Refused (exit code 4) while any of its alerts fires."""
    with opened(ctx) as application:
        _changed(ctx, application.config, application.desk.resolve(incident, _who(actor), reason))


def _who(actor: str) -> str:
    return actor.strip() or getpass.getuser()


def _changed(ctx: typer.Context, chain: ChainConfig, incident: Incident) -> None:
    title = title_of(incident, language(ctx, chain))

    def draw(console: Console) -> None:
        console.print(f"#{incident.id} {incident.state.value} {title}", markup=False)

    emit(ctx, store.summary(incident), draw)


def _told(ctx: typer.Context, application: Any, number: int) -> tuple[Incident, dict[str, Any], str]:
    """The incident, its JSON document, and its Markdown in the reader's language."""
    chain: ChainConfig = application.config
    with application.database.read() as connection:
        incident = store.get(connection, number)
        document = store.document(connection, number)
        document["similar"] = similar.document(similar.of(connection, incident))
        document["explain"] = explain(incident, Duty.of(chain), application.clock.now()).document()
        entries = store.timeline(connection, number)
    t = texts(CHINESE if language(ctx, chain) == "zh" else ENGLISH)
    now = application.clock.now()
    f = Formats(t=t, zone=chain.chain.timezone, currency=chain.chain.currency, now=now)
    return incident, document, markdown(incident, document, list(reversed(entry_views(entries, chain, t, f))), t, f)
