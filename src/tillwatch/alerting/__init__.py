"""Alerts in: parsing, episodes, routing. What an alert leads to is the business of `incident`."""
