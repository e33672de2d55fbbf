"""The message that tests a channel: one send, past the outbox, with the service's real answer."""

from datetime import datetime

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Channel
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import language_of, pick
from tillwatch.notify.base import Delivery, Message, Notifier, Result

_TEST = {
    "zh": ("tillwatch 测试消息", "这是从「{chain}」发出的测试消息，不需要处理。收到它说明渠道「{channel}」可用。"),
    "en": (
        "tillwatch test",
        "A test from {chain}; nothing needs doing. If you read it, channel {channel} works.",
    ),
}


def message(chain: ChainConfig, channel: Channel, now: datetime, *, nonce: str) -> Message:
    """`nonce` makes it one of its own: a receiver that knows the key would drop it."""
    locale = channel.locale or chain.chain.locale
    title, body = _TEST[language_of(locale)]
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
        at=now,
    )


def send(notifier: Notifier, text: Message, *, clock: Clock) -> tuple[Delivery, Delivery | DeliveryError]:
    """What it came to, and what the channel said: a certain failure reads as a rejection, since it is not repeated."""
    started = clock.monotonic()
    try:
        delivery = notifier.send(text, key=text.key)
    except DeliveryError as error:
        seconds = clock.monotonic() - started
        return Delivery(result=Result.REJECTED, code=error.code, detail=str(error), seconds=seconds), error
    return delivery, delivery
