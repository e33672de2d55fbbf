"""Wait a fixed time."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from tillwatch.config.values import Duration
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, Stopped

MAX_WAIT = timedelta(minutes=10)
_SLICE_SECONDS = 0.5


def _bounded(value: timedelta) -> timedelta:
    if value > MAX_WAIT:
        raise ValueError("a wait is at most 10m; use verify with 'within' to wait for a condition")
    return value


class WaitParams(Params):
    duration: Annotated[Duration, AfterValidator(_bounded)]


class WaitFor(Action[WaitParams]):
    """Waits, and ends at once when told to stop."""

    name: ClassVar[str] = "wait.for"
    Params: ClassVar[type[Params]] = WaitParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=11)

    def plan(self, ctx: ActionContext[WaitParams]) -> PlanReport:
        seconds = f"{ctx.params.duration.total_seconds():g}"
        return PlanReport(summary={"zh": f"等待 {seconds} 秒", "en": f"wait {seconds} seconds"})

    def do(self, ctx: ActionContext[WaitParams]) -> Output:
        clock = ctx.services.clock
        until = clock.monotonic() + ctx.params.duration.total_seconds()
        while (left := until - clock.monotonic()) > 0:
            if ctx.stop():
                raise Stopped("stopped while waiting")
            clock.sleep(min(left, _SLICE_SECONDS))
        return {"seconds": ctx.params.duration.total_seconds()}
