"""Every metric we expose: one table of names, one place that holds the values, one text for `/metrics`."""

from tillwatch.metrics.exposition import ALERTMANAGER_VERSION, CONTENT_TYPE, Metrics, blackbox_text
from tillwatch.metrics.table import METRICS, PROBE_LABELS, Kind, Metric

__all__ = [
    "ALERTMANAGER_VERSION",
    "CONTENT_TYPE",
    "METRICS",
    "PROBE_LABELS",
    "Kind",
    "Metric",
    "Metrics",
    "blackbox_text",
]
