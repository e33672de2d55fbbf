"""Builds the product from a chain directory: everything wired, nothing running until `start`."""

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypedDict

import structlog
from sqlalchemy import Connection

from tillwatch.alerting.ingest import Ingest
from tillwatch.alerting.route import route
from tillwatch.alerting.silences import Silences
from tillwatch.app import gauges, heard
from tillwatch.app.loops import Loops, Run, rounds
from tillwatch.app.owners import is_gone, own_name
from tillwatch.audit import reports
from tillwatch.audit.ranges import Scale
from tillwatch.audit.repair import Repairs
from tillwatch.audit.runner import AuditRunner
from tillwatch.audit.workers import workers_of
from tillwatch.clock import Clock, SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import TillwatchError
from tillwatch.incident import maintenance
from tillwatch.incident.acks import KEY, AckLinks, signer
from tillwatch.incident.desk import IncidentDesk
from tillwatch.incident.handover import Handovers
from tillwatch.incident.invariants import CHECK_SECONDS, InvariantAuditor
from tillwatch.metrics import Metrics
from tillwatch.model.alert import EpisodeChange
from tillwatch.model.notice import Attempt, DeliveryRecord, Notice
from tillwatch.notify import registry as channels
from tillwatch.notify.desk import ChannelDesk
from tillwatch.notify.digest import DigestRenderer
from tillwatch.notify.direct import Direct
from tillwatch.notify.registry import Notifiers
from tillwatch.notify.render import Renderer
from tillwatch.notify.worker import OutboxWorker
from tillwatch.oncall.duty import Duty
from tillwatch.probers.registry import builtin
from tillwatch.probers.runner import ProbeRunner
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.automatic import AutomaticRuns
from tillwatch.runbook.desk import RunbookDesk
from tillwatch.sources import registry as systems
from tillwatch.sources.registry import Sources
from tillwatch.store import incidents, links, outbox, queues
from tillwatch.store.breakers import StoredBreaker
from tillwatch.store.db import Database
from tillwatch.validation.runner import ValidationRunner
from tillwatch.web.records import StoreRecords
from tillwatch.web.services import Services

#: Reminders and lapsed leases are looked for this often; a reminder is never later than this.
TICK_SECONDS = 1.0
#: A report is for people who read it in the morning; half a minute does not matter to them.
REPORT_SECONDS = 30.0
#: What starts by itself starts soon, but after the incident has taken in what broke together.
AUTOMATIC_SECONDS = 5.0

_log = structlog.get_logger("tillwatch.app")


@dataclass(frozen=True, kw_only=True)
class App:
    """One process of the product. Commands use its parts directly; the server calls `start` and `stop`."""

    config: ChainConfig
    clock: Clock
    database: Database
    metrics: Metrics
    sources: Sources
    notifiers: Notifiers
    ingest: Ingest
    silences: Silences
    desk: IncidentDesk
    acks: AckLinks
    probes: ProbeRunner
    audits: AuditRunner
    validations: ValidationRunner
    repairs: Repairs
    runbooks: RunbookDesk
    records: StoreRecords
    loops: Loops
    #: Signs acknowledge links; the same in every process on this store.
    ack_secret: bytes
    #: Names this process in leases and in the log of attempts.
    owner: str
    _link: "_IncidentLink"
    _closing: ExitStack

    @property
    def services(self) -> Services:
        """What the pages and the API call; `serve` adds the token."""
        return Services(
            config=self.config,
            clock=self.clock,
            records=self.records,
            ingest=self.ingest,
            silences=self.silences,
            desk=self.desk,
            acks=self.acks,
            channels=ChannelDesk(self.config, self.notifiers, database=self.database, clock=self.clock),
            audits=self.audits,
            validations=self.validations,
            probes=self.probes,
            runbooks=self.runbooks,
            metrics=self.metrics,
            watch=self.loops,
        )

    def start(self) -> None:
        """Run the loops. What ended with the last process is taken up by them; nothing is assumed of it here."""
        self.retire()
        self.run()

    def retire(self) -> None:
        """End the alerts of probes and jobs that left the chain directory, wait for new jobs. Raises StoreError."""
        self.probes.retire()
        self.ingest.expect(self.config.heartbeats, self.config.chain.timezone)

    def run(self) -> None:
        """Start the loops."""
        if self.database.dialect == "sqlite":
            # A file has its processes on one machine, so a sender that is gone can be told from a slow one.
            gone = partial(is_gone, me=self.owner)
            self.database.write(lambda connection: queues.release(connection, gone, self.clock.now()))
        gauges.read_successfully(self.metrics, self.clock)
        self._closing.callback(self.loops.stop)
        self.loops.start(_running(self))

    def stop(self) -> None:
        """End the loops, log off everywhere, close the store. Safe to call twice."""
        self._closing.close()


