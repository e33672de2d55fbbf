"""Signing keys, each created once for all processes on a store, and which acknowledge links were used."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from tillwatch.store import upsert
from tillwatch.store.db import Database
from tillwatch.store.tables.links import ack_links, signing_keys

KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Use:
    """A link that was used, when and in whose name."""

    at: datetime
    actor: str


def signing_key(database: Database, name: str, now: datetime) -> bytes:
    """The key called `name`, made at the first call. All processes get the same one."""
    query = select(signing_keys.c.secret).where(signing_keys.c.name == name)
    with database.read() as connection:
        known = connection.execute(query).scalar_one_or_none()
    if known is not None:
        return bytes.fromhex(known)
    fresh = secrets.token_hex(KEY_BYTES)

    def job(connection: Connection) -> str:
        values = {"name": name, "secret": fresh, "created_at": now}
        connection.execute(upsert.insert(connection, signing_keys).values(**values).on_conflict_do_nothing())
        made: str = connection.execute(query).scalar_one()
        return made

    return bytes.fromhex(database.write(job))


def used(connection: Connection, message: int) -> Use | None:
    """None while the link of `message` has not been used."""
    row = connection.execute(select(ack_links).where(ack_links.c.message == message)).mappings().first()
    return None if row is None else Use(at=row["used_at"], actor=row["actor"])


def use(connection: Connection, message: int, *, incident: int, actor: str, now: datetime) -> bool:
    """False when it was used before: a link works once."""
    values = {"message": message, "incident": incident, "actor": actor, "used_at": now}
    statement = upsert.insert(connection, ack_links).values(**values).on_conflict_do_nothing()
    return connection.execute(statement.returning(ack_links.c.message)).first() is not None
