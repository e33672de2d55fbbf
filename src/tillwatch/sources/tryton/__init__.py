"""Tryton over its JSON-RPC: read datasets, post and correct sales, post stock counts."""

from tillwatch.sources.tryton.options import TrytonDataset, TrytonOptions
from tillwatch.sources.tryton.source import TrytonSource

__all__ = ["TrytonDataset", "TrytonOptions", "TrytonSource"]
