"""A chain on a bad night, in memory: what the pages ask for, without a store. Every order is remembered in `orders`."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import BinaryIO
from zoneinfo import ZoneInfo

from tests.support.web_validations import Checked
from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.alerting.silences import Draft, NoSuchSilence
from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Webhook
from tillwatch.errors import RefusedError, StoreError, UsageError
from tillwatch.incident.acks import AckState, Opened
from tillwatch.incident.muting import Muting
from tillwatch.incident.statistics import Statistics, statistics
from tillwatch.model.alert import Alert, Episode
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SignOff
from tillwatch.model.incident import Incident, IncidentState, TimelineEntry
from tillwatch.model.notice import DeliveryRecord, DeliveryState
from tillwatch.model.probe import ProbeResult, ProbeState
from tillwatch.model.runbook import Run
from tillwatch.model.validation import ValidationReport
from tillwatch.notify.base import Delivery, Result
from tillwatch.notify.desk import ChannelStatus
from tillwatch.runbook.cards import DryRun, RunbookCard
from tillwatch.store.links import Use
from tillwatch.store.silences import Silence, SilenceState
from tillwatch.store.similar import Similar
from tillwatch.store.statistics import Action, Case, Page
from tillwatch.web.services import Health, Services


@dataclass
class World:
    """Fakes of everything in `Services`. A test changes the fields it is about."""

    config: ChainConfig
    clock: ManualClock
    states: dict[str, ProbeState] = field(default_factory=dict)
    histories: dict[str, list[ProbeResult]] = field(default_factory=dict)
    known: dict[int, Incident] = field(default_factory=dict)
    entries: dict[int, list[TimelineEntry]] = field(default_factory=dict)
    alerts: list[Episode] = field(default_factory=list)
    silences: dict[str, Silence] = field(default_factory=dict)
    sent: list[DeliveryRecord] = field(default_factory=list)
    #: What acknowledge links lead to, by token.
    links: dict[str, Opened] = field(default_factory=dict)
    channels: list[ChannelStatus] = field(default_factory=list)
    tested: Delivery = field(default_factory=lambda: Delivery(result=Result.DELIVERED, code="0", detail="ok"))
    reports: dict[int, AuditReport] = field(default_factory=dict)
    signed: list[SignOff] = field(default_factory=list)
    validated: dict[int, ValidationReport] = field(default_factory=dict)
    cards: dict[str, RunbookCard] = field(default_factory=dict)
    plans: dict[str, DryRun] = field(default_factory=dict)
    started: dict[int, Run] = field(default_factory=dict)
    health: list[Health] = field(default_factory=list)
    orders: list[tuple[object, ...]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    #: Set to make every question and order fail like a full or locked database.
    broken: str = ""
    #: Set to make orders fail by policy.
    refused: str = ""
    receipt: IngestReceipt = field(default_factory=lambda: IngestReceipt(stored=0, quarantined=0))
    token: str = ""
    cases: list[Case] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    asked_plan: tuple[str, Mapping[str, str], int | None] | None = None

    def services(self) -> Services:
        return Services(
            config=self.config,
            clock=self.clock,
            records=self,
            ingest=_Ingest(self),
            silences=_Silences(self),
            desk=_Desk(self),
            acks=_Acks(self),
            channels=_Channels(self),
            audits=_Audits(self),
            validations=Checked(self),
            probes=_Probes(self),
            runbooks=_Runbooks(self),
            metrics=_Metrics(),
            watch=_Watch(self),
            token=self.token,
        )

    def ask(self) -> None:
        if self.broken:
            raise StoreError(self.broken)

    def order(self, *what: object) -> None:
        self.ask()
        if self.refused:
            raise RefusedError(self.refused)
        self.orders.append(what)

    # services.Records
    def probe_states(self) -> Mapping[str, ProbeState]:
        self.ask()
        return self.states

    def probe_history(self, probe: str, limit: int) -> Sequence[ProbeResult]:
        self.ask()
        return self.histories.get(probe, [])[:limit]

    def open_incidents(self) -> Sequence[Incident]:
        self.ask()
        return [item for item in self.known.values() if item.state is not IncidentState.RESOLVED]

    def incidents(self, *, limit: int, before: int | None = None) -> Sequence[Incident]:
        self.ask()
        found = sorted(self.known.values(), key=lambda item: -item.id)
        return [item for item in found if before is None or item.id < before][:limit]

    def incident(self, incident: int) -> Incident:
        self.ask()
        if incident not in self.known:
            raise UsageError(f"there is no incident {incident}; 'tillwatch incident list' shows them")
        return self.known[incident]

    def timeline(self, incident: int) -> Sequence[TimelineEntry]:
        self.ask()
        return self.entries.get(incident, [])

    def episodes(self, incidents: Sequence[int]) -> Mapping[int, Sequence[Episode]]:
        self.ask()
        return {number: [item for item in self.alerts if item.incident == number] for number in incidents}

    def incident_document(self, incident: int) -> Mapping[str, object]:
        item = self.incident(incident)
        return {"incident": item.id, "state": item.state.value, "runbooks": [{"url": one.url} for one in item.runbooks]}

    def similar(self, incident: Incident) -> Sequence[Similar]:
        self.ask()
        over = [one for one in self.incidents(limit=100) if one.resolved_at and one.component == incident.component]
        return [Similar(incident=one) for one in over if one.id != incident.id]

    def active_alerts(self) -> Sequence[Episode]:
        self.ask()
        return [item for item in self.alerts if item.is_live]

    def deliveries(
        self, *, incident: int | None = None, limit: int, before: int | None = None
    ) -> Sequence[DeliveryRecord]:
        self.ask()
        found = [item for item in reversed(self.sent) if incident is None or item.incident == incident]
        return [item for item in found if before is None or item.id < before][:limit]

    def latest_audits(self) -> Mapping[str, AuditReport]:
        self.ask()
        return {report.audit: report for _, report in sorted(self.reports.items())}

    def oldest_verified(self) -> Mapping[str, datetime]:
        self.ask()
        return {report.audit: report.started_at for _, report in sorted(self.reports.items())}

    def audit_reports(self, *, audit: str | None = None, limit: int) -> Sequence[AuditReport]:
        self.ask()
        found = [self.reports[run] for run in sorted(self.reports, reverse=True)]
        return [report for report in found if audit in (None, report.audit)][:limit]

    def audit_report(self, run: int, *, differences: int) -> AuditReport:
        self.ask()
        if run not in self.reports:
            raise UsageError(f"there is no audit run {run}")
        return replace(self.reports[run], differences=self.reports[run].differences[:differences])

    def by_field(self, run: int) -> Mapping[tuple[DifferenceKind, str], int]:
        found: dict[tuple[DifferenceKind, str], int] = {}
        for item in self.reports[run].differences:
            for name in ("", *item.fields):
                found[item.kind, name] = found.get((item.kind, name), 0) + 1
        return found

    def sign_offs(self, runs: Collection[int]) -> Mapping[int, Sequence[SignOff]]:
        return {run: [one for one in self.signed if one.run == run] for run in runs}

    def differences(self, run: int, *, kind: DifferenceKind | None, offset: int, limit: int) -> Sequence[Difference]:
        found = [item for item in self.reports[run].differences if kind in (None, item.kind)]
        return found[offset : offset + limit]

    def runs(self, *, incident: int | None = None, limit: int) -> Sequence[Run]:
        self.ask()
        found = sorted(self.started.values(), key=lambda run: -run.id)
        return [run for run in found if incident in (None, run.incident)][:limit]

    def statistics(self, since: datetime) -> Statistics:
        self.ask()
        return statistics(since, self.cases, self.pages, self.actions)

    def revision(self) -> str:
        self.ask()
        return f"{len(self.orders):x}{len(self.alerts):x}{len(self.known):x}"


@dataclass
class _Part:
    world: World


class _Silences(_Part):
    def set(self, draft: Draft, *, id: str = "") -> str:
        self.world.order("set_silence", draft, id)
        return id or "11111111-2222-3333-4444-555555555555"

    def expire(self, id: str) -> None:
        self.get(id)
        self.world.order("expire_silence", id)

    def get(self, id: str) -> Silence:
        self.world.ask()
        if id not in self.world.silences:
            raise NoSuchSilence(f"there is no silence {id}")
        return self.world.silences[id]

    def listed(self) -> Sequence[Silence]:
        self.world.ask()
        return list(self.world.silences.values())

    def active(self) -> Sequence[Silence]:
        now = self.world.clock.now()
        return [one for one in self.listed() if one.state(now) is SilenceState.ACTIVE]


class _Ingest(_Part):
    def submit_v2(self, body: bytes) -> Future[IngestReceipt]:
        future: Future[IngestReceipt] = Future()
        try:
            future.set_result(self.v2(body, source="prometheus"))
        except StoreError as error:
            future.set_exception(error)
        return future

    def v2(self, body: bytes, *, source: str) -> IngestReceipt:
        self.world.order("v2", source)
        self.world.bodies.append(body)
        return self.world.receipt

    def webhook(self, body: bytes, *, source: str) -> IngestReceipt:
        self.world.order("webhook", source)
        self.world.bodies.append(body)
        return self.world.receipt

    def generic(self, body: bytes, declared: Webhook, zone: ZoneInfo) -> IngestReceipt:
        self.world.order("generic", declared.id, str(zone))
        self.world.bodies.append(body)
        return self.world.receipt

    def receive(self, alerts: Sequence[Alert], *, source: str) -> IngestReceipt:
        self.world.order("receive", source, len(alerts))
        return self.world.receipt


class _Desk(_Part):
    def muting(self) -> Muting:
        return Muting(silences=_Silences(self.world).active())

    def acknowledge(self, incident: int, actor: str, *, lasting: timedelta | None = None) -> object:
        item = self.world.incident(incident)
        self.world.order("acknowledge", incident, actor, *([lasting] if lasting else []))
        self.world.known[incident] = replace(
            item,
            state=IncidentState.ACKNOWLEDGED,
            acknowledged_by=actor,
            acknowledged_at=self.world.clock.now(),
            version=item.version + 1,
        )
        return self.world.known[incident]

    def unacknowledge(self, incident: int, actor: str, reason: str = "") -> object:
        self.world.incident(incident)
        self.world.order("unacknowledge", incident, actor, reason)
        return None

    def snooze(self, incident: int, actor: str, lasting: timedelta, reason: str = "") -> object:
        self.world.incident(incident)
        self.world.order("snooze", incident, actor, lasting, reason)
        return None

    def note(self, incident: int, actor: str, text: str) -> object:
        self.world.incident(incident)
        self.world.order("note", incident, actor, text)
        return None

    def assign(self, incident: int, actor: str, assignee: str) -> object:
        self.world.incident(incident)
        self.world.order("assign", incident, actor, assignee)
        return None

    def resolve(self, incident: int, actor: str, reason: str) -> object:
        self.world.incident(incident)
        self.world.order("resolve", incident, actor, reason)
        return None


class _Acks(_Part):
    def open(self, token: str, now: datetime) -> Opened:  # noqa: ARG002
        self.world.ask()
        return self.world.links.get(token, Opened(state=AckState.FOREIGN))

    def acknowledge(self, token: str, *, seen: int, name: str, now: datetime) -> Opened:
        found = self.open(token, now)
        if found.state is not AckState.READY or found.incident is None:
            return found
        if seen != found.incident.version:
            return replace(found, moved=True)
        actor = found.person or name
        self.world.order("acknowledge by link", found.incident.id, actor)
        incident = replace(found.incident, state=IncidentState.ACKNOWLEDGED, acknowledged_by=actor, acknowledged_at=now)
        used = replace(found, state=AckState.USED, incident=incident, used=Use(at=now, actor=actor))
        self.world.links[token] = used
        return replace(used, done=True)


class _Channels(_Part):
    def listed(self) -> Sequence[ChannelStatus]:
        self.world.ask()
        return self.world.channels

    def dead_letters(self, limit: int) -> Sequence[DeliveryRecord]:
        dead = (DeliveryState.REJECTED, DeliveryState.UNKNOWN)
        return [one for one in reversed(self.world.sent) if one.state in dead][:limit]

    def test(self, id: str) -> Delivery:
        if id not in {one.id for one in self.world.config.channels}:
            raise UsageError(f"there is no channel '{id}'")
        self.world.order("test channel", id)
        return self.world.tested


class _Audits(_Part):
    def run(self, audit_id: str, *, trigger: str) -> AuditReport:
        self.world.order("audit", audit_id, trigger)
        return self.world.latest_audits()[audit_id]

    def start(self, audit_id: str, *, trigger: str) -> int:
        self.world.order("audit", audit_id, trigger)
        return 1

    def sign_off(self, run: int, actor: str, reason: str) -> SignOff:
        self.world.order("sign_off", run, actor, reason)
        signed = SignOff(run=run, actor=actor, reason=reason, at=self.world.clock.now())
        self.world.signed.append(signed)
        return signed

    def export(self, run: int, format: str, *, language: str) -> BinaryIO:
        self.world.audit_report(run, differences=0)
        if format not in ("csv", "xlsx", "html"):
            raise UsageError(f"'{format}' is no export format; choose csv, xlsx or html")
        return BytesIO(f"{format} {language}".encode())


class _Probes(_Part):
    def run_now(self, probes: Sequence[str]) -> Sequence[ProbeResult]:
        self.world.order("probe", *probes)
        return [self.world.histories[probe][0] for probe in probes]

    async def drop_in(self, target: str, module: str) -> bytes:
        if module != "http_2xx":
            raise UsageError(f"unknown module '{module}'")
        return f'probe_success{{target="{target}"}} 1\n'.encode()


class _Runbooks(_Part):
    def catalogue(self) -> Sequence[RunbookCard]:
        self.world.ask()
        return list(self.world.cards.values())

    def card(self, runbook: str) -> RunbookCard:
        if runbook not in self.world.cards:
            raise UsageError(f"there is no runbook '{runbook}'")
        return self.world.cards[runbook]

    def proposed(self, runbook: str, incident: int | None) -> Mapping[str, str]:
        links = self.world.known[incident].runbooks if incident in self.world.known else ()
        return next((link.params for link in links if link.id == runbook), {})

    def plan(self, runbook: str, params: Mapping[str, str], *, incident: int | None) -> DryRun:
        self.world.ask()
        self.world.asked_plan = (runbook, dict(params), incident)
        return replace(self.world.plans[runbook], params=params)

    def start(self, runbook: str, params: Mapping[str, str], *, incident: int | None, actor: str) -> Run:
        if any(value == "nonsense" for value in params.values()):
            raise UsageError("parameter 'service': 'nonsense' is not one of: erp")
        self.world.order("start", runbook, dict(params), incident, actor)
        return self.world.started[1]

    def get(self, run: int) -> Run:
        self.world.ask()
        if run not in self.world.started:
            raise UsageError(f"there is no run {run}")
        return self.world.started[run]

    def approve(self, run: int, actor: str, role: str, decision: str, *, digest: str) -> object:
        self.get(run)
        self.world.order("approve", run, actor, role, decision, digest)
        return None

    def confirm_manual(self, run: int, step: str, actor: str, text: str, *, done: bool) -> object:
        self.get(run)
        self.world.order("confirm", run, step, actor, text, done)
        return None

    def stop(self, run: int, actor: str) -> object:
        self.get(run)
        self.world.order("stop", run, actor)
        return None

    def resume(self, run: int, actor: str, *, decision: str) -> object:
        self.get(run)
        self.world.order("resume", run, actor, decision)
        return None


class _Metrics:
    def render(self) -> bytes:
        return b"# HELP probe_success 1\nprobe_success 1\n"


class _Watch(_Part):
    def loops(self) -> Sequence[Health]:
        return self.world.health
