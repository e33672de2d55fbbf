"""Validation runs and the rows that broke a rule."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

validation_runs = Table(
    "validation_runs",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("validation", String, nullable=False),
    Column("trigger", String, nullable=False),
    # The scheduled instant this run answers, NULL for a run somebody asked for. Unique, so that of several processes
    # only one runs a slot.
    Column("slot", UtcDateTime),
    Column("state", String, nullable=False),
    # Who runs it, and until when it is believed to be alive; renewed while it works.
    Column("owner", String, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    # Empty until the run has finished.
    Column("verdict", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("system", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("counts", JsonDocument),
    Column("strategy", String, nullable=False),
    Column("strategy_reason", JsonDocument),
    Column("bytes_read", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("evidence", JsonDocument),
    UniqueConstraint("validation", "slot"),
    Index(None, "validation", "id"),
    Index(None, "state", "lease_until"),
    sqlite_autoincrement=True,
)

# What a run leaves for rules that compare each thing with its own history; only of the newest runs.
validation_own = Table(
    "validation_own",
    metadata,
    Column("run", ForeignKey(validation_runs.c.id, ondelete="CASCADE"), primary_key=True),
    Column("rule", String, primary_key=True),
    # Group: its middle value.
    Column("values", JsonDocument, nullable=False),
)

validation_findings = Table(
    "validation_findings",
    metadata,
    Column("run", ForeignKey(validation_runs.c.id, ondelete="CASCADE"), primary_key=True),
    # Position in the report, from 1.
    Column("number", Integer, primary_key=True),
    Column("rule", String, nullable=False),
    Column("key", JsonDocument, nullable=False),
    Column("field", String, nullable=False),
    Column("value", Text),
    Column("problem", JsonDocument, nullable=False),
    Index(None, "run", "rule", "number"),
)
