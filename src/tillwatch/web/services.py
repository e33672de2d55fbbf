"""Everything the web layer calls, in one place: the composition root fills it, tests fill it with fakes.

Questions go through `Records` (short read transactions, newest first, always bounded); orders go to the desk that owns the
subject. A method raises `UsageError` for an id that does not exist (404), `RefusedError` when policy says no (409),
`StoreError` when nothing could be stored or read (503).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from tillwatch.clock import Clock
from tillwatch.config.schema import ChainConfig
from tillwatch.model.alert import Alert, Episode
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind
from tillwatch.model.incident import Incident, TimelineEntry
from tillwatch.model.probe import ProbeResult, ProbeState
from tillwatch.model.runbook import Run


@dataclass(frozen=True, kw_only=True)
class DeliveryRow:
    """One notification to one channel, as the delivery log knows it."""

    id: int
    incident: int | None
    #: opened | updated | resolved | reminder
    kind: str
    channel: str
    #: pending | sending | delivered | rejected | unknown
    state: str
    attempts: int
    #: The provider's own code and words from the last attempt.
    code: str
    detail: str
    created_at: datetime
    #: When the last attempt ended.
    at: datetime | None = None
    #: When the next attempt is due; only while pending.
    next_at: datetime | None = None
    possible_repeat: bool = False


@dataclass(frozen=True, kw_only=True)
class ParamField:
    """One parameter of a runbook as a form shows it."""

    name: str
    title: Mapping[str, str]
    #: string | integer | decimal | boolean | enum
    type: str
    choices: tuple[str, ...] = ()
    default: str = ""
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class StepCard:
    """One step of a runbook file. `prose` is the author's Markdown above the block."""

    id: str
    title: Mapping[str, str]
    prose: str
    action: str
    effect: str
    approval: Mapping[str, object] = field(default_factory=dict)
    undo: str = ""


@dataclass(frozen=True, kw_only=True)
class RunbookCard:
    """What a runbook file says. `facts` is its first screen: what, safe, how long, how to stop, who decides."""

    id: str
    title: Mapping[str, str]
    serves: tuple[str, ...]
    owner: str
    minutes: int
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prose: str = ""
    params: tuple[ParamField, ...] = ()
    steps: tuple[StepCard, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """What one step would do, found out by reading only."""

    id: str
    title: Mapping[str, str]
    action: str
    effect: str
    summary: str
    current: str = ""
    proposed: str = ""
    items: tuple[Mapping[str, object], ...] = ()
    items_total: int = 0
    undo: str = ""
    approval: Mapping[str, object] = field(default_factory=dict)
    #: False when the action cannot say what it would do, or could not reach what it has to read.
    previewed: bool = True
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """The plan of a runbook with these parameters; `digest` is what an approver signs."""

    runbook: str
    params: Mapping[str, str]
    digest: str
    steps: tuple[StepPlan, ...]
    #: Parameters that are missing or wrong, by name.
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of one batch of alerts: stored, or set aside with a reason; never dropped."""

    stored: int
    quarantined: int
    #: One sentence for each item set aside.
    reasons: tuple[str, ...] = ()


class Records(Protocol):
    """Read-only questions of the pages."""

    def probe_states(self) -> Mapping[str, ProbeState]: ...
    def probe_history(self, probe: str, limit: int) -> Sequence[ProbeResult]: ...
    def open_incidents(self) -> Sequence[Incident]: ...
    def incidents(self, *, limit: int, before: int | None = None) -> Sequence[Incident]: ...
    def incident(self, incident: int) -> Incident: ...
    def timeline(self, incident: int) -> Sequence[TimelineEntry]: ...
    def episodes(self, incident: int) -> Sequence[Episode]: ...
    def incident_document(self, incident: int) -> Mapping[str, object]: ...
    def active_alerts(self) -> Sequence[Episode]: ...
    def deliveries(
        self, *, incident: int | None = None, limit: int, before: int | None = None
    ) -> Sequence[DeliveryRow]: ...
    def latest_audits(self) -> Mapping[str, AuditReport]: ...
    def audit_reports(self, *, audit: str | None = None, limit: int) -> Sequence[AuditReport]: ...
    def audit_report(self, run: int) -> AuditReport: ...
    def differences(
        self, run: int, *, kind: DifferenceKind | None, offset: int, limit: int
    ) -> Sequence[Difference]: ...
    def runs(self, *, incident: int | None = None, limit: int) -> Sequence[Run]: ...
    def ping(self) -> None:
        """Raise StoreError when the database does not answer."""
        ...


class Ingest(Protocol):
    """The one door for alerts: everything of one body in one transaction, then the receipt."""

    def v2(self, body: bytes, *, source: str) -> Receipt: ...
    def webhook(self, body: bytes, *, source: str) -> Receipt: ...
    def receive(self, alerts: Sequence[Alert], *, source: str) -> Receipt: ...


class IncidentDesk(Protocol):
    def acknowledge(self, incident: int, actor: str) -> object: ...
    def note(self, incident: int, actor: str, text: str) -> object: ...
    def assign(self, incident: int, actor: str, assignee: str) -> object: ...
    def resolve(self, incident: int, actor: str, reason: str) -> object: ...


class Audits(Protocol):
    def start(self, audit: str, *, trigger: str) -> int:
        """Queue one run and return its number at once; the report follows in the store."""
        ...

    def export(self, run: int, format: str) -> bytes:
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
    def approve(self, run: int, actor: str, role: str, decision: str) -> object: ...
    def confirm_manual(self, run: int, step: str, actor: str, text: str) -> object: ...
    def stop(self, run: int, actor: str) -> object: ...
    def resume(self, run: int, actor: str) -> object: ...


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
    desk: IncidentDesk
    audits: Audits
    probes: Probes
    runbooks: Runbooks
    metrics: Metrics
    watch: Watch
    #: Asked of every caller when the server listens beyond loopback; empty on loopback.
    token: str = ""


#: No money at risk is a fact; an unknown amount is None and is shown as unknown.
NOTHING = Decimal(0)
