"""Runbooks: Markdown with typed steps, planned, approved, run with a journal, verified and undone."""
