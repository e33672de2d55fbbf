"""`tillwatch route explain`: who would be told about an alert, when, and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.alerting.route import explain, route
from tillwatch.cli.context import config, emit, local_time
from tillwatch.clock import SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.matcher import matches_all, parse_matcher
from tillwatch.errors import UsageError
from tillwatch.incident import maintenance
from tillwatch.model.route import Routed
from tillwatch.oncall.duty import Duty

app = typer.Typer(help="The routing tree.", no_args_is_help=True)


@app.command("explain")
def explain_route(
    ctx: typer.Context,
    labels: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE…", help="The labels of an alert.")],
) -> None:
    """Walk the routing tree with an alert of these labels, now; nothing is sent and no server is needed."""
    asked = parse_labels(labels)
    chain = config(ctx, secrets=False)
    now = SystemClock().now()
    routed, visits = route(asked, chain.route), explain(asked, chain.route)
    recipients = [_recipient(chain, one, now) for one in routed]
    windows = [one for one in maintenance.active(chain.maintenance, chain.chain.timezone, now) if one.mutes(asked)]
    rules = [one for one in chain.inhibitions if matches_all(map(parse_matcher, one.target_matchers), asked)]
    document = {
        "labels": asked,
        "receivers": recipients,
        "visited": [
            {"depth": one.depth, "node": one.name, "matched": one.matched, "reason": one.reason} for one in visits
        ],
        "maintenance": [{"window": one.id, "until": one.ends_at} for one in windows],
        "inhibitions": [{"inhibition": one.id, "while": one.source_matchers, "equal": one.equal} for one in rules],
    }

    def draw(console: Console) -> None:
        for one in visits:
            mark = "yes" if one.matched else "no "
            console.print(f"{'  ' * one.depth}{mark} {one.name}: {one.reason}", markup=False)
        for found, recipient in zip(routed, recipients, strict=True):
            clocks = (found.group_wait, found.group_interval, found.repeat_interval)
            wait, news, again = (f"{clock.total_seconds():g}s" for clock in clocks)
            told = f"{found.receiver} is told through {_through(recipient)} after {wait}"
            console.print(f"{told}, of news every {news}, again every {again}", markup=False)
        for window in windows:
            until = local_time(chain, window.ends_at)
            console.print(f"but told to nobody until {until}: {window.id} ({window.comment})", markup=False)
        for rule in rules:
            agreed = f" with the same {', '.join(rule.equal)}" if rule.equal else ""
            cause = ",".join(rule.source_matchers)
            console.print(f"but told to nobody while {{{cause}}} fires{agreed}: {rule.id}", markup=False)

    emit(ctx, document, draw)


def _recipient(chain: ChainConfig, one: Routed, now: datetime) -> dict[str, object]:
    """Whom a receiver reaches just now: channels, the person on call, the policy that follows."""
    declared = chain.receiver(one.receiver)
    person = Duty.of(chain).who(declared.oncall, now).person if declared.oncall else ""
    return {
        "receiver": one.receiver,
        "channels": declared.channels,
        "oncall": declared.oncall,
        "person": person,
        "escalation": declared.escalation,
        "group_wait_seconds": one.group_wait.total_seconds(),
        "group_interval_seconds": one.group_interval.total_seconds(),
        "repeat_interval_seconds": one.repeat_interval.total_seconds(),
        "path": one.path,
    }


def _through(recipient: Mapping[str, object]) -> str:
    channels = recipient["channels"]
    ways = [str(channel) for channel in channels] if isinstance(channels, tuple) else []
    if recipient["oncall"]:
        ways.append(f"{recipient['person'] or 'nobody'} (on call in {recipient['oncall']})")
    if recipient["escalation"]:
        ways.append(f"the steps of {recipient['escalation']}")
    return ", ".join(ways) or "no channel"


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
