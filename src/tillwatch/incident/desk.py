"""The incident desk: turns changes of alerts, orders of people and the passing of time into stored incidents.

Everything it does for one cause happens in one transaction: incident, timeline, links to alerts, outbox.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tillwatch.clock import Clock
from tillwatch.config.load import ChainConfig
from tillwatch.incident import state
from tillwatch.incident.placement import Placement
from tillwatch.incident.state import Outcome, Setting
from tillwatch.incident.telling import entry
from tillwatch.incident.topology import Topology, depth
from tillwatch.metrics import Metrics
from tillwatch.model.alert import ChangeKind, Episode, EpisodeChange
from tillwatch.model.incident import Component, Incident, IncidentState, Listener, RunbookLink, Severity
from tillwatch.model.labels import Labels
from tillwatch.model.notice import Notice
from tillwatch.model.route import Routed
from tillwatch.store import incidents as store
from tillwatch.store import outbox, silences
from tillwatch.store.db import Database
from tillwatch.store.silences import Silence, silenced_by

#: Reminders written in one transaction; the rest follows in the next round.
MAX_REMINDED_AT_ONCE = 200

Suggest = Callable[[Component, Sequence[Episode]], tuple[RunbookLink, ...]]
Enqueue = Callable[[Connection, Notice, datetime], object]


def _nothing_to_suggest(_component: Component, _episodes: Sequence[Episode]) -> tuple[RunbookLink, ...]:
    return ()


class IncidentDesk:
    """One desk a process; the store keeps several from getting into each other's way."""

    def __init__(
        self,
        config: ChainConfig,
        *,
        clock: Clock,
        database: Database,
        route: Callable[[Labels], tuple[Routed, ...]],
        enqueue: Enqueue = outbox.enqueue,
        suggest: Suggest = _nothing_to_suggest,
        metrics: Metrics | None = None,
    ) -> None:
        self._topology = Topology(config)
        self._language = "zh" if config.chain.locale.startswith("zh") else "en"
        self._clock = clock
        self._database = database
        self._route = route
        self._enqueue = enqueue
        self._suggest = suggest
        self._metrics = metrics or Metrics()
        #: The silences every open incident was last looked at with; None after a start.
        self._minded: list[tuple[str, datetime]] | None = None
        self._channels = {receiver.id: receiver.channels for receiver in config.receivers}

    def on_changes(self, connection: Connection, changes: Sequence[EpisodeChange], now: datetime) -> None:
        """Take in changes of alerts, within the transaction that stored them.

        1. Find the incident each change belongs to: causes before their shadows, so that a shadow finds its cause.
        2. Let each incident absorb its changes.
        3. Fold what the new situation explains, unfold what it no longer does.
        """
        placement = Placement(connection, self._topology, now)
        by_incident: dict[int, list[EpisodeChange]] = {}
        for change in sorted(changes, key=lambda change: depth(self._component(change.episode))):
            incident = placement.incident_for(change)
            if incident is not None:
                attached = replace(change, episode=replace(change.episode, incident=incident))
                by_incident.setdefault(incident, []).append(attached)
        placement.write()
        for id, mine in by_incident.items():
            incident_now = store.get(connection, id)
            episodes = store.episodes(connection, id)
            outcome = state.absorb(incident_now, episodes, mine, self._setting(episodes, placement.silences, now))
            if any(change.kind is not ChangeKind.RESOLVED for change in mine):
                outcome = self._with_runbooks(outcome, episodes, now)
            self._keep(connection, outcome, now)
        touched = {self._component(one.episode) for one in changes if one.kind is not ChangeKind.UPDATED}
        if touched:
            self._refold(connection, placement, touched, now)
        self._mind_silences(connection, by_incident, placement.silences, now)

    def tick(self, now: datetime) -> int:
        """Write the reminders that are due. Returns how many incidents were reminded of. Call it every few seconds."""

        def job(connection: Connection) -> tuple[int, Mapping[Severity, int], list[tuple[str, datetime]]]:
            muting = silences.active(connection, now)
            in_force = [(one.id, one.updated_at) for one in muting]
            if in_force != self._minded:
                self._mind_silences(connection, [one.id for one in store.outlines(connection)], muting, now)
            due = store.due(connection, now, limit=MAX_REMINDED_AT_ONCE)
            for incident in due:
                self._keep(connection, state.remind(incident, now), now)
            return len(due), store.open_by_severity(connection), in_force

        reminded, open_now, self._minded = self._database.write(job)
        for severity in Severity:
            self._metrics.set("tillwatch_incidents_open", open_now.get(severity, 0), severity=severity.value)
        return reminded

    def acknowledge(self, id: int, actor: str) -> Incident:
        """Raises UsageError when there is no such incident, RefusedError when it is resolved."""
        return self._order(id, lambda incident, _, now: state.acknowledge(incident, actor, now))

    def assign(self, id: int, actor: str, assignee: str) -> Incident:
        """Raises UsageError, RefusedError as `acknowledge`."""
        return self._order(id, lambda incident, _, now: state.assign(incident, actor, assignee, now))

    def note(self, id: int, actor: str, text: str) -> Incident:
        """Raises UsageError when there is no such incident or no text."""
        return self._order(id, lambda incident, _, now: state.note(incident, actor, text, now))

    def resolve(self, id: int, actor: str, reason: str) -> Incident:
        """Close an incident whose sources are gone. Raises RefusedError while any of its alerts fires."""
        return self._order(
            id, lambda incident, episodes, now: state.resolve(incident, episodes, actor, reason, now), refold=True
        )

    def timeline(
        self, connection: Connection, incident: int, kind: str, actor: str, data: Mapping[str, object]
    ) -> None:
        """Add an entry of another subject (a runbook run, an audit) within its own transaction."""
        store.append(connection, incident, [entry(self._clock.now(), kind, actor=actor, **data)])

    def _order(
        self,
        id: int,
        decide: Callable[[Incident, Sequence[Episode], datetime], Outcome],
        *,
        refold: bool = False,
    ) -> Incident:
        def job(connection: Connection) -> Incident:
            now = self._clock.now()
            incident = store.get(connection, id)
            outcome = decide(incident, store.episodes(connection, id), now)
            self._keep(connection, outcome, now)
            if refold:
                self._refold(connection, Placement(connection, self._topology, now), {incident.component}, now)
            return outcome.incident

        return self._database.write(job)

    def _keep(self, connection: Connection, outcome: Outcome, now: datetime) -> None:
        store.save(connection, outcome.incident)
        store.append(connection, outcome.incident.id, outcome.entries)
        for kind in outcome.withdrawn:
            outbox.cancel_pending(connection, outcome.incident.id, kind)
        for notice in outcome.notices:
            self._enqueue(connection, notice, now)

    def _refold(
        self, connection: Connection, placement: Placement, touched: Collection[Component], now: datetime
    ) -> None:
        for incident, parent in placement.moves(touched):
            if parent is not None:
                self._keep(connection, state.fold(incident, parent, now), now)
                continue
            live = [one for one in store.episodes(connection, incident.id) if one.is_live]
            reason = "it does not follow from the other incident any more"
            self._keep(connection, state.unfold(incident, self._setting(live, placement.silences, now), reason), now)

    def _with_runbooks(self, outcome: Outcome, episodes: Sequence[Episode], now: datetime) -> Outcome:
        """The suggestions for what lives now. A defect there must not cost us the incident."""
        if outcome.incident.state is IncidentState.RESOLVED:
            return outcome
        try:
            links = self._suggest(outcome.incident.component, [one for one in episodes if one.is_live])
        except DBAPIError:
            raise
        except Exception as error:
            known = entry(now, "runbooks_unavailable", error=f"{type(error).__name__}: {error}")
            return replace(outcome, entries=(*outcome.entries, known)) if outcome.entries else outcome
        return replace(outcome, incident=replace(outcome.incident, runbooks=links))

    def _mind_silences(
        self, connection: Connection, ids: Collection[int], muting: Sequence[Silence], now: datetime
    ) -> None:
        """Incidents whose live alerts are all muted fall quiet; those that were quiet and have another one speak."""
        quiet = silences.quiet(connection)
        for id in ids if muting else quiet.intersection(ids):
            incident = store.get(connection, id)
            live = [one for one in store.episodes(connection, id) if one.is_live]
            by = [silenced_by(muting, one.labels) for one in live]
            muted = incident.state is not IncidentState.RESOLVED and all(by)
            if muted and id not in quiet and incident.parent is None:
                ids_of_silences = sorted({one for several in by for one in several})
                self._keep(connection, state.silence(incident, ids_of_silences, now), now)
                silences.set_quiet(connection, id)
            elif not muted and id in quiet:
                silences.set_heard(connection, [id])
                if live and incident.parent is None:
                    self._keep(connection, state.unsilence(incident, self._setting(live, muting, now)), now)

    def _setting(self, episodes: Sequence[Episode], muting: Sequence[Silence], now: datetime) -> Setting:
        muted = frozenset(one.id for one in episodes if silenced_by(muting, one.labels))
        listeners = self._listeners([one for one in episodes if one.id not in muted])
        return Setting(now=now, language=self._language, listeners=listeners, muted=muted)

    def _listeners(self, episodes: Sequence[Episode]) -> tuple[Listener, ...]:
        live = sorted(
            (one for one in episodes if one.is_live), key=lambda one: (state.severity_of(one.labels).rank, one.id)
        )
        return tuple(
            Listener(
                receiver=routed.receiver,
                channels=tuple(self._channels.get(routed.receiver, ())),
                group_wait=routed.group_wait,
                group_interval=routed.group_interval,
                repeat_interval=routed.repeat_interval,
            )
            for episode in live
            for routed in self._route(episode.labels)
        )

    def _component(self, episode: Episode) -> Component:
        return self._topology.component_of(episode.labels)
