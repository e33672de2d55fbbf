"""Which incident a change belongs to, and which incidents the present situation folds, read from the store."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from tillwatch.incident import state
from tillwatch.incident.topology import FOLDING, Topology
from tillwatch.model.alert import Episode, EpisodeChange
from tillwatch.model.incident import Component, Incident
from tillwatch.store import alerts, silences
from tillwatch.store import incidents as store


class Placement:
    """The open incidents while one transaction works on them."""

    def __init__(self, connection: Connection, topology: Topology, now: datetime) -> None:
        self._connection = connection
        self._topology = topology
        self._now = now
        #: The silences in force during this transaction.
        self.silences = silences.active(connection, now)
        outlines = store.outlines(connection)
        self._open = {outline.component: outline.id for outline in outlines}
        self._ids = set(self._open.values())
        self._placed: dict[int, int] = {}
        self._unwritten: dict[int, list[int]] = {}

    def incident_for(self, change: EpisodeChange) -> int | None:
        """The incident of a change, opened when there is none. None for the end of what never was in one.

        1. The open incident the alert is in already.
        2. The open incident about its component.
        3. The open incident of what explains it, when it is nothing but a shadow.
        4. A new incident.
        """
        episode = change.episode
        known = self._placed.get(episode.id, episode.incident)
        if known in self._ids:
            return known
        if not episode.is_live:
            return None
        component = self._topology.component_of(episode.labels)
        found = self._open.get(component) or self._explaining(component, episode)
        if found is None:
            found = store.add(self._connection, state.begin(component, episode, self._now)).id
            self._open[component] = found
            self._ids.add(found)
        self._unwritten.setdefault(found, []).append(episode.id)
        self._placed[episode.id] = found
        return found

    def write(self) -> None:
        """Store which incident the placed alerts belong to; called before anybody asks the store for them."""
        for incident, ids in self._unwritten.items():
            alerts.attach(self._connection, ids, incident)
        self._unwritten = {}

    def moves(self, touched: Collection[Component]) -> list[tuple[Incident, Incident | None]]:
        """Incidents that, after `touched` changed, fold under another one (the second), or unfold (None)."""
        open_now = store.outlines(self._connection)
        by_component = {outline.component: outline for outline in open_now}
        ids = {outline.id for outline in open_now}
        candidates = [
            outline
            for outline in open_now
            # What depends on nothing folds under nothing: its alerts, perhaps thousands, need not be read.
            if (outline.component in touched and self._topology.dependencies(outline.component))
            or (outline.parent is not None and outline.parent not in ids)
            or not set(touched).isdisjoint(self._topology.dependencies(outline.component))
        ]
        needed = {outline.component for outline in candidates}
        needed |= {above for one in needed for above in self._topology.dependencies(one)}
        episodes = alerts.of_incidents(
            self._connection, [by_component[one].id for one in needed if one in by_component]
        )
        live = {
            one: [episode for episode in episodes[by_component[one].id] if episode.is_live]
            for one in needed
            if one in by_component
        }
        moves: list[tuple[Incident, Incident | None]] = []
        for outline in candidates:
            above = self._topology.parent_of(outline.component, live[outline.component], live)
            parent = None if above is None else by_component[above].id
            if outline.parent != parent:
                under = None if parent is None else store.get(self._connection, parent)
                moves.append((store.get(self._connection, outline.id), under))
        return moves

    def _explaining(self, component: Component, episode: Episode) -> int | None:
        if episode.name not in FOLDING:
            return None
        self.write()
        for above in self._topology.dependencies(component):
            found = self._open.get(above)
            if found is not None and self._topology.is_down(above, store.episodes(self._connection, found)):
                return found
        return None
