"""Run a consistency audit now."""

from datetime import timedelta
from typing import ClassVar, Literal

from tillwatch.errors import ActionError
from tillwatch.model.audit import Verdict
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, needed


class AuditParams(Params):
    audit: str
    #: `any` still fails when the audit itself could not be carried out.
    expect: Literal["clean", "drift", "any"] = "any"


class RunAudit(Action[AuditParams]):
    """Compares both sides and reports; the systems are only read."""

    name: ClassVar[str] = "audit.run"
    Params: ClassVar[type[Params]] = AuditParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=10)
    max_timeout: ClassVar[timedelta] = timedelta(hours=1)

    def plan(self, ctx: ActionContext[AuditParams]) -> PlanReport:
        spec = ctx.services.config.audit(ctx.params.audit)
        return PlanReport(
            summary={
                "zh": f"重新对账 {spec.id}：{spec.left.system} 与 {spec.right.system}，只读",
                "en": f"audit {spec.id} again: {spec.left.system} against {spec.right.system}, reading only",
            },
            proposed=ctx.params.expect,
        )

    def do(self, ctx: ActionContext[AuditParams]) -> Output:
        audits = needed(ctx.services.audits, "audits")
        report = audits.run(ctx.services.config.audit(ctx.params.audit).id, trigger="runbook")
        output = {
            "run": report.run,
            "audit": report.audit,
            "verdict": report.verdict.value,
            "missing": report.missing,
            "extra": report.extra,
            "changed": report.changed,
            "value_at_risk": str(report.value_at_risk),
        }
        answers = {Verdict.CLEAN, Verdict.DRIFT, Verdict.SYNC_LAG}
        expected = {"clean": {Verdict.CLEAN}, "drift": {Verdict.DRIFT}, "any": answers}
        if report.verdict not in expected[ctx.params.expect]:
            counts = f"missing {report.missing}, extra {report.extra}, changed {report.changed}"
            # An audit that could not look may see more in a moment, and what is late may arrive.
            retryable = report.verdict in {Verdict.INCONCLUSIVE, Verdict.FAILED, Verdict.SYNC_LAG}
            reason = f"audit '{report.audit}' run {report.run} is {report.verdict} ({counts}): {report.reason}"
            raise ActionError(reason, retryable=retryable)
        return output
