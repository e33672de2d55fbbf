"""What comes next in a run: a pure function of the journal, the plan and the time. The worker only carries it out.

Forward, step by step: condition, approval, do, verify. Backward, in reverse order of the steps that were *started* (an
interrupted step may have acted): undo, verify the undo. Where a run stands is written before anything happens, so
whoever reads the journal after a crash decides what the dead worker would have decided, except that an effect which
must not happen twice is first asked whether it happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tillwatch.errors import ActionError
from tillwatch.model.runbook import Effect, Phase, RunState, StepRecord, StepState
from tillwatch.runbook import template
from tillwatch.runbook.approve import Standing, signed_digest, tally
from tillwatch.runbook.snapshot import PlannedStep, Snapshot
from tillwatch.store.run_records import Vote
from tillwatch.store.runs import RunRow

#: A step whose worker died this often is what kills the workers.
MAX_ATTEMPTS_OVER_CRASHES = 5


@dataclass(frozen=True, kw_only=True)
class Do:
    """Call the action of step `number`. `again` after a crash."""

    number: int
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class AskHappened:
    """A worker died in an effect that must not happen twice: ask the action what became of it."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Check:
    number: int


@dataclass(frozen=True, kw_only=True)
class Skip:
    number: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fail:
    """The step fails without being called."""

    number: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class AwaitApproval:
    """Wait for people; `is_new` unless the run already waits for exactly this."""

    number: int
    signed: str
    until: datetime
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class AwaitManual:
    number: int
    until: datetime
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Compensate:
    """Turn round: from here on the run only goes back, and ends as `ending`."""

    ending: RunState
    reason: str


@dataclass(frozen=True, kw_only=True)
class UndoStep:
    number: int


@dataclass(frozen=True, kw_only=True)
class CheckUndo:
    number: int


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The end. `hold_lock`: nobody knows what state the target is in, so nobody else may start on it."""

    state: RunState
    reason: str
    hold_lock: bool = False


Decision = (
    Do | AskHappened | Check | Skip | Fail | AwaitApproval | AwaitManual | Compensate | UndoStep | CheckUndo | Finish
)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the journal does not say."""

    now: datetime
    votes: Sequence[Vote] = ()
    #: Why the kill switch forbids this run, empty when it does not.
    switched_off: str = ""


def outputs(records: Sequence[StepRecord]) -> dict[str, Mapping[str, object]]:
    """What templates see of the steps so far."""
    seen = {StepState.DONE, StepState.RUNNING, StepState.FAILED, StepState.UNDONE, StepState.UNKNOWN}
    return {record.id: record.output for record in records if record.state in seen}


def decide(row: RunRow, plan: Snapshot, situation: Situation) -> Decision:
    """The next thing to do.

    1. The kill switch ends a run where it stands.
    2. A run that goes back only goes back; neither a stop nor the deadline keeps it from undoing.
    3. A stop, a passed deadline or a failed step turns it round.
    4. Otherwise the first step that is not closed decides.
    """
    if situation.switched_off:
        return _switched_off(row, plan, situation.switched_off)
    if row.ending is not None:
        return _backward(row, plan, row.ending)
    if row.stop_requested_by:
        return Compensate(ending=RunState.KILLED, reason=f"stopped by {row.stop_requested_by}")
    waits = row.run.state in {RunState.WAITING_APPROVAL, RunState.WAITING_MANUAL}
    if not waits and situation.now >= row.deadline_at:
        limit = timedelta(seconds=plan.deadline_seconds)
        return Compensate(ending=RunState.EXPIRED, reason=f"not done within {limit}")
    for number, (step, record) in enumerate(zip(plan.steps, row.run.steps, strict=True)):
        if record.state in {StepState.DONE, StepState.SKIPPED}:
            continue
        return _forward(number, step, record, row, plan, situation)
    return Finish(state=RunState.SUCCEEDED, reason="every step is done and verified")


