"""Repair plans and the journal of every document sent."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from tillwatch.store.tables.audits import audit_runs
from tillwatch.store.tables.base import metadata
from tillwatch.store.types import DecimalText, JsonDocument, RowId, UtcDateTime

repair_plans = Table(
    "repair_plans",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    # One plan a run: asking again gives the same plan, so the same document is never planned twice.
    Column("run", ForeignKey(audit_runs.c.id), nullable=False),
    Column("audit", String, nullable=False),
    Column("system", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String, nullable=False),
    UniqueConstraint("run"),
    sqlite_autoincrement=True,
)

repair_items = Table(
    "repair_items",
    metadata,
    Column("plan", ForeignKey(repair_plans.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", JsonDocument, nullable=False),
    Column("kind", String, nullable=False),
    Column("action", String, nullable=False),
    Column("document", JsonDocument, nullable=False),
    Column("left", JsonDocument),
    Column("right", JsonDocument),
    Column("value_at_risk", DecimalText, nullable=False),
    Column("status", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("receipt", JsonDocument, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "plan", "status"),
)

# Append-only: one row before each document is sent, completed after the answer. What stays open was cut off in between.
repair_attempts = Table(
    "repair_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("plan", ForeignKey(repair_plans.c.id), nullable=False),
    Column("number", Integer, nullable=False),
    Column("actor", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    # What was about to be sent (`sources.documents.plan_to_json`), with the before-image an undo needs.
    Column("sent", JsonDocument, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("outcome", String, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "plan", "number", "id"),
    sqlite_autoincrement=True,
)
