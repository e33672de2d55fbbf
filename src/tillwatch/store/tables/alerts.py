"""Alert episodes, and what arrived but could not be understood."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

episodes = Table(
    "episodes",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    # Alerts of our own probes and audits and alerts from outside never speak for each other.
    Column("family", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("source", String, nullable=False),
    Column("alertname", String, nullable=False),
    # Of the severity in the labels; 0 is the worst.
    Column("rank", Integer, nullable=False),
    Column("labels", JsonDocument, nullable=False),
    Column("annotations", JsonDocument, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("state", String, nullable=False),
    Column("ends_at", UtcDateTime),
    Column("lease_until", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("incident", RowId, ForeignKey("incidents.id")),
    Column("generator_url", Text, nullable=False),
    Column("evidence", JsonDocument, nullable=False),
    UniqueConstraint("family", "fingerprint", "starts_at"),
    Index(None, "state", "lease_until"),
    Index(None, "incident", "source"),
    # The worst live alerts of an incident, found without reading the others.
    Index(
        "ix_episodes_live",
        "incident",
        "rank",
        "starts_at",
        "id",
        sqlite_where=text("state != 'resolved'"),
        postgresql_where=text("state != 'resolved'"),
    ),
    # The alerts that explain others are looked for by name.
    Index(
        "ix_episodes_live_name",
        "alertname",
        sqlite_where=text("state != 'resolved'"),
        postgresql_where=text("state != 'resolved'"),
    ),
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("source", String, nullable=False),
    Column("reason", Text, nullable=False),
    # What arrived, cut to a bound and with what no database can store written out.
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)
