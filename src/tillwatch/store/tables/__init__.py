"""Every table of the product. Importing this package completes `metadata`; add a subject's module to the list below."""

from tillwatch.store.tables import (
    alerts,
    audits,
    channels,
    incidents,
    links,
    outbox,
    probes,
    repairs,
    runs,
    silences,
    suspects,
    validations,
)
from tillwatch.store.tables.base import metadata

__all__ = [
    "alerts",
    "audits",
    "channels",
    "incidents",
    "links",
    "metadata",
    "outbox",
    "probes",
    "repairs",
    "runs",
    "silences",
    "suspects",
    "validations",
]
