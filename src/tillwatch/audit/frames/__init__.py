"""Rows in columns: the rule table for Polars, and rows encoded many at a time.

rules    of each type of column and each declared type: the canonical text, and for which values it does not stand
columns  values of a source as a column of one type
encoding rows as the bytes that `rows.Encoder` makes of them, value by value the same

Polars takes longer to load than a command of the command line may take, so only `encoding` is loaded by others, when
an audit is large enough.
"""
