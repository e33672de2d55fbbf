"""Validations: rules on the rows of one side, what broke them, and the verdict."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.model.text import Text


class ValidationVerdict(enum.StrEnum):
    CLEAN = "clean"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


class ValidationRunState(enum.StrEnum):
    """A run is written down before it starts, so that one that dies in between is noticed."""

    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row that breaks one rule."""

    #: The id of the rule.
    rule: str
    key: Mapping[str, str | None]
    #: The field the rule looks at; several are joined by a comma.
    field: str
    value: str | None
    #: What is wrong with it, by language.
    problem: Text


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """The result of one run."""

    run: int
    validation: str
    verdict: ValidationVerdict
    #: One sentence: why this verdict.
    reason: str
    system: str
    dataset: str
    #: Rows the dataset holds.
    rows: int = 0
    #: Rows that really came; fewer than `rows` when the source sorted out the good ones itself.
    rows_read: int = 0
    #: Findings by rule, complete, rules without any included.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: The first of each rule; the counts are complete.
    findings: tuple[Finding, ...] = ()
    #: stream | source, and why.
    strategy: str = ""
    strategy_reason: Text = field(default_factory=dict)
    bytes_read: int = 0
    started_at: datetime
    seconds: float = 0.0
    evidence: Mapping[str, object] = field(default_factory=dict)
    #: By rule and group, what a rule against each group's own history leaves for the next runs.
    own: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def broken(self) -> int:
        """All findings, kept or not."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class ValidationRun:
    """One run as the store knows it; `report` is there once it finished."""

    run: int
    validation: str
    #: schedule | cli | runbook | page
    trigger: str
    state: ValidationRunState
    started_at: datetime
    finished_at: datetime | None = None
    report: ValidationReport | None = None
