"""Telling people: the outbox worker, the notifiers and the wording. What the log says happened, happened."""
