"""Consistency audits: read two sides, compare, settle, report, repair."""
