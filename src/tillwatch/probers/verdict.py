"""From a thresholded result to the alert it raises or ends. Pure: no clock, no store."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tillwatch.errors import Cause
from tillwatch.model.alert import Alert
from tillwatch.model.incident import Severity
from tillwatch.model.labels import Labels
from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.model.text import pick
from tillwatch.model.wording import CAUSES
from tillwatch.probers.registry import Ready
from tillwatch.probers.threshold import Step

SOURCE = "probe"

#: Every verdict alert a probe can raise, by the cause of the failure. Each name is raised here and nowhere else.
ALERT_NAMES: Mapping[Cause, str] = {
    Cause.DNS: "InterfaceDown",
    Cause.TCP: "InterfaceDown",
    Cause.TLS: "InterfaceDown",
    Cause.TIMEOUT: "InterfaceDown",
    Cause.AUTH: "CredentialsRefused",
    Cause.AUTHZ: "CredentialsRefused",
    Cause.APPLICATION: "ApplicationFailing",
    Cause.SESSION: "ApplicationFailing",
    Cause.THROTTLE: "Throttled",
    Cause.DATA: "SyncStale",
    Cause.BACKLOG: "SyncStale",
    Cause.EXPIRY: "CertificateExpiring",
    Cause.CALENDAR: "CalendarBlocked",
    Cause.SATURATION: "HostSaturated",
    Cause.NONE: "ProbeFailing",
}

#: What an alert says about its subject, in English and Chinese.
_SAYINGS: Mapping[str, tuple[str, str]] = {
    "InterfaceDown": ("cannot be reached", "无法连接"),
    "CredentialsRefused": ("refuses our credentials", "拒绝了我们的登录凭据"),
    "ApplicationFailing": ("answers with an error", "应用返回错误"),
    "Throttled": ("throttles us", "正在限流"),
    "SyncStale": ("is not up to date", "数据同步滞后"),
    "CertificateExpiring": ("has a certificate that expires", "证书即将到期或已到期"),
    "CalendarBlocked": ("is closed by its calendar", "被日历或会计期间锁定"),
    "HostSaturated": ("is overloaded", "资源不足"),
    "ProbeFailing": ("does not pass its check", "检查未通过"),
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The state to remember and the alerts to take in, both in one transaction."""

    state: ProbeState
    alerts: tuple[Alert, ...] = ()


def verdict(step: Step, result: ProbeResult, ready: Ready) -> Verdict:
    """Decide which alert stands after `result`.

    1. A failing probe raises one alert, named by the cause of its latest failure, and re-sends it with every failure.
    2. When the cause moves to another name, or the labels changed in the files, the old alert ends and the new one
       starts in the same batch.
    3. A certificate that ends soon raises its alert although the probe succeeds.
    4. A run that decides nothing (unknown, late, one failure too few, one success too few) says nothing: what stands,
       stands, with the words and the evidence of the run that last confirmed it.
    5. A recovered probe ends its alert.
    """
    state = step.state
    if state.last is not result:
        return Verdict(state=state)
    standing = dict(state.alert_labels)
    wanted = _wanted(state, result, ready)
    since = state.alert_since or result.started_at
    if wanted is None:
        return Verdict(state=state)
    alerts: list[Alert] = []
    if standing and standing != wanted:
        alerts.append(_ended(standing, result, ready, reason=step.reason, since=since))
    if not wanted:
        return Verdict(state=replace(state, alert_labels={}, alert_since=None), alerts=tuple(alerts))
    if standing != wanted:
        since = result.started_at
    alerts.append(_firing(wanted, result, ready, since=since))
    return Verdict(state=replace(state, alert_labels=wanted, alert_since=since), alerts=tuple(alerts))


def _wanted(state: ProbeState, result: ProbeResult, ready: Ready) -> dict[str, str] | None:
    """The labels of the alert that must stand now, empty for none; None when this run decides nothing."""
    probe = ready.target.probe
    failing = state.status is ProbeStatus.FAILING
    if failing and result.outcome is Outcome.FAILED:
        return _labels(ALERT_NAMES[result.cause], probe.severity, ready)
    if failing or result.outcome in {Outcome.UNKNOWN, Outcome.FAILED}:
        return None
    if result.outcome is Outcome.DEGRADED and result.cause is Cause.EXPIRY:
        milder = Severity.INFO if probe.severity is Severity.INFO else Severity.WARNING
        return _labels(ALERT_NAMES[Cause.EXPIRY], milder, ready)
    return {}


def _labels(name: str, severity: Severity, ready: Ready) -> dict[str, str]:
    return {"alertname": name, "severity": severity.value, **ready.labels}


def retired(state: ProbeState, now: datetime) -> Alert:
    """The end of the alert of a probe that is no longer in the chain directory."""
    reason = f"probe '{state.probe}' is no longer configured"
    return Alert(
        labels=dict(state.alert_labels),
        annotations={"summary": reason, "summary_zh": f"探测 {state.probe} 已从配置中删除"},
        starts_at=state.alert_since or now,
        ends_at=now,
        source=SOURCE,
        evidence={"probe": state.probe, "reason": reason},
    )


def _firing(labels: Labels, result: ProbeResult, ready: Ready, *, since: datetime) -> Alert:
    saying, saying_zh = _SAYINGS[labels["alertname"]]
    subject, subject_zh = _subject(ready, "en"), _subject(ready, "zh")
    details = result.message or result.cause.value or "no details"
    # What a foreign system says stays in the evidence: a sentence that changes its language midway helps nobody.
    details_zh = str(result.evidence.get("message_zh") or pick(CAUSES.get(result.cause, {}), "zh", "无详细信息"))
    return Alert(
        labels=labels,
        annotations={
            "summary": f"{subject} {saying}: {details}",
            "summary_zh": f"{subject_zh}{saying_zh}：{details_zh}",
            "cause": result.cause.value,
        },
        starts_at=since,
        ends_at=None,
        generator_url=f"/probes/{result.probe}",
        source=SOURCE,
        evidence=_evidence(result, ready),
    )


def _ended(labels: Labels, result: ProbeResult, ready: Ready, *, reason: str, since: datetime) -> Alert:
    subject, subject_zh = _subject(ready, "en"), _subject(ready, "zh")
    return Alert(
        labels=labels,
        annotations={
            "summary": f"{subject}: {labels.get('alertname', '')} is over ({reason})",
            "summary_zh": f"{subject_zh}：{labels.get('alertname', '')} 已解除",
            "cause": result.cause.value,
        },
        starts_at=since,
        ends_at=max(since, result.started_at),
        generator_url=f"/probes/{result.probe}",
        source=SOURCE,
        evidence=_evidence(result, ready),
    )


def _evidence(result: ProbeResult, ready: Ready) -> dict[str, object]:
    return {
        **result.evidence,
        "probe": result.probe,
        "target": ready.target.probe.target,
        "outcome": result.outcome.value,
        "cause": result.cause.value,
        "message": result.message,
        "phases": dict(result.phases),
        "seconds": result.seconds,
        "log": list(result.log),
        "checked_at": result.started_at.isoformat(),
    }


def _subject(ready: Ready, language: str) -> str:
    """What the alert is about, by its name for people: the interface, else the system, else the probe."""
    target = ready.target
    named = target.interface or target.system or target.probe
    names: Mapping[str, str] = {str(key): text for key, text in named.name.items()}
    return pick(names, language, named.id)
