"""The channels as people look at them: how each one stands, what it answered last, and a test."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Channel
from tillwatch.errors import UsageError
from tillwatch.model.channel import Allowance, Gate
from tillwatch.model.notice import Attempt, DeliveryRecord
from tillwatch.notify import gate as gates
from tillwatch.notify import registry, trial
from tillwatch.notify.base import Delivery
from tillwatch.notify.gate import Standing
from tillwatch.notify.registry import Notifiers
from tillwatch.notify.traffic import settle
from tillwatch.store import channels, queues
from tillwatch.store.db import Database
from tillwatch.store.queues import Queue

#: What was given up longer ago than this has been seen, or does not matter.
DEAD_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class ChannelStatus:
    """One channel now."""

    channel: Channel
    #: Where it sends to; without secrets.
    target: str
    standing: Standing
    gate: Gate
    #: What is left in its bucket, of how many; None without a limit.
    tokens: float | None
    allowance: Allowance | None
    queue: Queue
    #: Receivers and people that use it, by id.
    receivers: tuple[str, ...]
    people: tuple[str, ...]


class ChannelDesk:
    def __init__(self, config: ChainConfig, notifiers: Notifiers, *, database: Database, clock: Clock) -> None:
        self._config = config
        self._notifiers = notifiers
        self._database = database
        self._clock = clock

    def listed(self) -> Sequence[ChannelStatus]:
        """Every channel of the chain directory, in its order."""
        now = self._clock.now()
        with self._database.read() as connection:
            known = channels.gates(connection)
            waiting = queues.queues(connection, now, dead_since=now - DEAD_FOR)
        return [
            self._status(channel, known.get(channel.id, Gate(channel=channel.id)), waiting.get(channel.id, Queue()))
            for channel in self._config.channels
        ]

    def dead_letters(self, limit: int) -> Sequence[DeliveryRecord]:
        """What was given up lately, newest first."""
        since = self._clock.now() - DEAD_FOR
        with self._database.read() as connection:
            return queues.dead_letters(connection, since=since, limit=limit)

    def test(self, id: str) -> Delivery:
        """Send one test message now. It counts as any message does, so a channel that works again is closed by it.

        Raises UsageError for a channel that is not declared.
        """
        channel = next((one for one in self._config.channels if one.id == id), None)
        if channel is None:
            raise UsageError(f"there is no channel '{id}'; 'tillwatch channel list' shows them")
        # The worker may be sending on its own notifier right now; threads never share one.
        notifiers = registry.build(self._config, clock=self._clock, only=(id,))
        try:
            notifier = notifiers.get(id)
            text = trial.message(self._config, channel, self._clock.now(), nonce=secrets.token_hex(4))
            delivery, outcome = trial.send(notifier, text, clock=self._clock)
            allowance = notifier.allowance
        finally:
            notifiers.close()
        attempt = Attempt(
            number=1,
            at=self._clock.now(),
            result=delivery.result.value,
            code=delivery.code,
            detail=delivery.detail,
            seconds=delivery.seconds,
            possible_repeat=False,
        )

        def job(connection: Connection) -> None:
            gate = channels.gate(connection, id)
            channels.save(connection, gates.spent(gate, allowance, 1, attempt.at))
            settle(connection, id, attempt, outcome)

        self._database.write(job)
        return delivery

    def _status(self, channel: Channel, gate: Gate, queue: Queue) -> ChannelStatus:
        now = self._clock.now()
        notifier = self._notifiers.get(channel.id)
        allowance = notifier.allowance
        return ChannelStatus(
            channel=channel,
            target=notifier.describe(),
            standing=gates.standing(gate, now),
            gate=gate,
            tokens=None if allowance is None else gates.tokens(gate, allowance, now),
            allowance=allowance,
            queue=queue,
            receivers=tuple(one.id for one in self._config.receivers if channel.id in one.channels),
            people=tuple(one.id for one in self._config.people if channel.id in one.channels),
        )
