"""Audits: two sides, rows, differences and the verdict."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

#: What a cell may hold once a source has read it. Floats never carry money or quantities.
Value = None | str | int | bool | Decimal | datetime | date | float
Row = Mapping[str, Value]
Key = tuple[str, ...]


class Verdict(enum.StrEnum):
    CLEAN = "clean"
    DRIFT = "drift"
    #: Nothing is lost, but changes take longer to arrive than the audit allows.
    SYNC_LAG = "sync_lag"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


class AuditRunState(enum.StrEnum):
    """A run is written down before it starts, so that one that dies in between is noticed."""

    RUNNING = "running"
    FINISHED = "finished"


class DifferenceKind(enum.StrEnum):
    """The left side is the side of truth: missing = only on the left, extra = only on the right."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One key on which the sides disagree, with both sides' canonical values."""

    kind: DifferenceKind
    key: Mapping[str, str]
    left: Mapping[str, str | None] | None
    right: Mapping[str, str | None] | None
    #: Names of the fields that differ; empty for missing and extra.
    fields: tuple[str, ...] = ()
    value_at_risk: Decimal = Decimal(0)
    #: When a run first found this key to differ, without a run in between that found it equal. None until it is stored.
    first_seen: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SignOff:
    """Somebody answers for what a run found, by name and with a reason. It changes nothing about the drift."""

    run: int
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class SideReport:
    system: str
    dataset: str
    rows: int
    bytes_read: int = 0
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The result of one audit run."""

    run: int
    audit: str
    verdict: Verdict
    #: One sentence: why this verdict. Always filled for inconclusive and failed.
    reason: str
    left: SideReport
    right: SideReport
    missing: int = 0
    extra: int = 0
    changed: int = 0
    #: Rows that differed but were still moving when we stopped looking; never called consistent.
    unsettled: int = 0
    #: Rows that differed for longer than the sync may take, and are known to be late and not lost.
    late: int = 0
    value_at_risk: Decimal = Decimal(0)
    #: At most MAX_DIFFERENCES_KEPT of them; the counts above are complete.
    differences: tuple[Difference, ...] = ()
    strategy: str = ""
    strategy_reason: str = ""
    bytes_read: int = 0
    started_at: datetime
    seconds: float = 0.0
    evidence: Mapping[str, object] = field(default_factory=dict)

    @property
    def tolerated(self) -> bool:
        """Whether this is drift that the thresholds of its audit, as they were then, allow."""
        thresholds = self.evidence.get("thresholds")
        return self.verdict is Verdict.DRIFT and isinstance(thresholds, Mapping) and thresholds.get("within") is True


@dataclass(frozen=True, kw_only=True)
class AuditRun:
    """One run as the store knows it; `report` is there once it finished."""

    run: int
    audit: str
    #: schedule | cli | runbook | page
    trigger: str
    state: AuditRunState
    started_at: datetime
    finished_at: datetime | None = None
    report: AuditReport | None = None


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """A row that differs and is not decided yet, as it is kept between two runs."""

    #: The key as JSON.
    key: str
    first_seen: datetime
    #: Since when the window that runs has run, and how many whole ones neither side moved in.
    since: datetime
    windows: int
    #: Digests of what the sides held, empty for no row.
    left: str
    right: str
