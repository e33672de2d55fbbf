"""Channels: bucket, pause, circuit breaker and last answer."""

from sqlalchemy import Column, Float, Integer, String, Table, Text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import UtcDateTime

channel_gates = Table(
    "channel_gates",
    metadata,
    Column("channel", String, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("counted_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    Column("failures", Integer, nullable=False),
    Column("opened_at", UtcDateTime),
    Column("probe_at", UtcDateTime),
    Column("last_at", UtcDateTime),
    Column("last_result", String, nullable=False),
    Column("last_code", String, nullable=False),
    Column("last_detail", Text, nullable=False),
    Column("last_seconds", Float, nullable=False),
    Column("last_success_at", UtcDateTime),
)
