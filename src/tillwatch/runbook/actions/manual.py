"""What only a person can do: the run waits until somebody says that it is done."""

from datetime import timedelta
from typing import ClassVar, Literal

from tillwatch.errors import ActionError
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport
from tillwatch.runbook.document import Both


class ManualParams(Params):
    ask: Both
    #: `required`: the person has to write down what they saw or did.
    evidence: Literal["required", "optional"] = "optional"


class Manual(Action[ManualParams]):
    """Waits for a confirmation; what the person saw or did is kept as the output."""

    name: ClassVar[str] = "manual"
    effect: ClassVar[Effect] = Effect.ONCE
    Params: ClassVar[type[Params]] = ManualParams
    default_timeout: ClassVar[timedelta] = timedelta(hours=4)
    max_timeout: ClassVar[timedelta] = timedelta(hours=24)
    by_people: ClassVar[bool] = True

    def plan(self, ctx: ActionContext[ManualParams]) -> PlanReport:
        return PlanReport(summary=ctx.params.ask.text())

    def do(self, ctx: ActionContext[ManualParams]) -> Output:
        raise ActionError(f"'{ctx.params.ask.en}' is for a person; confirm the step instead")
