"""Comparing where the rows are: both databases sum hashes of their rows, and only what differs is read here.

elements   what every dialect must say of a column: a text that stands for its value, and when it does not
postgresql, mysql, sqlite, compiled   the rule table of each dialect
statements the SELECTs: one pass of sums, the same in ranges of the key, and lists of single hashes
handshake  proves on the live server that the texts mean what the reference (audit/canonical.py) means
digest     the strategy

A text need not be the canonical text itself. It must determine it: canonical(text) == canonical(value) for every value
it stands for. Equal texts on both sides are then equal values, whatever differs is compared by the reference, and a
report is the same as if every row had been read here.
"""
