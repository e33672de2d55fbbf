"""What an action is. The frame owns timeout, retry, journal, redaction and the kill switch; an action only acts.

1. `plan` reads and says what would happen; it never has an effect.
2. `do` acts under `ctx.key`, the same for every attempt of a step, and asks `ctx.stop()` before each item.
3. `happened` answers, for an effect that must not happen twice, whether it already did.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Generic, Protocol, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from tillwatch.audit.sending import Preview
from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import ActionError
from tillwatch.model.alert import Episode
from tillwatch.model.audit import AuditReport
from tillwatch.model.notice import Notice
from tillwatch.model.probe import ProbeResult
from tillwatch.model.repair import RepairPlan, RepairResult, UndoResult
from tillwatch.model.runbook import Effect
from tillwatch.model.text import Text
from tillwatch.model.validation import ValidationReport
from tillwatch.store.db import Database

#: A dry run shows this many items; the total is always complete.
MAX_ITEMS_SHOWN = 20

Output = Mapping[str, object]


class Params(BaseModel):
    """Base of an action's parameters: unknown keys are errors, values arrive as text and are typed by the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Params)


class Stopped(ActionError):
    """The action noticed `ctx.stop()` and ended early; `output` lists what it had done by then."""

    def __init__(self, message: str, output: Output | None = None) -> None:
        super().__init__(message)
        self.output = output or {}


class Happened(enum.StrEnum):
    """Did an interrupted effect happen?"""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """The answer of `happened`, with the output the step would have had."""

    state: Happened
    output: Output = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """What `do` would do, found out by reading only. `items` holds at most MAX_ITEMS_SHOWN of `items_total`."""

    #: One sentence by language.
    summary: Text
    current: str = ""
    proposed: str = ""
    items: tuple[Mapping[str, object], ...] = ()
    items_total: int = 0
    #: False prints CANNOT PREVIEW and makes the whole dry run partial.
    previewed: bool = True


class ProbeRuns(Protocol):
    def run_now(self, probes: Sequence[str]) -> Sequence[ProbeResult]: ...


class AuditRuns(Protocol):
    def run(self, audit_id: str, *, trigger: str) -> AuditReport: ...


class ValidationRuns(Protocol):
    def run(self, validation: str, *, trigger: str) -> ValidationReport: ...


class Repairs(Protocol):
    def plan_repair(self, run_id: int, *, actor: str) -> RepairPlan: ...
    def get(self, plan_id: int) -> RepairPlan: ...
    def preview(self, plan_id: int) -> Iterable[Preview]: ...
    def apply_repair(
        self, plan_id: int, *, actor: str, limit: int | None, stop: Callable[[], bool]
    ) -> RepairResult: ...
    def preview_undo(self, plan_id: int) -> Iterable[Preview]: ...
    def undo_repair(self, plan_id: int, *, actor: str, limit: int | None, stop: Callable[[], bool]) -> UndoResult: ...


@dataclass(frozen=True, kw_only=True)
class ActionServices:
    """What actions may use; the composition root fills it. A missing one makes its actions refuse with a reason."""

    config: ChainConfig
    database: Database
    clock: Clock
    probes: ProbeRuns | None = None
    audits: AuditRuns | None = None
    validations: ValidationRuns | None = None
    repairs: Repairs | None = None
    #: Episodes of an incident, in every state.
    episodes: Callable[[Connection, int], Sequence[Episode]] | None = None
    enqueue: Callable[[Connection, Notice], object] | None = None
    #: Only tests replace it.
    transport: httpx.BaseTransport | None = None


@dataclass(frozen=True, kw_only=True)
class ActionContext(Generic[P]):
    """One call of one action."""

    services: ActionServices
    params: P
    #: `run-<run>-<step>-<phase>`: constant over attempts, to be sent as idempotency key or external reference.
    key: str
    run: int
    incident: int | None
    #: Who asked for the run.
    actor: str
    #: Seconds the frame gives this call; an action with its own timeout stays below it.
    timeout: timedelta
    #: True once a person stopped the run, the kill switch is on, the deadline passed or another worker took over.
    stop: Callable[[], bool] = lambda: False


class Action(Generic[P]):
    """One verb. Everything below the methods is policy: a runbook may only ask for less."""

    name: ClassVar[str]
    effect: ClassVar[Effect] = Effect.READ
    Params: ClassVar[type[Params]] = Params
    default_timeout: ClassVar[timedelta] = timedelta(minutes=1)
    max_timeout: ClassVar[timedelta] = timedelta(minutes=15)
    #: True when a person does it: the run waits for a confirmation and `do` is never called.
    by_people: ClassVar[bool] = False

    def plan(self, ctx: ActionContext[P]) -> PlanReport:
        """What `do` would do, by reading only. An action that cannot say so leaves this as it is."""
        summary = {"zh": f"无法预览 {self.name}", "en": f"CANNOT PREVIEW {self.name}"}
        return PlanReport(summary=summary, proposed=ctx.key, previewed=False)

    def do(self, ctx: ActionContext[P]) -> Output:
        """Act, and return what later steps and people may need. Raises an error of `tillwatch.errors`."""
        raise NotImplementedError(f"action '{self.name}' does nothing ({ctx.key})")

    def happened(self, ctx: ActionContext[P]) -> Occurrence:
        """Asked only of effects that must not happen twice, after a crash or a timeout in the middle."""
        return Occurrence(state=Happened.UNKNOWN, reason=f"action '{self.name}' cannot tell what became of {ctx.key}")


S = TypeVar("S")


def needed(service: S | None, what: str) -> S:
    """The service. Raises ActionError when the composition root gave none."""
    if service is None:
        raise ActionError(f"this process has no {what}; run the runbook on the server or from the chain directory")
    return service
