"""Whatever happens in whatever order: nothing that fires is without an open incident, and nobody is told nonsense."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tillwatch.errors import RefusedError
from tillwatch.incident.desk import IncidentDesk
from tillwatch.incident.topology import FOLDING, Topology
from tillwatch.model.alert import Alert, AlertState, Episode
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState, NoticeKind
from tillwatch.store import incidents, outbox
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection


class Lifecycle(RuleBasedStateMachine):
    """Troubles come and go, sources fall silent, people act, messages are sent, time passes."""

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        config = chain()
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
        before = self.versions()
        silent = any(one.state is AlertState.SILENT for one in self.episodes())
        self.ingest.receive([self.message(name) for name in self.going_on], source="x")
        assert silent or self.versions() == before

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
        for incident in self.incidents():
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
        if found := [one for one in self.incidents() if one.state is not IncidentState.RESOLVED]:
            self.desk.acknowledge(data.draw(st.sampled_from(found)).id, "wang")

    @rule(data=st.data())
    def resolve_by_hand(self, data: st.DataObject) -> None:
        found = [one for one in self.incidents() if one.state is not IncidentState.RESOLVED]
        if not found:
            return
        incident = data.draw(st.sampled_from(found))
        fires = any(one.state is AlertState.FIRING for one in self.episodes() if one.incident == incident.id)
        try:
            self.desk.resolve(incident.id, "wang", "gone")
        except RefusedError:
            assert fires
        else:
            assert not fires

    @invariant()
    def what_fires_is_in_an_open_incident(self) -> None:
        by_id = {one.id: one for one in self.incidents()}
        firing = [one for one in self.episodes() if one.state is AlertState.FIRING]
        for episode in firing:
            assert episode.incident is not None
            assert by_id[episode.incident].state is not IncidentState.RESOLVED
        local = {name for name in self.going_on if TROUBLES[name][2] != "prometheus"}
        assert len([one for one in firing if one.source != "prometheus"]) == len(local)

    @invariant()
    def what_is_open_has_a_living_alert_and_what_is_resolved_has_none_firing(self) -> None:
        for incident in self.incidents():
            states = [one.state for one in self.episodes() if one.incident == incident.id]
            if incident.state is IncidentState.RESOLVED:
                assert AlertState.FIRING not in states
            else:
                assert set(states) & {AlertState.FIRING, AlertState.SILENT}

    @invariant()
    def only_shadows_are_folded_and_only_under_what_is_down(self) -> None:
        by_id = {one.id: one for one in self.incidents()}
        for incident in by_id.values():
            if incident.parent is None or incident.state is IncidentState.RESOLVED:
                continue
            live = [one for one in self.episodes() if one.incident == incident.id and one.is_live]
            assert {one.name for one in live} <= FOLDING
            parent = by_id[incident.parent]
            assert parent.state is not IncidentState.RESOLVED
            assert self.topology.is_down(
                parent.component, [one for one in self.episodes() if one.incident == parent.id]
            )

    @invariant()
    def whoever_has_to_know_is_told_and_told_in_order(self) -> None:
        for incident in self.incidents():
            sent = [one for one in self.deliveries(incident.id) if one.state is not DeliveryState.CANCELLED]
            opened = {one.channel for one in sent if one.kind is NoticeKind.OPENED}
            if incident.state is not IncidentState.RESOLVED and incident.parent is None:
                assert opened
                live = [one for one in self.episodes() if one.incident == incident.id and one.is_live]
                if any(one.labels.get("severity") == "critical" for one in live):
                    assert "phone" in opened
                if incident.state is IncidentState.OPEN:
                    assert all(told.remind_at is not None for told in incident.told)
            for channel in {one.channel for one in sent}:
                kinds = [one.kind for one in sent if one.channel == channel]
                assert kinds[0] is NoticeKind.OPENED
                assert kinds.count(NoticeKind.OPENED) == 1
                assert kinds.count(NoticeKind.RESOLVED) <= 1
                assert NoticeKind.RESOLVED not in kinds[:-1]

    @invariant()
    def every_story_is_whole(self) -> None:
        with self.store.read() as connection:
            for incident in incidents.latest(connection, limit=1000):
                kinds = [entry.kind for entry in incidents.timeline(connection, incident.id)]
                assert kinds[0] == "opened"
                assert kinds.count("resolved") == (incident.state is IncidentState.RESOLVED)

    def incidents(self) -> list[Incident]:
        with self.store.read() as connection:
            return incidents.latest(connection, limit=1000)

    def versions(self) -> dict[int, int]:
        return {one.id: one.version for one in self.incidents()}

    def episodes(self) -> list[Episode]:
        with self.store.read() as connection:
            every = [one.id for one in incidents.latest(connection, limit=1000)]
            return [one for each in every for one in incidents.episodes(connection, each)]

    def deliveries(self, incident: int) -> list[DeliveryRecord]:
        with self.store.read() as connection:
            return outbox.deliveries(connection, incident)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
