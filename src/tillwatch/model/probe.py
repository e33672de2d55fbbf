"""What a probe measured and what it means."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.errors import Cause


class Outcome(enum.StrEnum):
    """The verdict of one probe run."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number with a Prometheus metric name (base unit in the name) and its own labels."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """One run of one probe."""

    probe: str
    outcome: Outcome
    started_at: datetime
    seconds: float
    cause: Cause = Cause.NONE
    #: One sentence that says what is wrong, empty when ok.
    message: str = ""
    #: Seconds by phase: dns, connect, tls, processing, transfer …
    phases: Mapping[str, float] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    #: The debug log of this run, oldest first; belongs to the result because "why" is asked at 3 a.m.
    log: tuple[str, ...] = ()
    #: Structured evidence that goes into the incident (top processes, body excerpt …); JSON values only.
    evidence: Mapping[str, object] = field(default_factory=dict)


class ProbeStatus(enum.StrEnum):
    """The thresholded state of a probe, after consecutive failures and recoveries are counted."""

    PENDING = "pending"
    OK = "ok"
    FAILING = "failing"


@dataclass(frozen=True, kw_only=True)
class ProbeState:
    """What we remember of a probe between runs."""

    probe: str
    status: ProbeStatus = ProbeStatus.PENDING
    failures_in_a_row: int = 0
    successes_in_a_row: int = 0
    since: datetime | None = None
    last: ProbeResult | None = None
    #: The labels of the verdict alert that fires for this probe, empty when none does. Kept whole, because an alert can
    #: only be resolved under the labels it was raised with, also after its severity or site changed in the files.
    alert_labels: Mapping[str, str] = field(default_factory=dict)
    #: When that alert started.
    alert_since: datetime | None = None

    @property
    def alertname(self) -> str:
        return self.alert_labels.get("alertname", "")
