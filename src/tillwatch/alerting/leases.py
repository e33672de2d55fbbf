"""Leases of alerts: a source that promised to send again and did not is silent. It has not recovered."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tillwatch.alerting import episodes
from tillwatch.model.alert import ChangeKind, EpisodeChange
from tillwatch.store import alerts as store

#: Episodes marked in one transaction; the rest follows in the next round, so that a storm blocks no other write.
MAX_LAPSED_AT_ONCE = 1_000


def lapse(connection: Connection, now: datetime) -> Sequence[EpisodeChange]:
    """Mark firing episodes whose lease has run out as silent, and return the changes."""
    before = store.lapsed(connection, now, MAX_LAPSED_AT_ONCE)
    after = [episodes.lapse(episode, now) for episode in before]
    store.save(connection, after)
    return [
        EpisodeChange(kind=ChangeKind.SILENT, episode=new, before=old) for old, new in zip(before, after, strict=True)
    ]
