"""From a runbook and its parameters to a plan: the snapshot that is signed and run, and the dry run to read first."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from tillwatch.errors import ActionError, TillwatchError, UsageError
from tillwatch.runbook import template
from tillwatch.runbook.actions.base import Action, ActionContext, ActionServices, Params
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.cards import DryRun, StepPlan
from tillwatch.runbook.document import Approve, Runbook, Step, Undo, Verify, plain
from tillwatch.runbook.inventory import Resolved
from tillwatch.runbook.snapshot import (
    Call,
    PlannedApproval,
    PlannedCheck,
    PlannedStep,
    PlannedUndo,
    Snapshot,
)

#: The closing step of a runbook with `done_when`.
DONE_STEP = "alert_clear"
DONE_ACTION = "alert.clear"
_DONE_TITLE = {"zh": "告警已解除", "en": "The alert is clear"}
#: The closing step looks at most this much longer than it was told, so that its own answer comes before the timeout.
_DONE_GRACE = timedelta(seconds=30)


def snapshot(book: Runbook, resolved: Resolved, registry: Registry) -> Snapshot:
    """The frozen plan. Raises UsageError naming every parameter that is missing or wrong."""
    if resolved.problems:
        raise UsageError("; ".join(resolved.problems.values()))
    context: template.Context = {"p": resolved.params, "t": resolved.targets}
    steps = [_step(step, registry) for step in book.steps]
    if book.head.done_when is not None and book.head.done_when.alert_clear:
        steps.append(_done(book.head.done_when.within, registry))
    return Snapshot(
        runbook=book.id,
        title=book.head.title.text(),
        source_digest=book.source_digest,
        params=resolved.params,
        targets=resolved.targets,
        lock=template.render(book.head.lock, context),
        deadline_seconds=book.head.limits.deadline.total_seconds(),
        steps=tuple(steps),
    )


def _call(name: str, arguments: Any, timeout: timedelta | None, registry: Registry) -> Call:
    action = registry[name]
    seconds = (timeout or action.default_timeout).total_seconds()
    return Call(action=name, effect=action.effect, arguments=plain(arguments), timeout_seconds=seconds)


def _step(step: Step, registry: Registry) -> PlannedStep:
    spec = step.spec
    return PlannedStep(
        id=spec.id,
        title=dict(step.title),
        call=_call(spec.do, spec.with_, spec.timeout, registry),
        when=spec.when,
        tries=1 + (spec.retry.times if spec.retry else 0),
        retry_wait_seconds=spec.retry.wait.total_seconds() if spec.retry else 0.0,
        approval=_approval(spec.approve),
        check=_check(spec.verify, registry),
        undo=_undo(spec.undo, registry),
        keep=spec.undo.keep.text() if spec.undo and spec.undo.keep else {},
        point_of_no_return=spec.point_of_no_return,
        on_failure=spec.on_failure,
        by_people=registry[spec.do].by_people,
    )


def _approval(approve: Approve | None) -> PlannedApproval | None:
    if approve is None:
        return None
    return PlannedApproval(
        role=approve.role,
        count=approve.count,
        not_requester=approve.not_ == "requester",
        within_seconds=approve.within.total_seconds(),
    )


def _check(verify: Verify | None, registry: Registry) -> PlannedCheck | None:
    if verify is None:
        return None
    return PlannedCheck(
        call=_call(verify.do, verify.with_, verify.timeout, registry) if verify.do else None,
        condition=verify.assert_,
        message=verify.message.text() if verify.message else {},
        within_seconds=verify.within.total_seconds(),
        every_seconds=verify.every.total_seconds(),
    )


def _undo(undo: Undo | None, registry: Registry) -> PlannedUndo | None:
    if undo is None or not undo.do:
        return None
    return PlannedUndo(call=_call(undo.do, undo.with_, undo.timeout, registry), check=_check(undo.verify, registry))


def _done(within: timedelta, registry: Registry) -> PlannedStep:
    seconds = within.total_seconds()
    call = Call(
        action=DONE_ACTION,
        effect=registry[DONE_ACTION].effect,
        arguments={"within": f"{max(1, int(seconds))}s"},
        timeout_seconds=seconds + _DONE_GRACE.total_seconds(),
    )
    # Whether the world is well again is not undone: if it is not, a person looks.
    return PlannedStep(id=DONE_STEP, title=_DONE_TITLE, call=call, on_failure="human")


def typed(action: Action[Any], arguments: object) -> Params:
    """The arguments as the action's own model. Raises ActionError with every problem."""
    try:
        return action.Params.model_validate(arguments)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False))
        raise ActionError(f"arguments of '{action.name}' are wrong: {'; '.join(problems)}") from error


