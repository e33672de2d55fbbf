"""`tillwatch silence add|list|expire`: what must not be told, and until when."""

import getpass
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from tillwatch.alerting.reach import LiveAlerts, Reach
from tillwatch.alerting.silences import Draft
from tillwatch.app import App
from tillwatch.cli.context import emit, local_time, opened, say, table
from tillwatch.config.matcher import Matcher, parse_matcher
from tillwatch.errors import UsageError
from tillwatch.store.silences import Silence, SilenceState

app = typer.Typer(help="Silences: alerts that are told to nobody for a while.", no_args_is_help=True)

DEFAULT_MINUTES = 60
#: A year; a silence without an end is a rule somebody forgot to delete.
MAX_MINUTES = 365 * 24 * 60


@app.command("add")
def add(
    ctx: typer.Context,
    matchers: Annotated[list[str], typer.Argument(metavar="MATCHER…", help="""For example site="chaoyang".""")],
    comment: Annotated[str, typer.Option("--comment", help="Why; whoever wonders reads it.")] = "",
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=MAX_MINUTES, help="How long.")] = DEFAULT_MINUTES,
    starts_in: Annotated[int, typer.Option("--in", min=0, max=MAX_MINUTES, help="Begin in so many minutes.")] = 0,
    author: Annotated[str, typer.Option("--actor", help="Who does this; the login name when not given.")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only say what it would match now.")] = False,
) -> None:
    """Silence every alert that all MATCHERs match; says how many that are now, and of which incidents."""
    if preview:
        _preview(ctx, [parse_matcher(text) for text in matchers])
        return
    if not comment.strip():
        raise UsageError("--comment is missing; say why, so that nobody has to guess")
    with opened(ctx) as application:
        begins = application.clock.now() + timedelta(minutes=starts_in)
        draft = Draft(
            matchers=tuple(parse_matcher(text) for text in matchers),
            starts_at=begins,
            ends_at=begins + timedelta(minutes=minutes),
            created_by=author or getpass.getuser(),
            comment=comment,
        )
        silence = application.silences.get(application.silences.set(draft))
        alerts = LiveAlerts(application.records.active_alerts())
        shown, reach = _document(application, silence, alerts), alerts.reach(silence.matchers)
        until = local_time(application.config, silence.ends_at)
    emit(ctx, shown, lambda console: console.print(silence.id, markup=False))
    say(f"{_matches(reach)}; ends {until}")


@app.command("list")
def list_silences(
    ctx: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also those that ended within the last days.")] = False,
) -> None:
    """List silences with how many alerts each matches now."""
    with opened(ctx) as application:
        chain, now = application.config, application.clock.now()
        found = [one for one in application.silences.listed() if all_ or one.state(now) is not SilenceState.EXPIRED]
        alerts = LiveAlerts(application.records.active_alerts())
        shown = [_document(application, one, alerts) for one in found]
    rows = [
        (
            document["id"],
            document["state"],
            " ".join(map(str, one.matchers)),
            local_time(chain, one.starts_at),
            local_time(chain, one.ends_at),
            document["matches"],
            one.created_by,
            one.comment,
        )
        for one, document in zip(found, shown, strict=True)
    ]
    emit(ctx, shown, table(("SILENCE", "STATE", "MATCHERS", "FROM", "UNTIL", "MATCHES", "WHO", "WHY"), rows))


@app.command("expire")
def expire(ctx: typer.Context, silences: Annotated[list[str], typer.Argument(metavar="SILENCE…")]) -> None:
    """End silences now."""
    with opened(ctx) as application:
        for id in silences:
            application.silences.expire(id)
        alerts = LiveAlerts(application.records.active_alerts())
        emit(ctx, [_document(application, application.silences.get(id), alerts) for id in silences], lambda _: None)


def _preview(ctx: typer.Context, matchers: Sequence[Matcher]) -> None:
    with opened(ctx) as application:
        reach = LiveAlerts(application.records.active_alerts()).reach(matchers)
        titles = {one.id: one.title for one in application.records.open_incidents()}
    incidents = [
        {"incident": one.incident, "matches": one.matched, "alerts": one.live, "title": titles.get(one.incident, "")}
        for one in reach.incidents
    ]
    document = {"matchers": [str(one) for one in matchers], "matches": reach.alerts, "incidents": incidents}
    rows = [(one["incident"], f"{one['matches']} of {one['alerts']}", one["title"]) for one in incidents]
    emit(ctx, document, table(("INCIDENT", "ALERTS", "TITLE"), rows))
    say(f"{_matches(reach)}; nothing was set")


def _matches(reach: Reach) -> str:
    """`matches 3 alerts now, of incident 4, 5`."""
    ids = ", ".join(str(one.incident) for one in reach.incidents)
    return f"matches {reach.alerts} alerts now" + (f", of incident {ids}" if ids else "")


def _document(application: App, silence: Silence, alerts: LiveAlerts) -> dict[str, object]:
    reach = alerts.reach(silence.matchers)
    return {
        "id": silence.id,
        "state": silence.state(application.clock.now()),
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "created_by": silence.created_by,
        "comment": silence.comment,
        "matches": reach.alerts,
        "incidents": [one.incident for one in reach.incidents],
    }
