"""Tryton over its JSON-RPC: read datasets, post and correct sales, post stock counts."""
