"""Whose turn it is, who is told next, and what the calendar says about it: pure answers, each with its reason."""
