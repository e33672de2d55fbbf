"""One check (a probe or an audit) as a person reads it: how bad, in which word, since when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tillwatch.audit.timetable import timetable
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, Probe
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.web.views.levels import OF_SEVERITY, Level

#: A probe that has not reported for this many intervals is not green, it is unknown.
STALE_INTERVALS = 3
#: A loaded server may be this late before we stop trusting its last word.
STALE_SLACK = timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class CheckView:
    """`word` is the message id of its state, `n` and `of` its numbers."""

    kind: str
    id: str
    names: dict[str, str]
    level: Level
    word: str
    n: int = 0
    of: int = 0
    cause: str = ""
    #: By language; what a prober or an audit said in its own words.
    messages: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    at: datetime | None = None
    run: int | None = None

    @property
    def url(self) -> str:
        if self.kind == "probe":
            return f"/probes/{self.id}"
        return f"/audits/runs/{self.run}" if self.run is not None else f"/audits#{self.id}"


def of_probe(probe: Probe, state: ProbeState | None, now: datetime) -> CheckView:
    """Stale beats every verdict but a failing one: a frozen green board is the worst lie."""
    last = state.last if state else None
    if state is None or last is None:
        return _probe(probe, state, Level.PENDING, "pending")
    if state.status is ProbeStatus.FAILING:
        return _probe(probe, state, OF_SEVERITY[probe.severity], "failing")
    if now - last.started_at > STALE_INTERVALS * probe.every + probe.timeout + STALE_SLACK:
        return _probe(probe, state, Level.UNKNOWN, "stale")
    if last.outcome is Outcome.UNKNOWN:
        return _probe(probe, state, Level.UNKNOWN, "unknown")
    if last.outcome is Outcome.FAILED:
        return _probe(probe, state, Level.NOTICE, "wobbling", n=state.failures_in_a_row, of=probe.fail_after)
    if last.outcome is Outcome.DEGRADED:
        return _probe(probe, state, Level.NOTICE, "degraded")
    return _probe(probe, state, Level.OK, "ok")


def of_audit(audit: Audit, report: AuditReport | None, config: ChainConfig, now: datetime) -> CheckView:
    """An audit that should have run again and did not is unknown, whatever it last said."""
    names = audit.name
    if report is None:
        return CheckView(kind="audit", id=audit.id, names=names, level=Level.PENDING, word="pending")
    level, word = _verdict(report, audit)
    if level is Level.OK and _overdue(audit, report, config, now):
        level, word = Level.UNKNOWN, "stale"
    return CheckView(
        kind="audit",
        id=audit.id,
        names=names,
        level=level,
        word=word,
        n=report.missing + report.extra + report.changed,
        messages={"en": report.reason} if level is Level.UNKNOWN else {},
        at=report.started_at + timedelta(seconds=report.seconds),
        since=report.started_at,
        run=report.run,
    )


def messages_of(result: ProbeResult) -> dict[str, str]:
    """What a result says is wrong, in every language it says it in."""
    chinese = result.evidence.get("message_zh")
    words = {"en": result.message, "zh": str(chinese) if chinese else ""}
    return {language: text for language, text in words.items() if text}


def worst(checks: Sequence[CheckView]) -> CheckView:
    """The check a cell speaks for. `checks` is not empty."""
    return min(checks, key=lambda check: (check.level.rank, check.id))


def _probe(probe: Probe, state: ProbeState | None, level: Level, word: str, *, n: int = 0, of: int = 0) -> CheckView:
    last = state.last if state else None
    return CheckView(
        kind="probe",
        id=probe.id,
        names=probe.name,
        level=level,
        word=word,
        n=n,
        of=of,
        cause=last.cause.value if last else "",
        messages=messages_of(last) if last else {},
        since=state.since if state else None,
        at=last.started_at + timedelta(seconds=last.seconds) if last else None,
    )


def _verdict(report: AuditReport, audit: Audit) -> tuple[Level, str]:
    match report.verdict:
        case Verdict.CLEAN:
            return Level.OK, "clean"
        case Verdict.DRIFT if report.tolerated:
            return Level.NOTICE, "tolerated"
        case Verdict.DRIFT:
            return OF_SEVERITY[audit.severity], "drift"
        case Verdict.SYNC_LAG:
            return Level.WARNING, "sync_lag"
        case Verdict.INCONCLUSIVE:
            return Level.UNKNOWN, "inconclusive"
        case Verdict.FAILED:
            return Level.UNKNOWN, "failed"


def _overdue(audit: Audit, report: AuditReport, config: ChainConfig, now: datetime) -> bool:
    """True when two slots have passed since the report began."""
    schedule = timetable(audit, config)
    first = schedule.first_after(report.started_at, audit.id)
    second = schedule.first_after(first, audit.id)
    return now > second + audit.timeout + STALE_SLACK
