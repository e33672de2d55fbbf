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
DIGEST_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Load:
    """Messages of one channel that leave together: one after the other, or as one digest."""

    channel: str
    records: tuple[DeliveryRecord, ...]
    digest: bool = False


class Traffic:
    """Claims for one worker. `limits` names the channels whose service takes only so much; the others need no count."""

    def __init__(self, owner: str, *, lease: timedelta, limits: Callable[[], Mapping[str, Allowance]]) -> None:
        self._owner = owner
        self._lease = lease
        self._limits = limits

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
        limited = self._limits()
        concerned = set(limited) | {name for name, gate in known.items() if gate.opened_at or gate.paused_until}
        due = queues.due_counts(connection, now, concerned)
        gate_of = {name: known.get(name, Gate(channel=name)) for name in due}
        room = {name: gates.room(gate_of[name], limited.get(name), now) for name in due}
        short = {
            name
            for name, count in due.items()
            # A channel that is being tried is tried with one message: many in doubt at once would help nobody.
            if digests and room[name] == 1 and count > 1 and name not in busy and not gate_of[name].opened_at
        }
        singles = {name: _singles(room[name], due[name], digests=digests) for name in due}
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
            after = gates.spent(gate, limited.get(load.channel), count, now)
            if after != gate:
                channels.save(connection, after)
        return [load for load in loads if load.records]

    def _digest(self, connection: Connection, channel: str, now: datetime) -> Load:
        records = queues.claim_together(connection, self._owner, now, self._lease, channel, DIGEST_MAX)
        return Load(channel=channel, records=tuple(records), digest=len(records) > 1)


def _singles(room: int, due: int, *, digests: bool) -> int:
    """The last place is kept for the digest when not all can leave one by one."""
    return min(PER_CHANNEL, room if room >= due or room <= 1 or not digests else room - 1)


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
