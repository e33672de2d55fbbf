"""Incidents: what a person on call works on."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tillwatch.model.labels import Labels


class Severity(enum.StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANKS[self.value]

    @classmethod
    def of(cls, labels: Labels) -> "Severity":
        """The severity an alert states. Unknown words count as a warning: too loud is better than lost."""
        return _STATED.get(labels.get("severity", "").lower(), cls.WARNING)


_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}
_STATED = {severity.value: severity for severity in Severity}


class IncidentState(enum.StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class ComponentKind(enum.StrEnum):
    INTERFACE = "interface"
    SYSTEM = "system"
    HOST = "host"
    SITE = "site"
    CHAIN = "chain"
    #: Everything that is too much at once.
    STORM = "storm"


@dataclass(frozen=True, kw_only=True, order=True)
class Component:
    """The thing an incident is about. Written `kind:id`, for example `system:erp`."""

    kind: ComponentKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Component":
        kind, _, identity = text.partition(":")
        return cls(kind=ComponentKind(kind), id=identity)


@dataclass(frozen=True, kw_only=True)
class RunbookLink:
    """A runbook suggested for an incident, with the parameters already taken from the finding."""

    id: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One fact in the life of an incident, append-only. `kind` is a message id; `data` its arguments."""

    at: datetime
    kind: str
    actor: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Incident:
    id: int
    component: Component
    state: IncidentState
    severity: Severity
    #: What is wrong, in the chain's locale.
    title: str
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    #: Raised by one on every change; approvals and links bind to it.
    version: int = 1
    #: The incident this one is folded under, by topology.
    parent: int | None = None
    value_at_risk: Decimal | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    runbooks: tuple[RunbookLink, ...] = ()
    #: The title by language (`en`, `zh`).
    titles: Mapping[str, str] = field(default_factory=dict)
    assigned_to: str = ""
    #: Who has been told, or is about to be.
    told: tuple["Told", ...] = ()
    #: The escalations under way, one for each receiver with a policy.
    climbs: tuple["Climb", ...] = ()
    #: When an acknowledgement runs out by itself; None for one that holds.
    acknowledged_until: datetime | None = None
    #: Nobody is told of anything but a raised severity until then.
    snoozed_until: datetime | None = None
    #: Everything in it is over, but it has come back too often to be believed before this instant.
    settles_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A receiver that a route chose for an alert, with its channels and its three clocks."""

    receiver: str
    channels: tuple[str, ...]
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    #: The rota whose person on call is told.
    oncall: str = ""
    #: The policy that goes on until somebody acknowledges.
    escalation: str = ""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one recipient has been told about one incident, and when they hear again.

    A recipient is a person (nobody in particular when empty) and the listener's channels.
    """

    listener: Listener
    person: str = ""
    #: True for a recipient that a step of an escalation added: the escalation decides when they hear again.
    escalated: bool = False
    #: When the opening notice may go out; before that nobody knows of the incident.
    announce_at: datetime
    #: The earliest time of the newest notice.
    last_at: datetime
    #: When to remind; None while acknowledged, folded or resolved.
    remind_at: datetime | None
    reminders: int = 0


@dataclass(frozen=True, kw_only=True)
class Climb:
    """Where one escalation of one incident stands."""

    receiver: str
    policy: str
    #: The step to take next, from 0, and how often all steps have been taken.
    step: int = 0
    round: int = 0
    #: Steps taken in all.
    taken: int = 0
    #: When the next step is due; None while acknowledged, folded, silenced or resolved.
    next_at: datetime | None
    #: How often the last step is taken once all rounds are over.
    afterwards: timedelta
