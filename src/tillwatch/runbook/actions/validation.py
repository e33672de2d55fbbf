"""Check the rows of one dataset again."""

from datetime import timedelta
from typing import ClassVar, Literal

from tillwatch.errors import ActionError
from tillwatch.model.validation import ValidationVerdict
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, needed


class ValidationParams(Params):
    validation: str
    #: `any` still fails when the validation itself could not be carried out.
    expect: Literal["clean", "any"] = "any"


class RunValidation(Action[ValidationParams]):
    """Reads the dataset and checks its rules; nothing is written."""

    name: ClassVar[str] = "validation.run"
    Params: ClassVar[type[Params]] = ValidationParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=10)
    max_timeout: ClassVar[timedelta] = timedelta(hours=1)

    def plan(self, ctx: ActionContext[ValidationParams]) -> PlanReport:
        spec = ctx.services.config.validation(ctx.params.validation)
        return PlanReport(
            summary={
                "zh": f"重新校验 {spec.id}：{spec.system}.{spec.dataset}，只读",
                "en": f"validate {spec.id} again: {spec.system}.{spec.dataset}, reading only",
            },
            proposed=ctx.params.expect,
        )

    def do(self, ctx: ActionContext[ValidationParams]) -> Output:
        validations = needed(ctx.services.validations, "validations")
        report = validations.run(ctx.services.config.validation(ctx.params.validation).id, trigger="runbook")
        answers = {ValidationVerdict.CLEAN, ValidationVerdict.INVALID}
        expected = {"clean": {ValidationVerdict.CLEAN}, "any": answers}
        if report.verdict not in expected[ctx.params.expect]:
            reason = f"validation '{report.validation}' run {report.run} is {report.verdict}: {report.reason}"
            raise ActionError(reason, retryable=report.verdict not in answers)
        return {
            "run": report.run,
            "validation": report.validation,
            "verdict": report.verdict.value,
            "rows": report.rows,
            "violations": report.broken,
        }
