"""Rows that differ and are not decided yet: in flight, or a difference."""

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import UtcDateTime

audit_suspects = Table(
    "audit_suspects",
    metadata,
    Column("audit", String, primary_key=True),
    # Position in key order; a key may be too long to be indexed.
    Column("number", Integer, primary_key=True),
    # The run that wrote it. No foreign key: a suspect outlives its run on purpose.
    Column("run", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("windows", Integer, nullable=False),
    # Digests of what each side held, empty for no row.
    Column("left", String, nullable=False),
    Column("right", String, nullable=False),
)
