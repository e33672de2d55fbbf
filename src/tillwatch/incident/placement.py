"""Which incident a change belongs to, and which incidents the present situation folds, read from the store."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.incident import state
from tillwatch.incident.topology import FOLDING, Topology
from tillwatch.model.alert import Episode, EpisodeChange
from tillwatch.model.incident import Component, Incident, Severity
from tillwatch.store import alerts
from tillwatch.store import incidents as store

#: So many incidents within STORM_WINDOW are more than people can read one by one: what comes on top is told as one.
STORM_INCIDENTS = 100
#: Critical alerts keep incidents of their own for longer: among a storm of warnings they are what matters.
STORM_CRITICAL = 500
STORM_WINDOW = timedelta(minutes=5)


class Placement:
    """The open incidents that concern `changes`, while one transaction works on them."""

    def __init__(
        self,
        connection: Connection,
        topology: Topology,
        changes: Sequence[EpisodeChange],
        components: Collection[Component],
        now: datetime,
    ) -> None:
        self._connection = connection
        self._topology = topology
        self._now = now
        concerned = set(components)
        concerned |= {above for one in tuple(concerned) for above in topology.dependencies(one)}
        concerned.add(topology.storm)
        stated = {change.episode.incident for change in changes if change.episode.incident is not None}
        outlines = store.outlines_of(connection, concerned, stated)
        self._open = {outline.component: outline.id for outline in outlines}
        self._ids = set(self._open.values())
        self._placed: dict[int, int] = {}
        self._unattached: dict[int, int] = {}
        self._new: dict[int, Incident] = {}
        opening = {
            component
            for change, component in zip(changes, components, strict=True)
            if change.episode.is_live and change.episode.incident not in self._ids and component not in self._open
        }
        self._recent = store.opened_since(connection, now - STORM_WINDOW, limit=STORM_CRITICAL) if opening else 0
        self._numbers = iter(store.numbers(connection, len(opening)))

    def incident_for(self, change: EpisodeChange, component: Component) -> int | None:
        """The incident of a change, opened when there is none. None for the end of what never was in one.

        1. The open incident the alert is in already.
        2. The open incident about its component.
        3. The open incident of what explains it, when it is nothing but a shadow.
        4. A new incident; in a storm the one for all that is too much.
        """
        episode = change.episode
        known = self._placed.get(episode.id, episode.incident)
        if known in self._ids:
            return known
        if not episode.is_live:
            return None
        found = self._open.get(component) or self._explaining(component, episode)
        if found is None and self._is_storm(episode):
            component = self._topology.storm
            found = self._open.get(component)
        if found is None:
            found = next(self._numbers)
            self._recent += 1
            self._new[found] = state.begin(found, component, episode, self._now)
            self._open[component] = found
            self._ids.add(found)
        self._unattached[episode.id] = found
        self._placed[episode.id] = found
        return found

    def _is_storm(self, episode: Episode) -> bool:
        critical = Severity.of(episode.labels) is Severity.CRITICAL
        return self._recent >= (STORM_CRITICAL if critical else STORM_INCIDENTS)

    def unwritten(self) -> dict[int, Incident]:
        """Incidents that have just begun, by number; the caller stores them and then calls `attach`."""
        begun, self._new = self._new, {}
        return begun

    def attach(self, incidents: Collection[int]) -> None:
        """Store which of `incidents` the placed alerts belong to; these must be stored already."""
        mine = {id: to for id, to in self._unattached.items() if to in incidents}
        alerts.attach(self._connection, mine)
        for id in mine:
            del self._unattached[id]

    def moves(self, touched: Collection[Component], *, closed: bool) -> list[tuple[Incident, Incident | None]]:
        """Incidents that, after `touched` changed, fold under another one (the second), or unfold (None).

        When none can have been `closed`, none can have left others under it.
        """
        # What depends on nothing folds under nothing: its alerts, perhaps thousands, need not be read.
        movable = {one for one in touched if self._topology.dependencies(one)}
        movable |= {below for one in touched for below in self._topology.dependents(one)}
        if not (movable or closed):
            return []
        open_now = store.outlines_of(
            self._connection, movable | {above for one in movable for above in self._topology.dependencies(one)}
        )
        by_component = {outline.component: outline for outline in open_now}
        candidates = [outline for outline in open_now if outline.component in movable]
        for orphan in store.orphans(self._connection) if closed else ():
            if orphan.component not in movable:
                candidates.append(orphan)
                concerned = [orphan.component, *self._topology.dependencies(orphan.component)]
                by_component |= {one.component: one for one in store.outlines_of(self._connection, concerned)}
        if not candidates:
            return []
        needed = {outline.component for outline in candidates}
        needed |= {above for one in needed for above in self._topology.dependencies(one)}
        known = {one: by_component[one].id for one in needed if one in by_component}
        episodes = alerts.live_of_incidents(self._connection, known.values())
        live = {one: episodes[id] for one, id in known.items()}
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
        store.add(self._connection, list(self.unwritten().values()))
        self.attach(self._ids)
        for above in self._topology.dependencies(component):
            found = self._open.get(above)
            if found is None:
                continue
            live = alerts.live_of_incidents(self._connection, [found])[found]
            if self._topology.is_down(above, live):
                return found
        return None
