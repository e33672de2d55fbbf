"""Whatever happens in whatever order: nothing that fires is without an open incident, and nobody is told nonsense."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool
from tests.support.incidents import alert, chain

from tillwatch.alerting.ingest import Ingest
from tillwatch.alerting.route import route
from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import RefusedError
from tillwatch.incident.desk import IncidentDesk
from tillwatch.incident.topology import FOLDING, Topology
from tillwatch.model.alert import Alert, AlertState, Episode
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState, NoticeKind
from tillwatch.store import alerts, incidents, outbox
from tillwatch.store.db import Database, tune_sqlite
from tillwatch.store.tables import metadata

T = TypeVar("T")

#: (name, labels, source): the troubles of a small chain; remote ones carry a lease.
TROUBLES: dict[str, tuple[str, dict[str, str], str]] = {
    "erp-tcp": ("InterfaceDown", {"system": "erp", "site": "hq", "severity": "critical", "probe": "erp-tcp"}, "probe"),
    "erp-api": (
        "ApplicationFailing",
        {"system": "erp", "site": "hq", "severity": "critical", "probe": "erp-api"},
        "probe",
    ),
    "orders": ("SyncStale", {"interface": "orders-chaoyang", "site": "chaoyang", "probe": "fresh"}, "probe"),
    "audit": ("AuditInconclusive", {"interface": "orders-chaoyang", "audit": "orders-chaoyang"}, "audit"),
    "drift": ("Drift", {"interface": "orders-chaoyang", "audit": "orders-chaoyang", "severity": "critical"}, "audit"),
    "stock": ("SyncStale", {"interface": "stock-chaoyang", "site": "chaoyang", "probe": "fresh-stock"}, "probe"),
    "till": ("InterfaceDown", {"system": "till-chaoyang", "site": "chaoyang", "probe": "till"}, "probe"),
    "host": ("HostSaturated", {"system": "hq-server", "site": "hq", "probe": "host"}, "probe"),
    "disk": ("DiskFilling", {"instance": "pos-7"}, "prometheus"),
    "line": ("InterfaceDown", {"site": "chaoyang"}, "prometheus"),
}
LEASE = timedelta(minutes=4)
troubles = st.sampled_from(sorted(TROUBLES))


class MemoryStore:
    """A database without a disk and a thread, so that thousands of steps take seconds."""

    def __init__(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        tune_sqlite(self.engine, "BEGIN", "foreign_keys = ON")
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    def write(self, job: Callable[[Connection], T]) -> T:
        with self.engine.begin() as connection:
            return job(connection)

    def submit_item(self, handle: Callable[[Connection, Sequence[Any]], Sequence[T]], item: object) -> Future[T]:
        future: Future[T] = Future()
        with self.engine.begin() as connection:
            future.set_result(handle(connection, [item])[0])
        return future

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection


@dataclass(frozen=True)
class World:
    """Everything the store says after one step."""

    incidents: dict[int, Incident]
    episodes: list[Episode]
    deliveries: dict[int, list[DeliveryRecord]]
    timelines: dict[int, list[str]]

    def live(self, incident: Incident) -> list[Episode]:
        return [one for one in self.episodes if one.incident == incident.id and one.is_live]

    def open(self) -> list[Incident]:
        return [one for one in self.incidents.values() if one.state is not IncidentState.RESOLVED]


class Lifecycle(RuleBasedStateMachine):
    """Troubles come and go, sources fall silent, people act, messages are sent, time passes."""

    def chain(self) -> ChainConfig:
        return chain()

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        config = self.chain()
        database = cast(Database, self.store)
        self.topology = Topology(config)
        self.desk = IncidentDesk(
            config, clock=self.clock, database=database, route=lambda labels: route(labels, config.route)
        )
        self.ingest = Ingest(database, clock=self.clock, on_changes=self.desk.on_changes)
        #: What really goes on: the start of each trouble.
        self.going_on: dict[str, Any] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.engine.dispose()

    def message(self, trouble: str, *, over: bool = False) -> Alert:
        name, labels, source = TROUBLES[trouble]
        now = self.clock.now()
        lease = now + LEASE if source == "prometheus" else None
        return alert(name, self.going_on[trouble], ends_at=now if over else lease, source=source, **labels)

    @rule(names=st.lists(troubles, min_size=1, max_size=3, unique=True))
    def break_down(self, names: list[str]) -> None:
        for name in names:
            self.going_on.setdefault(name, self.clock.now())
        assert self.ingest.receive([self.message(name) for name in names], source="x").quarantined == 0

    @rule()
    def send_again(self) -> None:
        before = self.look()
        silent = any(one.state is AlertState.SILENT for one in before.episodes)
        self.ingest.receive([self.message(name) for name in self.going_on], source="x")
        assert silent or self.look().incidents == before.incidents

    @rule(name=troubles)
    def mend(self, name: str) -> None:
        if name in self.going_on:
            self.clock.advance(1)
            self.ingest.receive([self.message(name, over=True)], source="x")
            del self.going_on[name]

    @rule(seconds=st.sampled_from([1, 5, 61, 300, 20_000]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.ingest.lapse()
        self.desk.tick(self.clock.now())
        for incident in [one for one in self.look().open() if one.snoozed_until is None]:
            assert all(told.remind_at is None or told.remind_at > self.clock.now() for told in incident.told)

    @rule()
    def send_messages(self) -> None:
        def job(connection: Connection) -> None:
            while claimed := outbox.claim(connection, "w", self.clock.now(), timedelta(seconds=30), 100):
                for record in claimed:
                    attempt = Attempt(
                        number=1, at=self.clock.now(), result="delivered", code="200", detail="", seconds=0.1,
                        possible_repeat=False,
                    )  # fmt: skip
                    assert outbox.delivered(connection, record, attempt, "w")

        self.store.write(job)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        if found := self.look().open():
            self.desk.acknowledge(data.draw(st.sampled_from(found)).id, "wang")

    @rule(data=st.data())
    def resolve_by_hand(self, data: st.DataObject) -> None:
        world = self.look()
        if not world.open():
            return
        incident = data.draw(st.sampled_from(world.open()))
        fires = any(one.state is AlertState.FIRING for one in world.live(incident))
        try:
            self.desk.resolve(incident.id, "wang", "gone")
        except RefusedError:
            assert fires
        else:
            assert not fires

    @invariant()
    def all_is_well(self) -> None:
        world = self.look()
        self.what_fires_is_in_an_open_incident(world)
        for incident in world.incidents.values():
            what_is_open_lives_and_what_is_resolved_does_not_fire(incident, world)
            whoever_has_to_know_is_told_in_order(incident, world)
            its_story_is_whole(incident, world)
            if incident.state is not IncidentState.RESOLVED:
                self.it_is_folded_under_what_explains_it(incident, world)

    def what_fires_is_in_an_open_incident(self, world: World) -> None:
        firing = [one for one in world.episodes if one.state is AlertState.FIRING]
        for episode in firing:
            assert episode.incident is not None
            assert world.incidents[episode.incident].state is not IncidentState.RESOLVED
        local = {name for name in self.going_on if TROUBLES[name][2] != "prometheus"}
        assert len([one for one in firing if one.source != "prometheus"]) == len(local)

    def it_is_folded_under_what_explains_it(self, incident: Incident, world: World) -> None:
        """Under the nearest thing that is down, if it is nothing but a shadow; else it stands for itself."""
        live = {one.component: world.live(one) for one in world.open()}
        above = self.topology.parent_of(incident.component, live[incident.component], live)
        parent = None if incident.parent is None else world.incidents[incident.parent]
        assert (parent and parent.component) == above
        if parent is not None:
            assert {one.name for one in world.live(incident)} <= FOLDING
            assert parent.state is not IncidentState.RESOLVED
            waiting = [one.kind for one in world.deliveries[incident.id] if one.state is DeliveryState.PENDING]
            assert NoticeKind.REMINDER not in waiting
            assert NoticeKind.UPDATED not in waiting

    def look(self) -> World:
        with self.store.read() as connection:
            found = {one.id: one for one in incidents.latest(connection, limit=1000)}
            return World(
                incidents=found,
                episodes=[one for mine in alerts.of_incidents(connection, found).values() for one in mine],
                deliveries={id: outbox.deliveries(connection, id) for id in found},
                timelines={id: [entry.kind for entry in incidents.timeline(connection, id)] for id in found},
            )


def what_is_open_lives_and_what_is_resolved_does_not_fire(incident: Incident, world: World) -> None:
    states = {one.state for one in world.episodes if one.incident == incident.id}
    if incident.state is IncidentState.RESOLVED:
        assert AlertState.FIRING not in states
    else:
        assert states & {AlertState.FIRING, AlertState.SILENT}


def whoever_has_to_know_is_told_in_order(incident: Incident, world: World) -> None:
    sent = [one for one in world.deliveries[incident.id] if one.state is not DeliveryState.CANCELLED]
    opened = {one.channel for one in sent if one.kind is NoticeKind.OPENED}
    if incident.state is not IncidentState.RESOLVED and incident.parent is None:
        assert opened
        if any(one.labels.get("severity") == "critical" for one in world.live(incident)):
            assert "phone" in opened
        if incident.state is IncidentState.OPEN:
            assert all(told.remind_at is not None for told in incident.told)
    for channel in {one.channel for one in sent}:
        kinds = [one.kind for one in sent if one.channel == channel]
        assert kinds[0] is NoticeKind.OPENED
        assert kinds.count(NoticeKind.OPENED) == 1
        assert NoticeKind.RESOLVED not in kinds[:-1]


def its_story_is_whole(incident: Incident, world: World) -> None:
    kinds = world.timelines[incident.id]
    assert kinds[0] == "opened"
    assert kinds.count("resolved") == (incident.state is IncidentState.RESOLVED)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
