"""What waits on each channel, taken together when a channel may send little."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, select, update

from tillwatch.model.notice import DeliveryRecord, DeliveryState
from tillwatch.store import outbox as rows
from tillwatch.store.tables.outbox import outbox

PENDING = DeliveryState.PENDING.value
#: What can be looked at and answered for by a person; never retried by us.
DEAD = (DeliveryState.REJECTED.value, DeliveryState.UNKNOWN.value)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One channel's messages that have not arrived: those that wait, and those that were given up."""

    waiting: int = 0
    #: Of the waiting ones, since when the oldest has been due.
    oldest: datetime | None = None
    dead: int = 0


def due_counts(connection: Connection, now: datetime, channels: Collection[str]) -> dict[str, int]:
    """How many messages of each of `channels` should leave now; nothing for those without any."""
    if not channels:
        return {}
    mine = outbox.c.channel.in_(sorted(channels))
    query = select(outbox.c.channel, func.count()).where(mine, rows.is_due(now)).group_by(outbox.c.channel)
    return {channel: int(count) for channel, count in connection.execute(query)}


def queues(connection: Connection, now: datetime, *, dead_since: datetime) -> Mapping[str, Queue]:
    """Of every channel that has anything to show."""
    waiting = outbox.c.state.in_((PENDING, DeliveryState.SENDING.value)) & (outbox.c.not_before <= now)
    retried = outbox.c.state.in_((PENDING, DeliveryState.SENDING.value)) & (outbox.c.attempts > 0)
    query = (
        select(outbox.c.channel, func.count(), func.min(outbox.c.created_at))
        .where(waiting | retried)
        .group_by(outbox.c.channel)
    )
    found = {channel: Queue(waiting=int(count), oldest=oldest) for channel, count, oldest in connection.execute(query)}
    given_up = (
        select(outbox.c.channel, func.count())
        .where(outbox.c.state.in_(DEAD), outbox.c.finished_at >= dead_since)
        .group_by(outbox.c.channel)
    )
    for channel, count in connection.execute(given_up):
        known = found.get(channel, Queue())
        found[channel] = Queue(waiting=known.waiting, oldest=known.oldest, dead=int(count))
    return found


def dead_letters(connection: Connection, *, since: datetime, limit: int) -> list[DeliveryRecord]:
    """What did not arrive and is not tried again, newest first."""
    query = (
        select(outbox.c.id)
        .where(outbox.c.state.in_(DEAD), outbox.c.finished_at >= since)
        .order_by(outbox.c.finished_at.desc(), outbox.c.id.desc())
        .limit(limit)
    )
    return rows.get_all(connection, connection.execute(query).scalars().all())


def hurry(connection: Connection, channel: str, now: datetime, *, limit: int | None = None) -> int:
    """Messages that wait for another try are due now: all of a channel, or the `limit` most urgent. How many."""
    later = (outbox.c.channel == channel, outbox.c.state == PENDING, outbox.c.attempts > 0, outbox.c.not_before > now)
    statement = update(outbox).where(*later).values(not_before=now)
    if limit is not None:
        first = select(outbox.c.id).where(*later).order_by(outbox.c.priority, outbox.c.id).limit(limit)
        statement = update(outbox).where(outbox.c.id.in_(first.scalar_subquery())).values(not_before=now)
    return connection.execute(statement).rowcount


def claim_together(
    connection: Connection, owner: str, now: datetime, lease: timedelta, channel: str, limit: int
) -> list[DeliveryRecord]:
    """Take everything of one channel that is due, up to `limit`, the most urgent first.

    Of one incident only what follows nothing that stays behind: nobody reads "resolved" before "opened".
    """
    open_states = (PENDING, DeliveryState.SENDING.value)
    due = rows.is_due(now)
    stays = select(outbox.c.incident, func.min(outbox.c.id)).where(
        and_(outbox.c.channel == channel, outbox.c.state.in_(open_states), outbox.c.incident.is_not(None), (~due))
    )
    behind = {incident: int(id) for incident, id in connection.execute(stays.group_by(outbox.c.incident))}
    query = (
        select(outbox)
        .where(outbox.c.channel == channel, due)
        .order_by(outbox.c.priority, outbox.c.not_before, outbox.c.id)
        .limit(limit)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True, of=outbox)
    found = connection.execute(query).mappings().all()
    taken = [
        row["id"]
        for row in found
        if row["id"] < behind.get(row["incident"], row["id"] + 1) and rows.take(connection, row, owner, now, lease)
    ]
    return rows.get_all(connection, taken)


def release(connection: Connection, is_gone: Callable[[str], bool], now: datetime) -> int:
    """End the leases of senders that are gone, so that their messages need not wait for the end. Returns how many.

    What they had begun to send is taken again as a possible repeat, as after any lease that ran out.
    """
    held = outbox.c.state == DeliveryState.SENDING.value
    owners = connection.execute(select(outbox.c.lease_owner).where(held).distinct()).scalars()
    gone = sorted(owner for owner in owners if is_gone(owner))
    if not gone:
        return 0
    ended = update(outbox).where(held, outbox.c.lease_owner.in_(gone), outbox.c.lease_until > now)
    return connection.execute(ended.values(lease_until=now)).rowcount
