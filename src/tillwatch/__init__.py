"""Tillwatch: monitoring and incident response for retail chains integrated with an ERP."""

__version__ = "0.1.0"
