"""Which messages leave which channel now: by its bucket, its pause and its breaker, and as a digest when it is short.

Everything is decided in the transaction that claims the messages, so that processes share one bucket and one probe.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.errors import DeliveryError
from tillwatch.model.channel import Allowance, Gate
from tillwatch.model.notice import Attempt, DeliveryRecord
from tillwatch.notify import gate as gates
from tillwatch.notify.base import Delivery
from tillwatch.notify.gate import Standing
from tillwatch.store import channels, outbox, queues

#: Messages of one channel taken at once; they leave one after the other.
PER_CHANNEL = 5
CLAIM_LIMIT = 100
#: Messages one digest speaks for; the rest follows with the next one.
DIGEST_MAX = 500


@dataclass(frozen=True, kw_only=True)
class Load:
    """Messages of one channel that leave together: one after the other, or as one digest."""

    channel: str
    records: tuple[DeliveryRecord, ...]
    digest: bool = False


class Traffic:
    """Claims for one worker. `allowance` is None for a channel without a limit and for one that is gone."""

    def __init__(self, owner: str, *, lease: timedelta, allowance: Callable[[str], Allowance | None]) -> None:
        self._owner = owner
        self._lease = lease
        self._allowance = allowance

    def take(self, connection: Connection, now: datetime, busy: Collection[str], *, digests: bool) -> list[Load]:
        """What may leave now.

        1. A channel that may be probed gets its most urgent message, though that waits for a later try.
        2. Channels with room for everything that is due send it, one message after the other.
        3. Channels short of room send what is most urgent, and with the last of it one digest of all the rest.
        """
        known = channels.gates(connection)
        for name, gate in known.items():
            if name not in busy and gate.opened_at and gates.standing(gate, now) is Standing.HALF_OPEN:
                queues.hurry(connection, name, now, limit=1)
        due = queues.due_counts(connection, now)
        room = {
            name: gates.room(known[name], self._allowance(name), now) if name in known else gates.UNLIMITED
            for name in due
        }
        room |= {name: self._fresh(name) for name in due if name not in known}
        short = {
            name
            for name, count in due.items()
            if digests and room[name] == 1 and count > 1 and name not in busy and not self._open(known, name)
        }
        singles = {name: self._singles(room[name], due[name], digests=digests) for name in due}
        shut = {name for name in due if singles[name] == 0}
        claimed = outbox.claim(
            connection,
            self._owner,
            now,
            self._lease,
            CLAIM_LIMIT,
            busy={*busy, *shut, *short},
            per_channel=PER_CHANNEL,
            room=singles,
        )
        loads = [*_grouped(claimed), *(self._digest(connection, name, now) for name in sorted(short))]
        for load in loads:
            count = min(1, len(load.records)) if load.digest else len(load.records)
            gate = channels.gate(connection, load.channel)
            after = gates.spent(gate, self._allowance(load.channel), count, now)
            if after != gate:
                channels.save(connection, after)
        return [load for load in loads if load.records]

    def _fresh(self, channel: str) -> int:
        allowance = self._allowance(channel)
        return gates.UNLIMITED if allowance is None else allowance.burst

    @staticmethod
    def _open(known: Mapping[str, Gate], channel: str) -> bool:
        """A channel that is being tried is tried with one message: many in doubt at once would help nobody."""
        return channel in known and known[channel].opened_at is not None

    @staticmethod
    def _singles(room: int, due: int, *, digests: bool) -> int:
        """The last place is kept for the digest when not all can leave one by one."""
        return min(PER_CHANNEL, room if room >= due or room <= 1 or not digests else room - 1)

    def _digest(self, connection: Connection, channel: str, now: datetime) -> Load:
        records = queues.claim_together(connection, self._owner, now, self._lease, channel, DIGEST_MAX)
        return Load(channel=channel, records=tuple(records), digest=len(records) > 1)


def _grouped(records: Collection[DeliveryRecord]) -> list[Load]:
    by_channel: dict[str, list[DeliveryRecord]] = {}
    for record in records:
        by_channel.setdefault(record.channel, []).append(record)
    return [Load(channel=name, records=tuple(several)) for name, several in by_channel.items()]


def settle(connection: Connection, channel: str, attempt: Attempt, outcome: Delivery | DeliveryError) -> bool:
    """What an answer makes of its channel: whether that may get the next message now.

    When it works again, nothing waits any longer.
    """
    before = channels.gate(connection, channel)
    after = gates.remembered(gates.after(before, gates.heard(outcome), attempt.at), attempt)
    channels.save(connection, after)
    if before.opened_at is not None and after.opened_at is None:
        queues.hurry(connection, channel, attempt.at)
    return gates.standing(after, attempt.at) is Standing.CLOSED
