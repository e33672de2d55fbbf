"""Rows of any SQL database: SQLite, PostgreSQL, MySQL and MariaDB, always read only."""

from tillwatch.sources.sql.options import SqlDataset, SqlOptions
from tillwatch.sources.sql.source import SqlSource

__all__ = ["SqlDataset", "SqlOptions", "SqlSource"]
