"""Incidents that fall quiet because everything in them is muted, and speak again when something is not."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tillwatch.config.declared import ChainConfig
from tillwatch.incident import maintenance
from tillwatch.incident.muting import Muting, Rule
from tillwatch.model.alert import Episode, EpisodeChange
from tillwatch.store import alerts, silences

#: Alerts that explain others; a rule whose sources are more is a mistake in the files.
MAX_SOURCES = 10_000


class Quiet:
    """The declared inhibitions and maintenance windows of one chain, applied to what the store holds."""

    def __init__(self, config: ChainConfig) -> None:
        self._rules = tuple(Rule(one) for one in config.inhibitions)
        self._windows = config.maintenance
        self._zone = config.chain.timezone
        names = [rule.source_names for rule in self._rules]
        #: None when some rule's sources can have any name.
        self._names = None if None in names else frozenset().union(*(name for name in names if name))

    def muting(self, connection: Connection, now: datetime) -> Muting:
        """What mutes at `now`, as far as this transaction sees."""
        muting = [*silences.active(connection, now), *maintenance.active(self._windows, self._zone, now)]
        if not self._rules:
            return Muting(silences=muting)
        firing = alerts.firing(connection, self._names, limit=MAX_SOURCES)
        return Muting.of(muting, self._rules, firing)

    def decides(self, changes: Iterable[EpisodeChange]) -> bool:
        """Whether `changes` can begin or end an inhibition of other alerts."""
        return any(rule.is_source(change.episode.labels) for change in changes for rule in self._rules)


def muted_by(muting: Muting, live: Iterable[Episode]) -> tuple[list[str], list[str]] | None:
    """The silences, and the names of the alerts that explain the rest, when together they mute every alert of `live`.

    None when one of them is not muted, or there is none.
    """
    silencing: set[str] = set()
    causes: set[str] = set()
    for episode in live:
        by = muting.silencing(episode.labels)
        because = [] if by else muting.inhibiting(episode.labels, episode.fingerprint)
        if not (by or because):
            return None
        silencing.update(by)
        causes.update(muting.names[one] for one in because)
    return (sorted(silencing), sorted(causes)) if silencing or causes else None


def concerned(quiet: Collection[int], ids: Sequence[int], muting: Muting) -> list[int]:
    """Of the incidents `ids` those that can fall quiet or speak: all while something mutes, else only quiet ones."""
    return [id for id in ids if muting or id in quiet]
