"""Rules decided where the rows lie: one SELECT in one snapshot gives only the rows that may break one.

A condition says when a cell certainly keeps its rule. Whatever it cannot be certain of is handed over and judged by the
same Python as every streamed row, so what is found is the same; a condition may be narrow, never wide.
"""
