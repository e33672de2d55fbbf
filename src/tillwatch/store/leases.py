"""Leases: who may do a thing now, by name. An epoch fences out an owner that slept through the end of its lease."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, update

from tillwatch.store.tables.probes import leases
from tillwatch.store.upsert import insert


def acquire(connection: Connection, name: str, owner: str, ttl: timedelta, now: datetime) -> int | None:
    """Take the lease `name` until `now + ttl`. Returns its new epoch, or None while anybody holds it, `owner` too.

    Every owner that acquires a name gets a higher epoch than all before it; writes that carry an older one are refused
    by whoever checks it. An owner keeps a lease with `renew`.
    """
    statement = insert(connection, leases).values(name=name, owner=owner, epoch=1, expires_at=now + ttl)
    taken = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={"owner": owner, "epoch": leases.c.epoch + 1, "expires_at": now + ttl},
            where=leases.c.expires_at <= now,
        ).returning(leases.c.epoch)
    ).scalar_one_or_none()
    return None if taken is None else int(taken)


def renew(connection: Connection, name: str, owner: str, epoch: int, ttl: timedelta, now: datetime) -> bool:
    """Keep the lease until `now + ttl`. False when somebody else has taken it meanwhile: stop working at once.

    A lease that ran out but that nobody took is kept: nothing happened in between.
    """
    kept = connection.execute(
        update(leases)
        .where(leases.c.name == name, leases.c.owner == owner, leases.c.epoch == epoch)
        .values(expires_at=now + ttl)
    )
    return kept.rowcount == 1


def release(connection: Connection, name: str, owner: str, epoch: int, now: datetime) -> bool:
    """Give the lease back. The row stays, so that the next epoch is higher. False when it was no longer ours."""
    ended = connection.execute(
        update(leases)
        .where(leases.c.name == name, leases.c.owner == owner, leases.c.epoch == epoch)
        .values(expires_at=now)
    )
    return ended.rowcount == 1
