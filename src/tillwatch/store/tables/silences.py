"""Silences, and the incidents that are quiet because of them."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

silences = Table(
    "silences",
    metadata,
    Column("id", String, primary_key=True),
    # A list of matchers in Alertmanager's spelling.
    Column("matchers", JsonDocument, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("annotations", JsonDocument, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "ends_at"),
)

# One row for each open incident whose live alerts were all muted when we last looked.
quiet_incidents = Table(
    "quiet_incidents",
    metadata,
    Column("incident", RowId, ForeignKey("incidents.id"), primary_key=True, autoincrement=False),
)
