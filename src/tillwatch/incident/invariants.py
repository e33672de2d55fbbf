"""The watcher of our own promises, every minute: no open incident waits for nobody, no message waits too long.

A breach is a metric, and is told once through a channel that does not depend on what is broken: straight to a
notifier, past the outbox, and not through the channel whose messages are stuck.
"""

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.metrics import Metrics
from tillwatch.model.incident import Incident
from tillwatch.store import incidents as store
from tillwatch.store import leases, outbox, silences
from tillwatch.store.db import Database

CHECK_SECONDS = 60.0
#: An incident whose time has come is dealt with within seconds; so much later its loop is not running.
OVERDUE_AFTER = timedelta(minutes=2)
#: A message that is due leaves within seconds unless its channel refuses; retries wait a few minutes at most.
OUTBOX_BOUND = timedelta(minutes=5)
#: The same breach is told again after this.
TELL_AGAIN = timedelta(hours=1)
#: Of several processes one audits. Longer than a round, so that it usually stays the same one.
LEASE = timedelta(seconds=150)
MAX_NAMED = 10

_METRIC = "tillwatch_invariant_breaches"
_log = structlog.get_logger("tillwatch.incident")


class Invariant(enum.StrEnum):
    #: Every open incident is acknowledged, folded, silenced or has something ahead of it.
    FORGOTTEN = "forgotten_incident"
    #: What is ahead of an incident happens when its time comes.
    OVERDUE = "overdue_incident"
    #: A message that is due leaves.
    OUTBOX = "outbox_age"


@dataclass(frozen=True, kw_only=True)
class Breach:
    invariant: Invariant
    #: Incidents or messages.
    count: int
    #: What people read, by language.
    text: Mapping[str, str]
    #: Channels that are part of the trouble.
    channels: frozenset[str] = frozenset()


#: Sends `text` through one channel, now; True when the channel took it.
SendNow = Callable[[str, Mapping[str, str], str], bool]


def breaches(connection: Connection, now: datetime) -> list[Breach]:
    """What does not hold at `now`."""
    quiet = silences.quiet(connection)
    forgotten = [one for one in store.forgotten(connection) if one.id not in quiet]
    overdue = store.due(connection, now - OVERDUE_AFTER, limit=1_000)
    stuck = outbox.stuck(connection, now - OUTBOX_BOUND)
    found: list[Breach] = []
    if forgotten:
        found.append(_of(Invariant.FORGOTTEN, forgotten, "nobody will hear again of", "不会再通知任何人的事件"))
    if overdue:
        found.append(_of(Invariant.OVERDUE, overdue, "nothing is done in time about", "提醒或升级已逾期的事件"))
    if stuck:
        minutes = round(OUTBOX_BOUND.total_seconds() / 60)
        names = ", ".join(sorted(stuck))
        text = {
            "en": f"messages have been waiting for more than {minutes} min on: {names}",
            "zh": f"以下渠道有消息等待超过 {minutes} 分钟：{names}",
        }
        found.append(
            Breach(invariant=Invariant.OUTBOX, count=sum(stuck.values()), text=text, channels=frozenset(stuck))
        )
    return found


def _of(invariant: Invariant, which: Sequence[Incident], en: str, zh: str) -> Breach:
    numbers = ", ".join(f"#{one.id}" for one in which[:MAX_NAMED]) + (" …" if len(which) > MAX_NAMED else "")
    return Breach(invariant=invariant, count=len(which), text={"en": f"{en} {numbers}", "zh": f"{zh}：{numbers}"})


class InvariantAuditor:
    """One a process; a lease in the store lets one of them look at a time."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        metrics: Metrics,
        owner: str,
        channels: Sequence[str],
        send: SendNow,
    ) -> None:
        """`channels` in the order in which they are tried."""
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._owner = owner
        self._channels = tuple(channels)
        self._send = send
        self._epoch: int | None = None
        self._told: dict[Invariant, datetime] = {}
        self._started = clock.monotonic()

    def round(self) -> list[Breach]:
        """Look once. Returns the breaches; empty as well just after a start, or when another process looks."""
        now = self._clock.now()
        if self._clock.monotonic() - self._started < CHECK_SECONDS / 2:
            # What waited while we were down is being dealt with at this moment.
            return []
        if not self._database.write(lambda connection: self._leading(connection, now)):
            for invariant in Invariant:
                self._metrics.set(_METRIC, 0, invariant=invariant.value)
            return []
        with self._database.read() as connection:
            found = breaches(connection, now)
        counts = {breach.invariant: breach.count for breach in found}
        for invariant in Invariant:
            self._metrics.set(_METRIC, counts.get(invariant, 0), invariant=invariant.value)
        self._told = {invariant: at for invariant, at in self._told.items() if invariant in counts}
        for breach in found:
            told = self._told.get(breach.invariant)
            if (told is None or now - told >= TELL_AGAIN) and self._tell(breach, now):
                self._told[breach.invariant] = now
        return found

    def _leading(self, connection: Connection, now: datetime) -> bool:
        if self._epoch is not None and leases.renew(connection, "invariants", self._owner, self._epoch, LEASE, now):
            return True
        self._epoch = leases.acquire(connection, "invariants", self._owner, LEASE, now)
        return self._epoch is not None

    def _tell(self, breach: Breach, now: datetime) -> bool:
        """Through the first channel that takes it and is not part of the trouble; through those only as a last way."""
        _log.error("a promise of ours does not hold", invariant=breach.invariant.value, text=breach.text["en"])
        key = f"invariant:{breach.invariant.value}:{now.isoformat()}"
        return any(self._send(channel, breach.text, key) for channel in self._in_order(breach.channels))

    def _in_order(self, broken: Collection[str]) -> list[str]:
        return sorted(self._channels, key=lambda channel: channel in broken)
