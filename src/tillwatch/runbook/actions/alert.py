"""Are the incident's alerts over? Looked at again at their source, not waited for blindly."""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from tillwatch.config.values import Duration
from tillwatch.errors import ActionError, TillwatchError
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.audit import Verdict
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, Stopped, needed

#: Between two looks; a probe's own threshold may need several good results.
LOOK_SECONDS = 1.0


class ClearParams(Params):
    within: Duration = timedelta(minutes=5)


class Clear(Action[ClearParams]):
    """Succeeds when no alert of the incident fires any more. Re-runs the probes and audits that raised them."""

    name: ClassVar[str] = "alert.clear"
    Params: ClassVar[type[Params]] = ClearParams
    default_timeout: ClassVar[timedelta] = timedelta(minutes=6)
    max_timeout: ClassVar[timedelta] = timedelta(hours=1)

    def plan(self, ctx: ActionContext[ClearParams]) -> PlanReport:
        names = ", ".join(sorted(_name(episode) for episode in _live(ctx))) or "-"
        return PlanReport(
            summary={
                "zh": "重新检查事件的告警是否全部解除",
                "en": "look again whether every alert of the incident is over",
            },
            current=names,
            proposed=f"<= {ctx.params.within}",
        )

    def do(self, ctx: ActionContext[ClearParams]) -> Output:
        if ctx.incident is None:
            return {"clear": True, "note": "no incident, so no alert to wait for"}
        clock = ctx.services.clock
        until = clock.monotonic() + ctx.params.within.total_seconds()
        audited: set[str] = set()
        while True:
            live = _live(ctx)
            if not live:
                return {"clear": True}
            if clock.monotonic() >= until:
                names = ", ".join(sorted({_name(episode) for episode in live}))
                raise ActionError(f"still firing after {ctx.params.within}: {names}; find out what else is wrong")
            if ctx.stop():
                raise Stopped("stopped while waiting for the alerts to clear")
            self._look_again(ctx, live, audited)
            if _live(ctx):
                clock.sleep(LOOK_SECONDS)

    def _look_again(self, ctx: ActionContext[ClearParams], live: Sequence[Episode], audited: set[str]) -> None:
        """Run what raised the alerts. What cannot run now proves nothing and is tried again at the next look."""
        probes = sorted({episode.labels["probe"] for episode in live if episode.labels.get("probe")})
        known = {probe.id for probe in ctx.services.config.probes}
        audits = {episode.labels["audit"] for episode in live if episode.labels.get("audit")} - audited
        try:
            if ctx.services.probes is not None and (mine := [probe for probe in probes if probe in known]):
                ctx.services.probes.run_now(mine)
            for audit in sorted(audits):
                if ctx.services.audits is not None:
                    report = ctx.services.audits.run(audit, trigger="runbook")
                    # Drift that is found again stays; running the comparison over and over would only load the ERP.
                    if report.verdict in {Verdict.CLEAN, Verdict.DRIFT}:
                        audited.add(audit)
        except TillwatchError:
            return


def _live(ctx: ActionContext[ClearParams]) -> list[Episode]:
    if ctx.incident is None:
        return []
    episodes = needed(ctx.services.episodes, "incidents")
    with ctx.services.database.read() as connection:
        found = episodes(connection, ctx.incident)
    return [episode for episode in found if episode.state is not AlertState.RESOLVED]


def _name(episode: Episode) -> str:
    of = episode.labels.get("probe") or episode.labels.get("audit") or episode.labels.get("system") or ""
    return f"{episode.labels.get('alertname', '?')}({of})" if of else episode.labels.get("alertname", "?")
