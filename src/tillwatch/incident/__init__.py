"""Incidents: alerts grouped by the part of the business they are about, from opening to a resolution by evidence."""
