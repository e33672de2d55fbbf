"""Run probes now, the ones named or all of one system or interface."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import model_validator

from tillwatch.config.declared import ChainConfig
from tillwatch.errors import ActionError
from tillwatch.model.probe import Outcome
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, needed


class ProbeParams(Params):
    probes: tuple[str, ...] = ()
    system: str = ""
    interface: str = ""
    #: ok: all of them well. failing: at least one is not. any: only look.
    expect: Literal["ok", "failing", "any"] = "any"

    @model_validator(mode="after")
    def _something(self) -> "ProbeParams":
        if not (self.probes or self.system or self.interface):
            raise ValueError("name probes, a system or an interface")
        return self


class RunProbes(Action[ProbeParams]):
    """Measures now; the results count towards the probes' thresholds like any other."""

    name: ClassVar[str] = "probe.run"
    Params: ClassVar[type[Params]] = ProbeParams

    def plan(self, ctx: ActionContext[ProbeParams]) -> PlanReport:
        probes = chosen(ctx.params, ctx.services.config)
        names = ", ".join(probes)
        return PlanReport(
            summary={"zh": f"立即执行探测：{names}", "en": f"run these probes now: {names}"},
            proposed=ctx.params.expect,
            items=tuple({"probe": probe} for probe in probes[:20]),
            items_total=len(probes),
        )

    def do(self, ctx: ActionContext[ProbeParams]) -> Output:
        results = needed(ctx.services.probes, "probes").run_now(chosen(ctx.params, ctx.services.config))
        bad = [result for result in results if result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}]
        failing = [result for result in results if result.outcome is Outcome.FAILED]
        if ctx.params.expect == "ok" and bad:
            words = "; ".join(f"{item.probe}: {item.outcome} {item.cause} {item.message}".rstrip() for item in bad)
            raise ActionError(f"not well yet: {words}", retryable=True)
        if ctx.params.expect == "failing" and not failing:
            names = ", ".join(result.probe for result in results)
            raise ActionError(f"nothing fails ({names}); it recovered by itself, or the fault is elsewhere")
        return {
            "failing": len(failing),
            "results": [
                {"probe": item.probe, "outcome": item.outcome.value, "cause": item.cause.value, "message": item.message}
                for item in results
            ],
        }


def chosen(params: ProbeParams, config: ChainConfig) -> Sequence[str]:
    """The ids meant. Raises UsageError for an unknown id, ActionError when nothing watches the system."""
    named = [config.probe(probe).id for probe in params.probes]
    if params.system:
        config.system(params.system)
        named += [probe.id for probe in config.probes if probe.system == params.system and not probe.interface]
    if params.interface:
        config.interface(params.interface)
        named += [probe.id for probe in config.probes if probe.interface == params.interface]
    if not named:
        what = params.system or params.interface
        raise ActionError(f"no probe watches '{what}'; add one under probes/ or name probes in the step")
    return list(dict.fromkeys(named))
