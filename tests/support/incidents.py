"""A small chain and the whole path from an alert to the outbox, for tests of alerting and incidents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tillwatch.alerting.ingest import Ingest
from tillwatch.alerting.route import route
from tillwatch.clock import ManualClock
from tillwatch.config.load import ChainConfig
from tillwatch.config.schema import (
    Chain,
    Channel,
    Interface,
    Listen,
    Receiver,
    Route,
    Site,
    StoreSpec,
    System,
)
from tillwatch.incident.desk import IncidentDesk
from tillwatch.model.alert import Alert
from tillwatch.model.incident import Incident
from tillwatch.model.notice import DeliveryState
from tillwatch.store import incidents as store
from tillwatch.store import outbox
from tillwatch.store.db import Database

GROUP_WAIT = timedelta(seconds=5)
GROUP_INTERVAL = timedelta(minutes=1)
REPEAT_INTERVAL = timedelta(hours=4)


def chain() -> ChainConfig:
    """Head office with an ERP and a server; the shop Chaoyang with a till; orders up, stock down."""
    critical = Route(receiver="oncall", matchers=('severity="critical"',))
    return ChainConfig(
        root=Path("/nowhere"),
        chain=Chain(id="demo", timezone=ZoneInfo("Asia/Shanghai"), locale="zh-CN", currency="CNY"),
        store=StoreSpec(url="sqlite:///unused.db"),
        listen=Listen(),
        sites=(Site(id="hq"), Site(id="chaoyang")),
        systems=(
            System(id="erp", site="hq", source="tryton"),
            System(id="till-chaoyang", site="chaoyang", source="sql"),
            System(id="hq-server", site="hq", source="host"),
        ),
        interfaces=(
            Interface(id="orders-chaoyang", site="chaoyang", from_="till-chaoyang", to="erp", carries="orders"),
            Interface(id="stock-chaoyang", site="chaoyang", from_="erp", to="till-chaoyang", carries="stock"),
        ),
        channels=(Channel(id="inbox", kind="webhook"), Channel(id="phone", kind="webhook")),
        route=Route(
            receiver="ops",
            group_wait=GROUP_WAIT,
            group_interval=GROUP_INTERVAL,
            repeat_interval=REPEAT_INTERVAL,
            routes=(critical,),
        ),
        receivers=(Receiver(id="ops", channels=("inbox",)), Receiver(id="oncall", channels=("phone",))),
    )


@dataclass
class Router:
    """Ingest and incident desk on one database, as the server wires them."""

    config: ChainConfig
    clock: ManualClock
    database: Database
    ingest: Ingest
    desk: IncidentDesk

    def fire(self, *alerts: Alert) -> None:
        assert self.ingest.receive(alerts, source="test").quarantined == 0

    def incidents(self) -> list[Incident]:
        with self.database.read() as connection:
            return list(reversed(store.latest(connection, limit=1000)))

    def incident(self, id: int = 1) -> Incident:
        with self.database.read() as connection:
            return store.get(connection, id)

    def kinds(self, id: int = 1) -> list[str]:
        with self.database.read() as connection:
            return [entry.kind for entry in store.timeline(connection, id)]

    def told(self, id: int = 1) -> list[tuple[str, str, str]]:
        """(kind, channel, person) of every notice of an incident that was not taken back, in order."""
        with self.database.read() as connection:
            sent = outbox.deliveries(connection, id)
        return [(one.kind.value, one.channel, one.person) for one in sent if one.state is not DeliveryState.CANCELLED]

    def outbox(self, id: int = 1) -> list[tuple[str, str, str]]:
        """(kind, channel, state) of every notice of an incident, in order."""
        with self.database.read() as connection:
            return [(one.kind.value, one.channel, one.state.value) for one in outbox.deliveries(connection, id)]


@pytest.fixture
def make_router(clock: ManualClock) -> Callable[..., Router]:
    def make(database: Database, config: ChainConfig | None = None, **desk_options: object) -> Router:
        config = config or chain()
        desk = IncidentDesk(
            config,
            clock=clock,
            database=database,
            route=partial(route, tree=config.route),
            **desk_options,  # type: ignore[arg-type]
        )
        ingest = Ingest(database, clock=clock, on_changes=desk.on_changes)
        return Router(config=config, clock=clock, database=database, ingest=ingest, desk=desk)

    return make


@pytest.fixture
def router(sqlite_database: Database, make_router: Callable[..., Router]) -> Router:
    """The path from alert to outbox on SQLite."""
    return make_router(sqlite_database)


def alert(
    name: str,
    at: datetime,
    *,
    ends_at: datetime | None = None,
    source: str = "probe",
    evidence: Mapping[str, object] | None = None,
    summary: str = "",
    cause: str = "",
    stated: bool = True,
    **labels: str,
) -> Alert:
    """An alert with `name` and `labels`; severity is `warning` unless given."""
    annotations = {"summary": summary or name, "summary_zh": f"中文 {summary or name}", "cause": cause}
    return Alert(
        labels={"alertname": name, "severity": "warning", **labels},
        annotations=annotations,
        starts_at=at,
        ends_at=ends_at,
        starts_at_stated=stated,
        source=source,
        evidence=evidence or {},
    )
