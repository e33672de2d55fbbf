"""Incidents and their append-only timelines."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import DecimalText, JsonDocument, RowId, UtcDateTime

incidents = Table(
    "incidents",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("component", String, nullable=False),
    Column("state", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("titles", JsonDocument, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String, nullable=False),
    Column("assigned_to", String, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("version", Integer, nullable=False),
    Column("parent", RowId, ForeignKey("incidents.id")),
    Column("value_at_risk", DecimalText),
    Column("evidence", JsonDocument, nullable=False),
    Column("runbooks", JsonDocument, nullable=False),
    Column("told", JsonDocument, nullable=False),
    Column("climbs", JsonDocument, nullable=False),
    Column("acknowledged_until", UtcDateTime),
    Column("snoozed_until", UtcDateTime),
    Column("settles_at", UtcDateTime),
    # When time alone changes something next (a reminder, a step of an escalation, an acknowledgement that runs out).
    Column("next_at", UtcDateTime),
    Index(None, "next_at"),
    Index(None, "state", "id"),
    Index(None, "parent"),
    Index(None, "component", "opened_at"),
    # One open incident for each component, whatever any process does.
    Index(
        "uq_incidents_open_component",
        "component",
        unique=True,
        sqlite_where=text("state != 'resolved'"),
        postgresql_where=text("state != 'resolved'"),
    ),
    sqlite_autoincrement=True,
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("incident", RowId, ForeignKey("incidents.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("data", JsonDocument, nullable=False),
    Index(None, "incident", "id"),
    sqlite_autoincrement=True,
)
