"""Everything the web layer calls, in one place: the composition root fills it, tests fill it with fakes.

Questions go through `Records` (short read transactions, newest first, always bounded); orders go to the desk that
owns the subject. A method raises `UsageError` for an id that does not exist (404), `RefusedError` when policy says no
(409), `StoreError` when nothing could be stored or read (503).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.alerting.silences import Draft
from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.model.alert import Alert, Episode
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind
from tillwatch.model.incident import Incident, TimelineEntry
from tillwatch.model.notice import DeliveryRecord
from tillwatch.model.probe import ProbeResult, ProbeState
from tillwatch.model.runbook import Run
from tillwatch.runbook.cards import DryRun, RunbookCard
from tillwatch.store.silences import Silence


class Records(Protocol):
    """Read-only questions of the pages."""

    def probe_states(self) -> Mapping[str, ProbeState]: ...
    def probe_history(self, probe: str, limit: int) -> Sequence[ProbeResult]: ...
    def open_incidents(self) -> Sequence[Incident]: ...
    def incidents(self, *, limit: int, before: int | None = None) -> Sequence[Incident]: ...
    def incident(self, incident: int) -> Incident: ...
    def timeline(self, incident: int) -> Sequence[TimelineEntry]: ...
    def episodes(self, incidents: Sequence[int]) -> Mapping[int, Sequence[Episode]]: ...
    def incident_document(self, incident: int) -> Mapping[str, object]: ...
    def active_alerts(self) -> Sequence[Episode]: ...
    def deliveries(
        self, *, incident: int | None = None, limit: int, before: int | None = None
    ) -> Sequence[DeliveryRecord]: ...
    def latest_audits(self) -> Mapping[str, AuditReport]: ...
    def audit_reports(self, *, audit: str | None = None, limit: int) -> Sequence[AuditReport]: ...
    def audit_report(self, run: int, *, differences: int) -> AuditReport: ...
    def differences(
        self, run: int, *, kind: DifferenceKind | None, offset: int, limit: int
    ) -> Sequence[Difference]: ...
    def runs(self, *, incident: int | None = None, limit: int) -> Sequence[Run]: ...
    def revision(self) -> str:
        """A cheap text that differs whenever something a page shows has changed. StoreError when the store is gone."""
        ...


class Ingest(Protocol):
    """The one door for alerts: everything of one body in one transaction, then the receipt."""

    def v2(self, body: bytes, *, source: str) -> IngestReceipt: ...
    def submit_v2(self, body: bytes) -> Future[IngestReceipt]: ...
    def webhook(self, body: bytes, *, source: str) -> IngestReceipt: ...
    def receive(self, alerts: Sequence[Alert], *, source: str) -> IngestReceipt: ...


class Silences(Protocol):
    """What must not be told. `set` and `expire` raise NoSuchSilence, a UsageError, for an unknown id."""

    def set(self, draft: Draft, *, id: str = "") -> str: ...
    def expire(self, id: str) -> None: ...
    def get(self, id: str) -> Silence: ...
    def listed(self) -> Sequence[Silence]: ...
    def active(self) -> Sequence[Silence]: ...


class IncidentDesk(Protocol):
    def acknowledge(self, incident: int, actor: str) -> object: ...
    def note(self, incident: int, actor: str, text: str) -> object: ...
    def assign(self, incident: int, actor: str, assignee: str) -> object: ...
    def resolve(self, incident: int, actor: str, reason: str) -> object: ...


class Audits(Protocol):
    def run(self, audit_id: str, *, trigger: str) -> AuditReport:
        """Run to the end; the report is stored before it is returned."""
        ...

    def start(self, audit_id: str, *, trigger: str) -> int:
        """Begin a run in the background and return its number."""
        ...

    def export(self, run: int, format: str, *, language: str) -> bytes:
        """csv, xlsx or html, formula-safe; UsageError for another format."""
        ...


class Probes(Protocol):
    def run_now(self, probes: Sequence[str]) -> Sequence[ProbeResult]: ...

    async def drop_in(self, target: str, module: str) -> bytes:
        """blackbox_exporter's `/probe`: one measurement in text format. UsageError for an unknown module."""
        ...


class Runbooks(Protocol):
    def catalogue(self) -> Sequence[RunbookCard]: ...
    def card(self, runbook: str) -> RunbookCard: ...
    def proposed(self, runbook: str, incident: int | None) -> Mapping[str, str]:
        """Parameters as the incident suggests them."""
        ...

    def plan(self, runbook: str, params: Mapping[str, str], *, incident: int | None) -> DryRun: ...
    def start(self, runbook: str, params: Mapping[str, str], *, incident: int | None, actor: str) -> Run: ...
    def get(self, run: int) -> Run: ...
    def approve(self, run: int, actor: str, role: str, decision: str, *, digest: str) -> object: ...
    def confirm_manual(self, run: int, step: str, actor: str, text: str, *, done: bool) -> object: ...
    def stop(self, run: int, actor: str) -> object: ...
    def resume(self, run: int, actor: str, *, decision: str) -> object: ...


class Metrics(Protocol):
    def render(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Health:
    """One loop of the server: when it last finished a round, and what is wrong with it, if anything."""

    name: str
    last_success: datetime | None
    problem: str = ""


class Watch(Protocol):
    """Health of the server's own loops, for `/-/ready` and the line at the foot of every page."""

    def loops(self) -> Sequence[Health]: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """What `create_app` needs."""

    config: ChainConfig
    clock: Clock
    records: Records
    ingest: Ingest
    silences: Silences
    desk: IncidentDesk
    audits: Audits
    probes: Probes
    runbooks: Runbooks
    metrics: Metrics
    watch: Watch
    #: Asked of every caller when the server listens beyond loopback; empty on loopback.
    token: str = ""