class Keeping(TypedDict):
    """What whoever runs something by a schedule and stores what it found needs."""

    database: Database
    clock: Clock
    metrics: Metrics
    owner: str


def build(config: ChainConfig, *, clock: Clock | None = None) -> App:
    """Wire everything for `config` and bring the store's schema up to date.

    Raises ConfigError with every problem the plugins find, StoreError when the store cannot be opened. What was opened
    is closed again when a later part fails.
    """
    with ExitStack() as closing:
        return _wire(config, clock or SystemClock(), closing)


def _wire(config: ChainConfig, clock: Clock, closing: ExitStack) -> App:
    owner = own_name()
    metrics = Metrics()
    database = Database.open(config.store.url, clock=clock, root=config.root)
    closing.callback(database.close)
    database.migrate()
    sources = systems.build(config, clock=clock, breakers=StoredBreaker(database, clock=clock))
    closing.callback(_quietly, "log off", sources.close)
    notifiers = channels.build(config, clock=clock)
    closing.callback(notifiers.close)
    link = _IncidentLink()
    ingest = Ingest(database, clock=clock, on_changes=link.on_changes, metrics=metrics)
    probes = ProbeRunner(
        config, builtin(), sources, database=database, clock=clock, on_verdict=ingest.apply, metrics=metrics
    )
    kept = Keeping(database=database, clock=clock, metrics=metrics, owner=owner)
    audits, validations = _audits(config, sources, ingest, kept)
    repairs = Repairs(config, sources, database=database, clock=clock)
    runbooks = RunbookDesk(
        ActionServices(
            config=config,
            database=database,
            clock=clock,
            probes=probes,
            audits=audits,
            validations=validations,
            repairs=repairs,
            episodes=incidents.episodes,
            enqueue=lambda connection, notice: outbox.enqueue(connection, notice, clock.now()),
        ),
        owner=owner,
        metrics=metrics,
        timeline=link.timeline,
    )
    link.desk = IncidentDesk(
        config,
        clock=clock,
        database=database,
        route=partial(route, tree=config.route),
        suggest=runbooks.suggest,
        enqueue=link.enqueue,
        metrics=metrics,
    )
    recurring = partial(maintenance.active, config.maintenance, config.chain.timezone)
    secret = links.signing_key(database, KEY, clock.now())
    return App(
        config=config,
        clock=clock,
        owner=owner,
        database=database,
        metrics=metrics,
        sources=sources,
        notifiers=notifiers,
        ingest=ingest,
        silences=Silences(database, clock=clock, recurring=recurring),
        desk=link.desk,
        acks=AckLinks(config, database=database, desk=link.desk, secret=secret),
        ack_secret=secret,
        probes=probes,
        audits=audits,
        validations=validations,
        repairs=repairs,
        runbooks=runbooks,
        records=StoreRecords(database, duty=Duty.of(config), clock=clock),
        loops=Loops(clock=clock, metrics=metrics),
        _link=link,
        _closing=closing.pop_all(),
    )


def _audits(
    config: ChainConfig, sources: Sources, ingest: Ingest, kept: Keeping
) -> tuple[AuditRunner, ValidationRunner]:
    """What compares two sides, and what checks one."""
    scale, clock = Scale(chain=config.root, workers=workers_of(config)), kept["clock"]
    return (
        AuditRunner(config, sources, **kept, scale=scale, on_report=heard.audited(config, ingest, clock)),
        ValidationRunner(config, sources, **kept, on_report=heard.validated(config, ingest, clock)),
    )


