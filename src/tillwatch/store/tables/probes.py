"""Probe memory, authentication breakers and leases."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import JsonDocument, RowId, UtcDateTime

probe_states = Table(
    "probe_states",
    metadata,
    Column("probe", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("failures_in_a_row", Integer, nullable=False),
    Column("successes_in_a_row", Integer, nullable=False),
    Column("since", UtcDateTime),
    # The labels of the alert that fires for the failure going on; kept so that exactly this one is resolved.
    Column("alert_labels", JsonDocument, nullable=False),
    Column("alert_since", UtcDateTime),
    # The last result, whole: the row of probe_results may have been pruned.
    Column("last", JsonDocument),
)

probe_results = Table(
    "probe_results",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("probe", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("outcome", String, nullable=False),
    Column("cause", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("phases", JsonDocument, nullable=False),
    Column("measurements", JsonDocument, nullable=False),
    Column("log", JsonDocument, nullable=False),
    Column("evidence", JsonDocument, nullable=False),
    Index(None, "probe", "id"),
    sqlite_autoincrement=True,
)

breakers = Table(
    "breakers",
    metadata,
    Column("system", String, primary_key=True),
    # A digest of the refused credentials: other credentials close the breaker by themselves.
    Column("credential_digest", String, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    # Raised at every change of owner; a writer that shows an older epoch has lost the lease.
    Column("epoch", Integer, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
