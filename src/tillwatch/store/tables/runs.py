"""Runbook runs: the step journal, votes, the record of who did what, and the kill switch."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

runbook_runs = Table(
    "runbook_runs",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("runbook", String, nullable=False),
    Column("title", JsonDocument, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("params", JsonDocument, nullable=False),
    # The plan as it was approved: a run never reads the file again.
    Column("plan", JsonDocument, nullable=False),
    Column("digest", String, nullable=False),
    Column("requested_by", String, nullable=False),
    Column("incident", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    # Moved on by the time spent waiting for people.
    Column("deadline_at", UtcDateTime, nullable=False),
    # The target this run holds; NULL once it is let go of, so that the unique constraint means "one run a target".
    Column("lock", String),
    # Where compensation ends: rolled_back, killed or expired. Empty while the run goes forward.
    Column("ending", String, nullable=False),
    Column("waiting", JsonDocument, nullable=False),
    Column("waiting_since", UtcDateTime),
    Column("stop_requested_by", String, nullable=False),
    # NULL: as soon as somebody is free. Otherwise not before this instant.
    Column("wake_at", UtcDateTime),
    Column("owner", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_until", UtcDateTime),
    UniqueConstraint("lock"),
    Index(None, "state", "wake_at"),
    Index(None, "incident"),
    Index(None, "runbook", "created_at"),
    sqlite_autoincrement=True,
)

runbook_steps = Table(
    "runbook_steps",
    metadata,
    Column("run", ForeignKey(runbook_runs.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False),
    Column("title", JsonDocument, nullable=False),
    Column("action", String, nullable=False),
    # Written before anything happens, so that whoever takes over knows where it stands.
    Column("phase", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("output", JsonDocument, nullable=False),
    Column("error", Text, nullable=False),
    Column("started_at", UtcDateTime),
)

runbook_votes = Table(
    "runbook_votes",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("run", ForeignKey(runbook_runs.c.id), nullable=False),
    Column("step", String, nullable=False),
    # What was signed. A vote for another digest counts for nothing.
    Column("digest", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("role", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("run", "step", "digest", "actor"),
    sqlite_autoincrement=True,
)

# Append-only, each entry holding the hash of the one before: who did what, in which order, and nothing taken out.
runbook_records = Table(
    "runbook_records",
    metadata,
    Column("run", ForeignKey(runbook_runs.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("data", JsonDocument, nullable=False),
    Column("hash", String, nullable=False),
)

# The kill switch: one row for every runbook that is off, `*` for all of them. Read again before every effect.
runbook_switches = Table(
    "runbook_switches",
    metadata,
    Column("runbook", String, primary_key=True),
    Column("is_on", Boolean, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
