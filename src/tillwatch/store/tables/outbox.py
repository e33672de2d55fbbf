"""What is to be sent, and every attempt to send it."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

outbox = Table(
    "outbox",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    # One notice on one channel, ever: enqueuing it again changes nothing.
    Column("key", String, nullable=False),
    Column("kind", String, nullable=False),
    # No foreign key: an incident and its notices are written in one transaction, in any order.
    Column("incident", RowId),
    Column("version", Integer, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("receiver", String, nullable=False),
    Column("person", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("text", JsonDocument, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("lease_owner", String, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("epoch", Integer, nullable=False),
    # True from the moment before this claim's send: a worker that died earlier has certainly sent nothing.
    Column("begun", Boolean, nullable=False),
    # When this row was last written, by the clock of then; later than now means that the clock has gone back.
    Column("touched_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("unknown_results", Integer, nullable=False),
    Column("possible_repeat", Boolean, nullable=False),
    # The worded message, stored before the first send so that a retry is the same message.
    Column("payload", JsonDocument),
    Column("code", String, nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("key"),
    Index(None, "state", "not_before"),
    Index(None, "channel", "incident", "state"),
    Index(None, "incident"),
    sqlite_autoincrement=True,
)

outbox_attempts = Table(
    "outbox_attempts",
    metadata,
    Column("outbox", ForeignKey(outbox.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("owner", String, nullable=False),
    Column("result", String, nullable=False),
    Column("code", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("possible_repeat", Boolean, nullable=False),
)