def _forward(
    number: int, step: PlannedStep, record: StepRecord, row: RunRow, plan: Snapshot, situation: Situation
) -> Decision:
    if record.state is StepState.UNKNOWN:
        reason = f"step '{step.id}': {record.error or 'nobody can tell whether it happened'}"
        return Finish(state=RunState.NEEDS_HUMAN, reason=reason, hold_lock=True)
    if record.state is StepState.FAILED:
        reason = f"step '{step.id}' failed: {record.error}"
        if step.on_failure == "human":
            return Finish(state=RunState.NEEDS_HUMAN, reason=reason)
        return Compensate(ending=RunState.ROLLED_BACK, reason=reason)
    if record.state is StepState.RUNNING and not step.by_people:
        return _interrupted(number, step, record)
    context = plan.context(outputs(row.run.steps[:number]))
    try:
        if step.when and not template.holds(step.when, context):
            return Skip(number=number, reason=f"not needed: {step.when}")
        arguments = template.fill(step.call.arguments, context)
    except ActionError as error:
        return Fail(number=number, reason=str(error))
    if step.approval is not None and (waited := _approval(number, step, arguments, row, situation)) is not None:
        return waited
    if step.by_people:
        return _manual(number, step, row, situation)
    return Do(number=number)


def _interrupted(number: int, step: PlannedStep, record: StepRecord) -> Decision:
    """A step that runs while nobody runs it: its worker died, or the run was let go of at a shutdown."""
    if record.phase is Phase.VERIFY:
        return Check(number=number)
    if step.call.effect is Effect.ONCE:
        return AskHappened(number=number)
    if record.attempts >= MAX_ATTEMPTS_OVER_CRASHES:
        return Fail(number=number, reason=f"its worker died or was stopped {record.attempts} times in this step")
    return Do(number=number, again=True)


def _approval(number: int, step: PlannedStep, arguments: object, row: RunRow, situation: Situation) -> Decision | None:
    """None when enough people signed exactly this."""
    rule = step.approval
    assert rule is not None
    signed = signed_digest(row.run.digest, step, arguments)
    votes = [vote for vote in situation.votes if vote.step == step.id]
    result = tally(rule, votes, signed=signed, requester=row.run.requested_by)
    if result.standing is Standing.GRANTED:
        return None
    if result.standing is Standing.REJECTED:
        return Compensate(ending=RunState.KILLED, reason=f"step '{step.id}' was {result.reason}")
    waiting = row.run.waiting
    if waiting.get("step") == step.id and waiting.get("digest") == signed:
        until = datetime.fromisoformat(str(waiting["expires_at"]))
        if situation.now >= until:
            return Compensate(ending=RunState.EXPIRED, reason=f"step '{step.id}': {result.reason} when time was up")
        return AwaitApproval(number=number, signed=signed, until=until, is_new=False)
    until = situation.now + timedelta(seconds=rule.within_seconds)
    return AwaitApproval(number=number, signed=signed, until=until, is_new=True)


def _manual(number: int, step: PlannedStep, row: RunRow, situation: Situation) -> Decision:
    waiting = row.run.waiting
    if waiting.get("step") == step.id and row.run.state is RunState.WAITING_MANUAL:
        until = datetime.fromisoformat(str(waiting["expires_at"]))
        if situation.now >= until:
            reason = f"step '{step.id}': nobody confirmed it in time"
            return Compensate(ending=RunState.EXPIRED, reason=reason)
        return AwaitManual(number=number, until=until, is_new=False)
    until = situation.now + timedelta(seconds=step.call.timeout_seconds)
    return AwaitManual(number=number, until=until, is_new=True)


def started(record: StepRecord) -> bool:
    """Whether the step may have acted."""
    if record.state in {StepState.PENDING, StepState.SKIPPED}:
        return False
    return record.attempts > 0 or record.phase is not Phase.DO


