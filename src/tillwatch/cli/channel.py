"""`tillwatch channel`: the ways to reach people, and a test that says what the service answered."""

import secrets
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, config, emit, language, table
from tillwatch.clock import SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Channel
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import pick
from tillwatch.notify import registry
from tillwatch.notify.base import Delivery, Message, Result

app = typer.Typer(help="Ways to reach people.", no_args_is_help=True)

_TEST = {
    "zh": ("tillwatch 测试消息", "这是从「{chain}」发出的测试消息，不需要处理。收到它说明渠道「{channel}」可用。"),
    "en": (
        "tillwatch test",
        "A test from {chain}; nothing needs doing. If you read it, channel {channel} works.",
    ),
}


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
    message = _test_message(chain, spec, clock, nonce=secrets.token_hex(4))
    started = clock.monotonic()
    try:
        delivery = notifiers.get(channel).send(message, key=message.key)
    except DeliveryError as error:
        seconds = clock.monotonic() - started
        delivery = Delivery(result=Result.REJECTED, code=error.code, detail=str(error), seconds=seconds)
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


def _test_message(chain: ChainConfig, channel: Channel, clock: SystemClock, *, nonce: str) -> Message:
    locale = channel.locale or chain.chain.locale
    title, body = _TEST["zh" if locale.startswith("zh") else "en"]
    return Message(
        key=f"test:{nonce}:{channel.id}",
        kind=NoticeKind.MESSAGE,
        channel=channel.id,
        receiver="",
        locale=locale,
        title=title,
        body=body.format(
            chain=pick(chain.chain.name, locale, chain.chain.id), channel=pick(channel.name, locale, channel.id)
        ),
        severity="info",
        chain=chain.chain.id,
        at=clock.now(),
    )