def _messages(app: App) -> OutboxWorker:
    titles = {book.id: book.head.title.text() for book in app.runbooks.books.values()}
    sign = signer(app.ack_secret)
    renderer = Renderer(app.config, clock=app.clock, incident=incidents.document, runbook_titles=titles, sign=sign)
    return OutboxWorker(
        app.database,
        app.notifiers,
        clock=app.clock,
        owner=app.owner,
        render=renderer,
        digest=DigestRenderer(renderer),
        metrics=app.metrics,
        jitter=random.SystemRandom().random,
        on_result=app._link.delivered,
        bell=app._link.bell,
    )


def _running(app: App) -> list[tuple[str, Run]]:
    """The loops of a server by name; a command runs none of them."""
    return [
        ("probes", lambda stop: asyncio.run(app.probes.loop(stop))),
        ("audits", app.audits.loop),
        ("validations", app.validations.loop),
        ("runbooks", app.runbooks.worker().loop),
        ("outbox", _messages(app).loop),
        ("incidents", _incident_rounds(app)),
        ("invariants", _invariant_rounds(app)),
        ("reports", _report_rounds(app)),
        ("automatic", _automatic_rounds(app)),
    ]


def _incident_rounds(app: App) -> Run:
    """What time alone changes: leases that lapse, reminders that fall due; and the gauges that count."""

    handovers = Handovers(app.config, database=app.database)

    def work() -> None:
        app.ingest.lapse()
        app.desk.tick(app.clock.now())
        handovers.tick(app.clock.now())
        gauges.show(app.database, app.config, app.metrics, app.clock.now())

    return rounds("incidents", work, every_seconds=TICK_SECONDS, clock=app.clock, metrics=app.metrics)


def _invariant_rounds(app: App) -> Run:
    """Who watches the watcher: a loop of its own, so that it runs when the others do not."""
    auditor = InvariantAuditor(
        app.database,
        clock=app.clock,
        metrics=app.metrics,
        owner=app.owner,
        channels=[channel.id for channel in app.config.channels],
        send=Direct(app.config, app.notifiers, clock=app.clock),
    )
    return rounds("invariants", auditor.round, every_seconds=CHECK_SECONDS, clock=app.clock, metrics=app.metrics)


def _automatic_rounds(app: App) -> Run:
    automatic = AutomaticRuns(app.runbooks, app.config, database=app.database, clock=app.clock, owner=app.owner)
    return rounds("automatic", automatic.round, every_seconds=AUTOMATIC_SECONDS, clock=app.clock, metrics=app.metrics)


def _report_rounds(app: App) -> Run:
    def work() -> None:
        reports.send_due(app.database, app.config, app.clock.now())

    return rounds("reports", work, every_seconds=REPORT_SECONDS, clock=app.clock, metrics=app.metrics)


class _IncidentLink:
    """Breaks the circle alerts → incidents → runbooks → alerts: the desk is set before anything is ingested."""

    desk: IncidentDesk

    def __init__(self) -> None:
        #: Rung when a message is due at once.
        self.bell = threading.Event()

    def enqueue(self, connection: Connection, notices: Sequence[Notice], now: datetime) -> None:
        outbox.enqueue_all(connection, notices, now)
        if any(notice.not_before <= now for notice in notices):
            self.bell.set()

    def on_changes(self, connection: Connection, changes: Sequence[EpisodeChange], now: datetime) -> None:
        self.desk.on_changes(connection, changes, now)

    def timeline(
        self, connection: Connection, incident: int, kind: str, actor: str, data: Mapping[str, object]
    ) -> None:
        self.desk.timeline(connection, incident, kind, actor, data)

    def delivered(self, connection: Connection, record: DeliveryRecord, attempt: Attempt) -> None:
        """A message's end belongs into the life of its incident: who was told, and what the channel really said."""
        if record.incident is None:
            return
        data = {
            "notice": record.kind.value,
            "channel": record.channel,
            "result": attempt.result,
            "code": attempt.code,
            "detail": attempt.detail,
            "possible_repeat": attempt.possible_repeat,
        }
        self.desk.timeline(connection, record.incident, "delivery", "tillwatch", data)


def _quietly(what: str, work: Callable[[], object]) -> None:
    """On the way out a system that cannot be reached any more is not worth an error."""
    try:
        work()
    except TillwatchError as error:
        _log.warning("could not %s", what, error=str(error))
