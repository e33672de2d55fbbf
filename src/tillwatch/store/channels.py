"""The state of channels, kept in the store so that a restart or a second process knows what the first one did."""

from dataclasses import asdict

from sqlalchemy import Connection, select

from tillwatch.model.channel import Gate
from tillwatch.store import upsert
from tillwatch.store.tables.channels import channel_gates


def gates(connection: Connection) -> dict[str, Gate]:
    """Of every channel that has sent anything."""
    rows = connection.execute(select(channel_gates)).mappings()
    return {row["channel"]: Gate(**row) for row in rows}


def gate(connection: Connection, channel: str) -> Gate:
    """Of one channel; a fresh one when it has never sent."""
    row = connection.execute(select(channel_gates).where(channel_gates.c.channel == channel)).mappings().first()
    return Gate(channel=channel) if row is None else Gate(**row)


def save(connection: Connection, changed: Gate) -> None:
    values = asdict(changed)
    key = values.pop("channel")
    statement = upsert.insert(connection, channel_gates).values(channel=key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[channel_gates.c.channel], set_=values))
