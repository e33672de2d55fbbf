"""A message past the outbox: whatever the channel does, the caller gets an answer and not an error."""

from pathlib import Path

import pytest
from tests.unit.notify.test_render import CLOCK, chain

from tillwatch.errors import DeliveryError, UsageError
from tillwatch.notify.base import Delivery, Message, Result
from tillwatch.notify.direct import Direct


class Stub:
    """Notifiers of one channel that ends in `outcome`."""

    def __init__(self, outcome: Delivery | Exception) -> None:
        self.outcome = outcome
        self.sent: list[Message] = []

    def get(self, channel: str) -> "Stub":
        if channel == "gone":
            raise UsageError("no such channel")
        return self

    def send(self, message: Message, *, key: str) -> Delivery:
        assert key == message.key
        self.sent.append(message)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "taken"),
    [
        (Delivery(result=Result.DELIVERED, code="200"), True),
        (Delivery(result=Result.REJECTED, code="400"), False),
        (Delivery(result=Result.UNKNOWN, code="timeout"), False),
        (DeliveryError("busy", retryable=True, code="503"), False),
    ],
)
def test_only_a_channel_that_took_it_counts(outcome: Delivery | Exception, taken: bool, tmp_path: Path) -> None:
    stub = Stub(outcome)
    send = Direct(chain(tmp_path), stub, clock=CLOCK)  # type: ignore[arg-type]
    assert send("abroad", {"en": "late", "zh": "晚了"}, "k") is taken
    [message] = stub.sent
    assert (message.key, message.title) == ("k:abroad", "Tillwatch itself needs attention")
    assert message.body == "late\nhttps://watch.example.com/tw/incidents".replace("/tw", "")


def test_a_channel_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    stub = Stub(Delivery(result=Result.DELIVERED, code="200"))
    send = Direct(chain(tmp_path), stub, clock=CLOCK)  # type: ignore[arg-type]
    assert send("gone", {"en": "x"}, "k") is False
