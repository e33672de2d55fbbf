"""From drift to documents in the other system: plan, replay what is missing, repair what differs. Never twice."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field as Key

from tillwatch.errors import ActionError, OutcomeUnknown, RefusedError
from tillwatch.model.repair import RepairAction, RepairItem, RepairPlan, RepairResult
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import (
    MAX_ITEMS_SHOWN,
    Action,
    ActionContext,
    Output,
    Params,
    PlanReport,
    Stopped,
    needed,
)

#: More documents than this are not repaired by one runbook run; a person looks for the cause first.
MAX_DOCUMENTS = 2_000


class PlanParams(Params):
    run: Annotated[int, Key(ge=1)]


class PlanRepair(Action[PlanParams]):
    """Turns the differences of one audit run into documents and stores them as a plan of ours. Nothing is sent."""

    name: ClassVar[str] = "source.plan"
    Params: ClassVar[type[Params]] = PlanParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=5)

    def plan(self, ctx: ActionContext[PlanParams]) -> PlanReport:
        return PlanReport(
            summary={
                "zh": f"根据对账运行 {ctx.params.run} 生成修复计划，不发送任何单据",
                "en": f"make the repair plan of audit run {ctx.params.run}; nothing is sent",
            }
        )

    def do(self, ctx: ActionContext[PlanParams]) -> Output:
        plan = needed(ctx.services.repairs, "repairs").plan_repair(ctx.params.run, actor=ctx.actor)
        return {
            "plan": plan.id,
            "digest": plan.digest,
            "audit": plan.audit,
            "system": plan.system,
            "count": len(plan.items),
            "create": sum(item.action is RepairAction.CREATE for item in plan.items),
            "correct": sum(item.action is RepairAction.CORRECT for item in plan.items),
            "reverse": sum(item.action is RepairAction.REVERSE for item in plan.items),
            "manual": sum(item.action is RepairAction.MANUAL for item in plan.items),
            "shown": [_shown(item) for item in plan.items[:MAX_ITEMS_SHOWN]],
        }


class RepairParams(Params):
    plan: Annotated[int, Key(ge=1)]
    #: What was approved; a plan with another digest is refused.
    digest: Annotated[str, Key(pattern="^[0-9a-f]{64}$")]
    max_documents: Annotated[int, Key(ge=1, le=MAX_DOCUMENTS)] = 500


class Repair(Action[RepairParams]):
    """Sends the planned documents, each searched for by our reference first and re-read after; safe to call again."""

    name: ClassVar[str] = "source.repair"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = RepairParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=10)
    max_timeout: ClassVar[timedelta] = timedelta(hours=1)
    #: Only these may stand in the plan.
    allowed: ClassVar[frozenset[RepairAction]] = frozenset(RepairAction)

    def plan(self, ctx: ActionContext[RepairParams]) -> PlanReport:
        plan = self._plan(ctx)
        shown: list[dict[str, object]] = []
        for preview in needed(ctx.services.repairs, "repairs").preview(plan.id):
            if len(shown) == MAX_ITEMS_SHOWN:
                break
            shown.append({**_shown(preview.item), "note": preview.reason})
        return PlanReport(
            summary={
                "zh": f"按计划 {plan.id} 向 {plan.system} 提交 {len(plan.items)} 张单据",
                "en": f"post {len(plan.items)} documents of plan {plan.id} to {plan.system}",
            },
            current=f"{plan.audit} run {plan.run}",
            proposed=plan.digest,
            items=tuple(shown),
            items_total=len(plan.items),
        )

    def do(self, ctx: ActionContext[RepairParams]) -> Output:
        plan = self._plan(ctx)
        try:
            result = needed(ctx.services.repairs, "repairs").apply_repair(
                plan.id, actor=ctx.actor, limit=ctx.params.max_documents, stop=ctx.stop
            )
        except RefusedError as error:
            # Another repair of the same system runs; ours is idempotent, so waiting is all it takes.
            raise ActionError(str(error), retryable=True) from error
        output = _output(result)
        if result.unknown:
            raise OutcomeUnknown(f"{len(result.unknown)} documents may or may not stand: {_keys(result.unknown)}")
        if result.left_over and ctx.stop():
            raise Stopped(f"stopped with {result.left_over} documents left over", output)
        if result.failed or result.left_over:
            reason = result.reason or "; ".join(item.reason for item in result.failed[:3])
            message = f"{len(result.failed)} failed, {result.left_over} left over: {reason}"
            raise ActionError(message, retryable=True)
        return output

    def _plan(self, ctx: ActionContext[RepairParams]) -> RepairPlan:
        plan = needed(ctx.services.repairs, "repairs").get(ctx.params.plan)
        if plan.digest != ctx.params.digest:
            raise ActionError(f"repair plan {plan.id} is not the one that was approved; start a new run")
        if len(plan.items) > ctx.params.max_documents:
            raise ActionError(
                f"repair plan {plan.id} has {len(plan.items)} documents, more than the {ctx.params.max_documents} "
                "allowed; find the cause first, then raise max_documents"
            )
        other = [item for item in plan.items if item.action not in self.allowed]
        if other:
            raise ActionError(f"plan {plan.id} does more than {self.name} may: {_keys(other)}; use source.repair")
        return plan


class Replay(Repair):
    """As source.repair, for a plan that only posts documents that are missing altogether."""

    name: ClassVar[str] = "source.replay"
    allowed: ClassVar[frozenset[RepairAction]] = frozenset({RepairAction.CREATE})


class UndoParams(Params):
    plan: Annotated[int, Key(ge=1)]
    #: The plan whose documents are taken back; one with another digest is refused.
    digest: Annotated[str, Key(pattern="^[0-9a-f]{64}$")]


class UndoRepair(Action[UndoParams]):
    """Takes back what a repair plan sent; what was changed or used since stays, with the reason. Safe to call again."""

    name: ClassVar[str] = "source.undo"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = UndoParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=10)
    max_timeout: ClassVar[timedelta] = timedelta(hours=1)

    def plan(self, ctx: ActionContext[UndoParams]) -> PlanReport:
        plan = self._plan(ctx)
        previews = list(needed(ctx.services.repairs, "repairs").preview_undo(plan.id))
        return PlanReport(
            summary={
                "zh": f"撤回修复计划 {plan.id} 已向 {plan.system} 提交的单据",
                "en": f"take back from {plan.system} what repair plan {plan.id} posted",
            },
            current=f"{plan.audit} run {plan.run}",
            proposed=plan.digest,
            items=tuple({**_shown(one.item), "note": one.reason} for one in previews[:MAX_ITEMS_SHOWN]),
            items_total=len(previews),
        )

    def do(self, ctx: ActionContext[UndoParams]) -> Output:
        plan = self._plan(ctx)
        try:
            result = needed(ctx.services.repairs, "repairs").undo_repair(
                plan.id, actor=ctx.actor, limit=MAX_DOCUMENTS, stop=ctx.stop
            )
        except RefusedError as error:
            raise ActionError(str(error), retryable=True) from error
        if result.unknown:
            raise OutcomeUnknown(f"{len(result.unknown)} documents may or may not stand: {_keys(result.unknown)}")
        output: Output = {
            "plan": result.plan,
            "undone": ["/".join(item.key.values()) for item in result.undone],
            "kept": [{"key": "/".join(item.key.values()), "reason": item.reason} for item in result.kept],
        }
        if result.kept and ctx.stop():
            raise Stopped(f"stopped with {len(result.kept)} documents still standing", output)
        if result.kept:
            reason = result.reason or "; ".join(item.reason for item in result.kept[:3])
            raise ActionError(f"{len(result.kept)} documents still stand: {reason}")
        return output

    def _plan(self, ctx: ActionContext[UndoParams]) -> RepairPlan:
        plan = needed(ctx.services.repairs, "repairs").get(ctx.params.plan)
        if plan.digest != ctx.params.digest:
            raise ActionError(f"repair plan {plan.id} is not the one that was approved; nothing was taken back")
        return plan


def _shown(item: RepairItem) -> dict[str, object]:
    return {
        "key": dict(item.key),
        "kind": item.kind.value,
        "action": item.action.value,
        "left": dict(item.left) if item.left is not None else None,
        "right": dict(item.right) if item.right is not None else None,
        "value_at_risk": str(item.value_at_risk),
        "status": item.status.value,
        "reason": item.reason,
    }


def _keys(items: Sequence[RepairItem]) -> str:
    names = ["/".join(item.key.values()) for item in items[:5]]
    return ", ".join(names) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def _output(result: RepairResult) -> dict[str, object]:
    return {
        "plan": result.plan,
        "ok": ["/".join(item.key.values()) for item in result.ok],
        "failed": ["/".join(item.key.values()) for item in result.failed],
        "skipped": [{"key": "/".join(item.key.values()), "reason": item.reason} for item in result.skipped],
        "unknown": ["/".join(item.key.values()) for item in result.unknown],
        "left_over": result.left_over,
        "reason": result.reason,
    }
