"""Runbooks: what a file says, and what a run has done."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class Effect(enum.StrEnum):
    """What running an action again would do."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    ONCE = "once"


class Phase(enum.StrEnum):
    """Where inside a step a run stands; persisted before anything happens."""

    DO = "do"
    VERIFY = "verify"
    UNDO = "undo"
    VERIFY_UNDO = "verify_undo"


class StepState(enum.StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNDONE = "undone"
    UNKNOWN = "unknown"


class RunState(enum.StrEnum):
    QUEUED = "queued"
    WAITING_APPROVAL = "waiting_approval"
    WAITING_MANUAL = "waiting_manual"
    RUNNING = "running"
    COMPENSATING = "compensating"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    NEEDS_HUMAN = "needs_human"
    KILLED = "killed"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in {
            RunState.SUCCEEDED,
            RunState.ROLLED_BACK,
            RunState.NEEDS_HUMAN,
            RunState.KILLED,
            RunState.EXPIRED,
        }


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step of one run as the journal knows it."""

    id: str
    title: Mapping[str, str]
    action: str
    phase: Phase
    state: StepState
    attempts: int = 0
    seconds: float = 0.0
    output: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    started_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of one runbook. It executes the plan snapshot that was approved, not today's file."""

    id: int
    runbook: str
    title: Mapping[str, str]
    state: RunState
    reason: str
    params: Mapping[str, str]
    #: SHA-256 over file and resolved parameters: what an approver signs.
    digest: str
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    incident: int | None
    steps: tuple[StepRecord, ...] = ()
    #: Set while a step waits for approval: {"step","role","count","not_requester","expires_at"}.
    waiting: Mapping[str, object] = field(default_factory=dict)
    epoch: int = 0
