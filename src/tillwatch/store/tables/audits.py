"""Audit runs, the differences they found, and what the last proven one leaves for the next."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import DecimalText, JsonDocument, RowId, UtcDateTime

audit_runs = Table(
    "audit_runs",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("audit", String, nullable=False),
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
    Column("left", JsonDocument),
    Column("right", JsonDocument),
    Column("missing", BigInteger, nullable=False),
    Column("extra", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("unsettled", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("value_at_risk", DecimalText, nullable=False),
    Column("strategy", String, nullable=False),
    Column("strategy_reason", Text, nullable=False),
    Column("bytes_read", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("evidence", JsonDocument),
    UniqueConstraint("audit", "slot"),
    Index(None, "audit", "id"),
    Index(None, "state", "lease_until"),
    sqlite_autoincrement=True,
)

audit_differences = Table(
    "audit_differences",
    metadata,
    Column("run", ForeignKey(audit_runs.c.id, ondelete="CASCADE"), primary_key=True),
    # Position in key order, from 1.
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key", JsonDocument, nullable=False),
    Column("left", JsonDocument),
    Column("right", JsonDocument),
    Column("fields", JsonDocument, nullable=False),
    Column("value_at_risk", DecimalText, nullable=False),
    # Copied from the run before while the key keeps differing, so that it outlives the runs that are removed.
    Column("first_seen", UtcDateTime, nullable=False),
    Index(None, "run", "kind", "number"),
)

audit_signoffs = Table(
    "audit_signoffs",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("run", ForeignKey(audit_runs.c.id, ondelete="CASCADE"), nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "run"),
    sqlite_autoincrement=True,
)

audit_proofs = Table(
    "audit_proofs",
    metadata,
    Column("audit", String, primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("signature", String, nullable=False),
    Column("proven_at", UtcDateTime, nullable=False),
    Column("full_at", UtcDateTime, nullable=False),
    Column("swept_at", UtcDateTime, nullable=False),
    Column("oldest_verified_at", UtcDateTime, nullable=False),
    Column("deltas", Integer, nullable=False),
    Column("left", JsonDocument, nullable=False),
    Column("right", JsonDocument, nullable=False),
    Column("exact_keys", Boolean, nullable=False),
    Column("prefix", Integer, nullable=False),
    Column("known", JsonDocument),
    Column("unfinished_since", UtcDateTime),
    # Number of rows in audit_buckets a bucket may stand in.
    Column("pages", Integer, nullable=False),
)

# The digest of an audit: for each bucket both sides' fingerprints and when it was proven. Some hundred buckets a row: a
# run changes few of them, and a row a bucket would keep the one writer busy for seconds.
audit_buckets = Table(
    "audit_buckets",
    metadata,
    Column("audit", ForeignKey(audit_proofs.c.audit, ondelete="CASCADE"), primary_key=True),
    Column("page", Integer, primary_key=True),
    Column("buckets", JsonDocument, nullable=False),
)