def _backward(row: RunRow, plan: Snapshot, ending: RunState) -> Decision:
    """Undo in reverse order of started steps; a failing undo stops everything and calls a person."""
    kept: list[str] = []
    for number in range(len(plan.steps) - 1, -1, -1):
        step, record = plan.steps[number], row.run.steps[number]
        if not started(record) or step.call.effect is Effect.READ or step.by_people:
            continue
        if record.state is StepState.UNDONE:
            continue
        if record.phase in {Phase.UNDO, Phase.VERIFY_UNDO}:
            if record.state is StepState.FAILED:
                reason = f"undo of step '{step.id}' failed: {record.error}"
                return Finish(state=RunState.NEEDS_HUMAN, reason=reason, hold_lock=True)
            if record.attempts >= MAX_ATTEMPTS_OVER_CRASHES:
                reason = f"the undo of step '{step.id}' was cut off {record.attempts} times"
                return Finish(state=RunState.NEEDS_HUMAN, reason=reason, hold_lock=True)
            return CheckUndo(number=number) if record.phase is Phase.VERIFY_UNDO else UndoStep(number=number)
        if record.state is StepState.UNKNOWN and step.undo is None:
            reason = f"step '{step.id}': {record.error or 'nobody can tell whether it happened'}"
            return Finish(state=RunState.NEEDS_HUMAN, reason=reason, hold_lock=True)
        if step.undo is not None:
            return UndoStep(number=number)
        kept.append(step.id)
    if kept:
        names = ", ".join(f"'{name}'" for name in reversed(kept))
        reason = f"{row.run.reason}; the effect of {names} may stand and is not taken back by itself"
        return Finish(state=RunState.NEEDS_HUMAN, reason=reason)
    return Finish(state=ending, reason=row.run.reason + _what_remains(row, plan))


def _what_remains(row: RunRow, plan: Snapshot) -> str:
    undone = [record.id for record in row.run.steps if record.state is StepState.UNDONE]
    if undone:
        return f"; taken back: {', '.join(undone)}"
    acted = any(
        started(record) and step.call.effect is not Effect.READ and not step.by_people
        for step, record in zip(plan.steps, row.run.steps, strict=True)
    )
    return "" if acted else "; nothing was changed"


def _switched_off(row: RunRow, plan: Snapshot, reason: str) -> Decision:
    acted = [
        step.id
        for step, record in zip(plan.steps, row.run.steps, strict=True)
        if started(record)
        and record.state is not StepState.UNDONE
        and step.call.effect is not Effect.READ
        and not step.by_people
    ]
    if not acted:
        return Finish(state=RunState.KILLED, reason=f"{reason}; nothing was changed")
    return Finish(
        state=RunState.NEEDS_HUMAN,
        reason=f"{reason}; nothing was taken back, the effect of {', '.join(acted)} may stand",
        hold_lock=True,
    )


@dataclass(frozen=True, kw_only=True)
class Reopening:
    """How a run that needs a person goes on, as that person decided."""

    number: int
    step: Mapping[str, Any]
    state: RunState
    ending: RunState | None


DECISIONS = ("done", "retry", "undo")


def reopen(row: RunRow, plan: Snapshot, decision: str) -> Reopening:
    """`done`: the step happened. `retry`: it did not, call it again. `undo`: take everything back.

    Raises ActionError when the run has no step a person could decide about.
    """
    for number, (step, record) in enumerate(zip(plan.steps, row.run.steps, strict=True)):
        if record.state not in {StepState.UNKNOWN, StepState.FAILED}:
            continue
        going_back = record.phase in {Phase.UNDO, Phase.VERIFY_UNDO}
        ending = (row.ending or RunState.ROLLED_BACK) if going_back or decision == "undo" else None
        state = RunState.RUNNING if ending is None else RunState.COMPENSATING
        values: dict[str, Any] = {"error": ""}
        if decision == "done":
            values |= _accepted(step, record)
        elif decision == "retry":
            values |= {"state": StepState.RUNNING, "phase": record.phase} if going_back else _from_the_start(record)
        elif going_back:
            values |= {"state": StepState.RUNNING, "phase": Phase.UNDO}
        return Reopening(number=number, step=values, state=state, ending=ending)
    raise ActionError("no step of this run waits for a decision; start a new run")


def _accepted(step: PlannedStep, record: StepRecord) -> dict[str, Any]:
    if record.phase in {Phase.UNDO, Phase.VERIFY_UNDO}:
        return {"state": StepState.UNDONE}
    if record.phase is Phase.DO and step.check is not None:
        return {"state": StepState.RUNNING, "phase": Phase.VERIFY}
    return {"state": StepState.DONE}


def _from_the_start(record: StepRecord) -> dict[str, Any]:
    if record.phase is Phase.VERIFY:
        return {"state": StepState.RUNNING, "phase": Phase.VERIFY}
    return {"state": StepState.PENDING, "phase": Phase.DO}
