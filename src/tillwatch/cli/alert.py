"""`tillwatch alert list`: what fires now, what fell silent, and with --all what was."""

from typing import Annotated

import typer

from tillwatch.cli.context import ExitCode, emit, language, local_time, opened, table
from tillwatch.store import alerts
from tillwatch.store.incidents import alert_document

app = typer.Typer(help="Alerts as they arrived.", no_args_is_help=True)

#: Rows printed without --limit.
DEFAULT_LIMIT = 100


@app.command("list")
def list_alerts(
    ctx: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also what is resolved, newest first.")] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="What arrived but could not be understood, with the reason.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")] = DEFAULT_LIMIT,
) -> None:
    """List alerts. Exit code 1 while one fires or its source is silent."""
    with opened(ctx) as application:
        chain = application.config
        with application.database.read() as connection:
            if quarantined:
                kept = alerts.quarantined(connection, limit=limit)
                rows = [
                    (one["id"], local_time(chain, one["received_at"]), one["source"], one["reason"]) for one in kept
                ]
                emit(ctx, kept, table(("ID", "RECEIVED", "SOURCE", "REASON"), rows))
                return
            found = alerts.latest(connection, limit=limit) if all_ else alerts.active(connection, limit=limit)
    summary = "summary_zh" if language(ctx, chain) == "zh" else "summary"
    lines = [
        (
            one.state.value,
            one.labels.get("severity", ""),
            one.name,
            " ".join(
                f"{name}={one.labels[name]}"
                for name in ("site", "system", "interface", "instance")
                if name in one.labels
            ),
            local_time(chain, one.starts_at),
            one.incident,
            one.annotations.get(summary) or one.annotations.get("summary", ""),
        )
        for one in found
    ]
    emit(
        ctx,
        [alert_document(one) for one in found],
        table(("STATE", "SEVERITY", "ALERT", "ABOUT", "SINCE", "INCIDENT", "SUMMARY"), lines),
    )
    if any(one.is_live and not one.is_heartbeat for one in found):
        raise typer.Exit(ExitCode.PROBLEM_FOUND)