def approval_document(rule: PlannedApproval | None) -> dict[str, object]:
    """What cards show of an approval rule."""
    if rule is None:
        return {}
    return {
        "role": rule.role,
        "count": rule.count,
        "not_requester": rule.not_requester,
        "within_seconds": rule.within_seconds,
    }


def undo_text(step: PlannedStep) -> dict[str, str]:
    """How a step is taken back, for people."""
    if step.undo is not None:
        return {"zh": f"用 {step.undo.call.action} 撤销", "en": f"taken back by {step.undo.call.action}"}
    if step.keep:
        return {"zh": f"不撤销：{step.keep['zh']}", "en": f"kept: {step.keep['en']}"}
    if step.point_of_no_return:
        return {"zh": "不可撤销", "en": "cannot be taken back"}
    return {}


def dry_run(
    plan: Snapshot, registry: Registry, services: ActionServices, *, incident: int | None, actor: str
) -> DryRun:
    """Ask every action what it would do. Nothing is changed; a step that depends on earlier results says so."""
    steps = []
    context = plan.context({})
    for step in plan.steps:
        waits_for = _needs(step)
        if waits_for:
            steps.append(_later(step, waits_for))
        else:
            steps.append(preview(step, context, registry, services, run=0, incident=incident, actor=actor))
    return DryRun(runbook=plan.runbook, params=plan.params, digest=plan.digest, steps=tuple(steps))


def _needs(step: PlannedStep) -> list[str]:
    """Steps whose output this one's arguments name."""
    paths = [path for text in template.texts(step.call.arguments) for path in template.check(text)]
    return list(dict.fromkeys(path[1] for path in paths if path[0] == "s"))


def _later(step: PlannedStep, waits_for: list[str]) -> StepPlan:
    names = ", ".join(waits_for)
    summary = {
        "zh": f"取决于步骤 {names} 的结果；批准前会显示具体内容" if step.approval else f"取决于步骤 {names} 的结果",
        "en": f"depends on the result of step {names}" + ("; shown before approval" if step.approval else ""),
    }
    return _step_plan(step, summary=summary, previewed=False)


def preview(
    step: PlannedStep,
    context: Mapping[str, Mapping[str, object]],
    registry: Registry,
    services: ActionServices,
    *,
    run: int,
    incident: int | None,
    actor: str,
) -> StepPlan:
    """What one step would do with every value filled in; an error becomes part of the answer."""
    try:
        action = registry[step.call.action]
        ctx = ActionContext(
            services=services,
            params=typed(action, template.fill(step.call.arguments, context)),
            key=f"run-{run}-{step.id}-do",
            run=run,
            incident=incident,
            actor=actor,
            timeout=timedelta(seconds=step.call.timeout_seconds),
        )
        report = action.plan(ctx)
    except TillwatchError as error:
        summary = {"zh": "现在无法预览", "en": "cannot be previewed now"}
        return _step_plan(step, summary=summary, previewed=False, error=str(error))
    return _step_plan(
        step,
        summary=report.summary,
        current=report.current,
        proposed=report.proposed,
        items=report.items,
        items_total=report.items_total,
        previewed=report.previewed,
    )


def _step_plan(step: PlannedStep, **values: Any) -> StepPlan:
    return StepPlan(
        id=step.id,
        title=step.title,
        action=step.call.action,
        effect=step.call.effect.value,
        undo=undo_text(step),
        approval=approval_document(step.approval),
        **values,
    )
