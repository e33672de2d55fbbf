"""The incident desk: turns changes of alerts, orders of people and the passing of time into stored incidents.

Everything it does for one cause happens in one transaction: incident, timeline, links to alerts, outbox.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tillwatch.clock import Clock
from tillwatch.config.load import ChainConfig
from tillwatch.incident import orders, state
from tillwatch.incident.muting import Muting
from tillwatch.incident.placement import Placement
from tillwatch.incident.quieting import Quiet, concerned, muted_by
from tillwatch.incident.state import Outcome, Setting
from tillwatch.incident.telling import entry
from tillwatch.incident.topology import Topology, depth
from tillwatch.metrics import Metrics
from tillwatch.model.alert import ChangeKind, Episode, EpisodeChange
from tillwatch.model.incident import Component, Incident, IncidentState, Listener, RunbookLink, Severity, TimelineEntry
from tillwatch.model.labels import Labels
from tillwatch.model.notice import Notice
from tillwatch.model.route import Routed
from tillwatch.oncall.duty import Duty
from tillwatch.store import alerts, outbox, silences
from tillwatch.store import incidents as store
from tillwatch.store.db import Database

#: Reminders written in one transaction; the rest follows in the next round.
MAX_REMINDED_AT_ONCE = 200
#: Routes of alerts kept in memory, a few hundred bytes each.
MAX_ROUTES_REMEMBERED = 20_000

Suggest = Callable[[Component, Sequence[Episode]], tuple[RunbookLink, ...]]
First = Callable[[Connection, Incident, datetime], None]
Enqueue = Callable[[Connection, Sequence[Notice], datetime], object]


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
        enqueue: Enqueue = outbox.enqueue_all,
        suggest: Suggest = _nothing_to_suggest,
        metrics: Metrics | None = None,
    ) -> None:
        self._topology = Topology(config)
        self._quiet = Quiet(config)
        self._language = "zh" if config.chain.locale.startswith("zh") else "en"
        self._clock = clock
        self._database = database
        self._route = route
        self._enqueue = enqueue
        self._suggest = suggest
        self._metrics = metrics or Metrics()
        #: The silences every open incident was last looked at with; None after a start.
        self._minded: list[tuple[str, datetime]] | None = None
        self._routes: dict[str, tuple[Routed, ...]] = {}
        self._duty = Duty.of(config)
        #: False until the incidents of the last process have been looked at.
        self._revived = False

    def on_changes(self, connection: Connection, changes: Sequence[EpisodeChange], now: datetime) -> None:
        """Take in changes of alerts, within the transaction that stored them.

        1. Find the incident each change belongs to: causes before their shadows, so that a shadow finds its cause.
        2. Let each incident absorb its changes.
        3. Fold what the new situation explains, unfold what it no longer does.
        """
        muting = self._quiet.muting(connection, now)
        by_component = {change.episode.id: self._component(change.episode) for change in changes}
        placement = Placement(
            connection, self._topology, changes, [by_component[one.episode.id] for one in changes], now
        )
        by_incident: dict[int, list[EpisodeChange]] = {}
        for change in sorted(changes, key=lambda change: depth(by_component[change.episode.id])):
            incident = placement.incident_for(change, by_component[change.episode.id])
            if incident is not None:
                attached = replace(change, episode=replace(change.episode, incident=incident))
                by_incident.setdefault(incident, []).append(attached)
        self._absorb(connection, by_incident, placement, muting, now)
        touched = {by_component[one.episode.id] for one in changes if one.kind is not ChangeKind.UPDATED}
        closed = any(change.kind is ChangeKind.RESOLVED for change in changes)
        self._refold(connection, placement, touched, muting, now, closed=closed)
        everything = self._quiet.decides(changes)
        minded = [one.id for one in store.outlines(connection)] if everything else list(by_incident)
        self._mind_silences(connection, minded, muting, now)

    def _absorb(
        self,
        connection: Connection,
        by_incident: Mapping[int, Sequence[EpisodeChange]],
        placement: Placement,
        muting: Muting,
        now: datetime,
    ) -> None:
        begun = placement.unwritten()
        older = [id for id in by_incident if id not in begun]
        known = {**begun, **store.get_all(connection, older)}
        placement.attach(older)
        live = {id: alerts.worst({one.episode.id: one.episode for one in by_incident[id]}.values()) for id in begun}
        live |= alerts.live_of_incidents(connection, older)
        over = [id for id in by_incident if not live[id]]
        ever = alerts.count_of_incidents(connection, over)
        often = store.often(connection, over, now - state.FLAP_WINDOW)
        outcomes = []
        for id, mine in by_incident.items():
            setting = self._setting([*live[id], *(one.episode for one in mine)], muting, now)
            setting = replace(setting, often=often.get(id, 1))
            outcome = state.absorb(known[id], live[id], mine, setting, ever=ever.get(id, 0))
            if any(change.kind is not ChangeKind.RESOLVED for change in mine):
                outcome = self._with_runbooks(outcome, live[id], now)
            outcomes.append(outcome)
        store.add(connection, [one.incident for one in outcomes if one.incident.id in begun])
        store.save(connection, [one.incident for one in outcomes if one.incident.id not in begun])
        placement.attach(begun)
        self._tell(connection, outcomes, now)

    def muting(self) -> Muting:
        """What mutes just now, for those who show it."""
        with self._database.read() as connection:
            return self._quiet.muting(connection, self._clock.now())

    def tick(self, now: datetime) -> int:
        """Write the reminders that are due. Returns how many incidents were reminded of. Call it every few seconds."""

        def job(connection: Connection) -> tuple[int, Mapping[Severity, int], list[tuple[str, datetime]]]:
            muting = self._quiet.muting(connection, now)
            in_force = [(one.id, one.updated_at) for one in muting.silences]
            if in_force != self._minded:
                everything = [one.id for one in store.outlines(connection)]
                self._mind_silences(connection, everything, muting, now)
            if not self._revived:
                self._revive(connection, muting, now)
            due = store.due(connection, now, limit=MAX_REMINDED_AT_ONCE)
            outcomes = [self._on_time(connection, one, muting, now) for one in due]
            self._keep(connection, outcomes, now)
            over = {one.incident.component for one in outcomes if one.incident.state is IncidentState.RESOLVED}
            if over:
                placement = Placement(connection, self._topology, (), (), now)
                self._refold(connection, placement, over, muting, now, closed=True)
            return len(due), store.open_by_severity(connection), in_force

        reminded, open_now, self._minded = self._database.write(job)
        self._revived = True
        for severity in Severity:
            self._metrics.set("tillwatch_incidents_open", open_now.get(severity, 0), severity=severity.value)
        return reminded

    def _on_time(self, connection: Connection, incident: Incident, muting: Muting, now: datetime) -> Outcome:
        asks = incident.snoozed_until is not None or incident.settles_at is not None
        live = alerts.live_of_incidents(connection, [incident.id])[incident.id] if asks else []
        setting = self._setting(live, muting, now)
        if incident.settles_at is not None:
            ever = alerts.count_of_incidents(connection, [incident.id]).get(incident.id, 0)
            setting = replace(setting, calm=not live, ever=ever)
        return orders.on_time(incident, setting)

    def acknowledge(
        self, id: int, actor: str, *, lasting: timedelta | None = None, first: First | None = None
    ) -> Incident:
        """`lasting`: for so long; after that the escalation goes on. Raises UsageError, RefusedError when resolved.

        `first` is called in the same transaction with the incident as it stands; what it raises undoes everything.
        """

        def decide(connection: Connection, incident: Incident, now: datetime) -> Outcome:
            if first is not None:
                first(connection, incident, now)
            return orders.acknowledge(incident, actor, now, until=None if lasting is None else now + lasting)

        return self._order(id, decide)

    def unacknowledge(self, id: int, actor: str, reason: str = "") -> Incident:
        """Give it back. Raises UsageError when there is no such incident, RefusedError when nobody is on it."""
        return self._order(id, lambda _, incident, now: orders.unacknowledge(incident, actor, reason, now))

    def snooze(self, id: int, actor: str, lasting: timedelta, reason: str = "") -> Incident:
        """Quiet for so long. Raises UsageError, RefusedError when it is resolved or acknowledged."""
        return self._order(id, lambda _, incident, now: orders.snooze(incident, actor, now + lasting, reason, now))

    def assign(self, id: int, actor: str, assignee: str) -> Incident:
        """Raises UsageError, RefusedError as `acknowledge`."""
        return self._order(id, lambda _, incident, now: orders.assign(incident, actor, assignee, now))

    def note(self, id: int, actor: str, text: str) -> Incident:
        """Raises UsageError when there is no such incident or no text."""
        return self._order(id, lambda _, incident, now: orders.note(incident, actor, text, now))

    def resolve(self, id: int, actor: str, reason: str) -> Incident:
        """Close an incident whose sources are gone. Raises RefusedError while any of its alerts fires."""

        def decide(connection: Connection, incident: Incident, now: datetime) -> Outcome:
            firing = alerts.firing_names(connection, id)
            ever = alerts.count_of_incidents(connection, [id]).get(id, 0)
            return orders.resolve(incident, firing, actor, reason, now, ever=ever)

        return self._order(id, decide, refold=True)

    def timeline(
        self, connection: Connection, incident: int, kind: str, actor: str, data: Mapping[str, object]
    ) -> None:
        """Add an entry of another subject (a runbook run, an audit) within its own transaction."""
        # Not through `entry`: a name in somebody else's data may be one of its own parameters.
        told = TimelineEntry(at=self._clock.now(), kind=kind, actor=actor, data=data)
        store.append(connection, [(incident, told)])

    def _order(
        self,
        id: int,
        decide: Callable[[Connection, Incident, datetime], Outcome],
        *,
        refold: bool = False,
    ) -> Incident:
        def job(connection: Connection) -> Incident:
            now = self._clock.now()
            incident = store.get(connection, id)
            outcome = decide(connection, incident, now)
            self._keep(connection, [outcome], now)
            if refold:
                muting = self._quiet.muting(connection, now)
                placement = Placement(connection, self._topology, (), (), now)
                self._refold(connection, placement, {incident.component}, muting, now, closed=True)
            return outcome.incident

        return self._database.write(job)

    def _keep(self, connection: Connection, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Store what happened to several incidents, each in there once."""
        store.save(connection, [outcome.incident for outcome in outcomes])
        self._tell(connection, outcomes, now)

    def _tell(self, connection: Connection, outcomes: Sequence[Outcome], now: datetime) -> None:
        store.append(connection, [(outcome.incident.id, one) for outcome in outcomes for one in outcome.entries])
        for outcome in outcomes:
            for kind in outcome.withdrawn:
                outbox.cancel_pending(connection, outcome.incident.id, kind)
        if notices := [notice for outcome in outcomes for notice in outcome.notices]:
            self._enqueue(connection, notices, now)

    def _refold(
        self,
        connection: Connection,
        placement: Placement,
        touched: Collection[Component],
        muting: Muting,
        now: datetime,
        *,
        closed: bool,
    ) -> None:
        for incident, parent in placement.moves(touched, closed=closed):
            if parent is not None:
                self._keep(connection, [state.fold(incident, parent, now)], now)
                continue
            live = alerts.live_of_incidents(connection, [incident.id])[incident.id]
            reason = "it does not follow from the other incident any more"
            outcome = state.unfold(incident, self._setting(live, muting, now), reason)
            self._keep(connection, [outcome], now)

    def _with_runbooks(self, outcome: Outcome, episodes: Sequence[Episode], now: datetime) -> Outcome:
        """The suggestions for what lives now. A defect there must not cost us the incident."""
        if outcome.incident.state is IncidentState.RESOLVED:
            return outcome
        try:
            links = self._suggest(outcome.incident.component, episodes)
        except DBAPIError:
            raise
        except Exception as error:
            known = entry(now, "runbooks_unavailable", error=f"{type(error).__name__}: {error}")
            return replace(outcome, entries=(*outcome.entries, known)) if outcome.entries else outcome
        return replace(outcome, incident=replace(outcome.incident, runbooks=links))

    def _mind_silences(self, connection: Connection, ids: Sequence[int], muting: Muting, now: datetime) -> None:
        """Incidents whose live alerts are all muted fall quiet; those that were quiet and have another one speak."""
        quiet = silences.quiet(connection)
        for id in concerned(quiet, ids, muting):
            incident = store.get(connection, id)
            by = muted_by(muting, alerts.live(connection, id))
            muted = incident.state is not IncidentState.RESOLVED and by is not None
            if muted and id not in quiet and incident.parent is None:
                assert by is not None
                self._keep(connection, [state.quiet(incident, now, silences=by[0], causes=by[1])], now)
                silences.set_quiet(connection, id)
            elif not muted and id in quiet:
                silences.set_heard(connection, [id])
                live = alerts.live_of_incidents(connection, [id])[id]
                if live and incident.parent is None:
                    self._keep(connection, [state.unsilence(incident, self._setting(live, muting, now))], now)

    def _setting(self, episodes: Sequence[Episode], muting: Muting, now: datetime) -> Setting:
        muted = frozenset(one.id for one in episodes if muting and muting.mutes(one.labels, one.fingerprint))
        listeners = self._listeners([one for one in episodes if one.id not in muted], now)
        return Setting(now=now, language=self._language, listeners=listeners, muted=muted, duty=self._duty)

    def _listeners(self, episodes: Sequence[Episode], now: datetime) -> tuple[Listener, ...]:
        """Whom the routes choose for the alerts that live, each with the severity that the calendar gives it."""
        judged = {one.id: self._judged(one, now) for one in episodes if one.is_live}
        live = sorted((one for one in episodes if one.is_live), key=lambda one: (judged[one.id].rank, one.id))
        return tuple(self._listener(routed) for episode in live for routed in self._routed(episode, judged[episode.id]))

    def _judged(self, episode: Episode, now: datetime) -> Severity:
        return self._duty.calendar.judged(episode.labels, Severity.of(episode.labels), now).severity

    def _listener(self, routed: Routed) -> Listener:
        receiver = self._duty.receivers.get(routed.receiver)
        return Listener(
            receiver=routed.receiver,
            channels=receiver.channels if receiver else (),
            group_wait=routed.group_wait,
            group_interval=routed.group_interval,
            repeat_interval=routed.repeat_interval,
            oncall=receiver.oncall if receiver else "",
            escalation=receiver.escalation if receiver else "",
        )

    def _routed(self, episode: Episode, severity: Severity) -> tuple[Routed, ...]:
        """The routes of an alert, remembered: labels never change, and a storm asks again with every message.

        What the calendar changed is routed as changed; a word of the sender's own for a severity stays as it is.
        """
        changed = severity is not Severity.of(episode.labels)
        key = f"{episode.fingerprint}:{severity.value}" if changed else episode.fingerprint
        known = self._routes.get(key)
        if known is None:
            if len(self._routes) >= MAX_ROUTES_REMEMBERED:
                self._routes.clear()
            labels = {**episode.labels, "severity": severity.value} if changed else episode.labels
            known = self._routes[key] = self._route(labels)
        return known

    def _revive(self, connection: Connection, muting: Muting, now: datetime) -> None:
        """The first look after a start: what the last process left waiting for nobody is told anew."""
        quiet = silences.quiet(connection)
        waiting = [one for one in store.forgotten(connection) if one.id not in quiet]
        live = alerts.live_of_incidents(connection, [one.id for one in waiting])
        settings = [self._setting(live[one.id], muting, now) for one in waiting]
        self._keep(connection, list(map(orders.revive, waiting, settings)), now)

    def _component(self, episode: Episode) -> Component:
        return self._topology.component_of(episode.labels)
