"""`tillwatch route explain`: who would be told about an alert, when, and why."""

from typing import Annotated

import typer
from rich.console import Console

from tillwatch.alerting.route import explain, route
from tillwatch.cli.context import config, emit
from tillwatch.errors import UsageError

app = typer.Typer(help="The routing tree.", no_args_is_help=True)


@app.command("explain")
def explain_route(
    ctx: typer.Context,
    labels: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE…", help="The labels of an alert.")],
) -> None:
    """Walk the routing tree with an alert of these labels; nothing is sent and no server is needed."""
    asked = parse_labels(labels)
    chain = config(ctx, secrets=False)
    channels = {receiver.id: receiver.channels for receiver in chain.receivers}
    routed = route(asked, chain.route)
    visits = explain(asked, chain.route)
    document = {
        "labels": asked,
        "receivers": [
            {
                "receiver": one.receiver,
                "channels": channels.get(one.receiver, ()),
                "group_wait_seconds": one.group_wait.total_seconds(),
                "group_interval_seconds": one.group_interval.total_seconds(),
                "repeat_interval_seconds": one.repeat_interval.total_seconds(),
                "path": one.path,
            }
            for one in routed
        ],
        "visited": [
            {"depth": one.depth, "node": one.name, "matched": one.matched, "reason": one.reason} for one in visits
        ],
    }

    def draw(console: Console) -> None:
        for one in visits:
            mark = "yes" if one.matched else "no "
            console.print(f"{'  ' * one.depth}{mark} {one.name}: {one.reason}", markup=False)
        for found in routed:
            through = ", ".join(channels.get(found.receiver, ())) or "no channel"
            clocks = (found.group_wait, found.group_interval, found.repeat_interval)
            wait, news, again = (f"{clock.total_seconds():g}s" for clock in clocks)
            told = f"{found.receiver} is told through {through} after {wait}, of news every {news}, again every {again}"
            console.print(told, markup=False)

    emit(ctx, document, draw)


def parse_labels(pairs: list[str]) -> dict[str, str]:
    """`name=value` pairs. Raises UsageError for anything else and for a name given twice."""
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"'{pair}' is not a label; write NAME=VALUE, for example severity=critical")
        if name in labels:
            raise UsageError(f"label '{name}' is given twice")
        labels[name] = value
    return labels
