"""`tillwatch channel`: the ways to reach people, and a test that says what the service answered."""

import secrets
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, config, emit, language, table
from tillwatch.clock import SystemClock
from tillwatch.model.text import pick
from tillwatch.notify import registry, trial
from tillwatch.notify.base import Delivery, Result

app = typer.Typer(help="Ways to reach people.", no_args_is_help=True)


@app.command("list")
def list_channels(ctx: typer.Context) -> None:
    """Every channel, where it sends to and who uses it."""
    chain = config(ctx)
    notifiers = registry.build(chain, clock=SystemClock())
    rows = [
        {
            "id": channel.id,
            "kind": channel.kind,
            "name": dict(channel.name),
            "target": notifiers.get(channel.id).describe(),
            "receivers": [receiver.id for receiver in chain.receivers if channel.id in receiver.channels],
        }
        for channel in chain.channels
    ]
    notifiers.close()
    words = language(ctx, chain)
    cells = [
        (row["id"], row["kind"], pick(channel.name, words, channel.id), row["target"], ", ".join(row["receivers"]))
        for row, channel in zip(rows, chain.channels, strict=True)
    ]
    emit(ctx, rows, table(("CHANNEL", "KIND", "NAME", "TARGET", "RECEIVERS"), cells))


@app.command("test")
def test(ctx: typer.Context, channel: Annotated[str, typer.Argument(help="The channel's id.")]) -> None:
    """Send one test message now and say what the service answered. Exit 1 when it did not arrive."""
    chain = config(ctx)
    spec = chain.channel(channel)
    clock = SystemClock()
    notifiers = registry.build(chain, clock=clock, only=(channel,))
    text = trial.message(chain, spec, clock.now(), nonce=secrets.token_hex(4))
    try:
        delivery, _ = trial.send(notifiers.get(channel), text, clock=clock)
    finally:
        notifiers.close()
    document = {
        "channel": channel,
        "result": delivery.result,
        "code": delivery.code,
        "detail": delivery.detail,
        "seconds": round(delivery.seconds, 3),
    }
    emit(ctx, document, lambda console: _render(console, channel, delivery))
    if delivery.result is not Result.DELIVERED:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


def _render(console: Console, channel: str, delivery: Delivery) -> None:
    line = f"{channel}: {delivery.result} ({delivery.code}) in {delivery.seconds:.2f} s"
    console.print(f"{line}: {delivery.detail}" if delivery.detail else line, markup=False)
