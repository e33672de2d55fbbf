"""What an audit run means: its verdict, and the alerts that follow from it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from tillwatch.audit.sentences import reason
from tillwatch.audit.value import EXACT
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit
from tillwatch.errors import Cause
from tillwatch.model.alert import Alert
from tillwatch.model.audit import AuditReport, Difference, Verdict
from tillwatch.model.incident import Severity
from tillwatch.model.wording import CAUSES

DRIFT = "Drift"
SYNC_LAG = "SyncLag"
INCONCLUSIVE = "AuditInconclusive"
SOURCE = "audit"

#: Differences shown in an incident; the audit report has the rest.
MAX_DIFFERENCES_IN_EVIDENCE = 20
_CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a finished comparison counted."""

    missing: int
    extra: int
    changed: int
    unsettled: int
    #: Rows that are known to be late and not lost.
    late: int
    #: Values that could not be read as their declared type.
    unreadable: int

    @property
    def differences(self) -> int:
        return self.missing + self.extra + self.changed


def decide(counts: Counts) -> tuple[Verdict, str]:
    """The verdict of a comparison that went through, and why.

    1. One confirmed difference is drift, whatever else is unclear.
    2. Rows that are late, and not one that is lost: the sync lags.
    3. What keeps moving or cannot be read is not proven equal: inconclusive.
    4. Otherwise clean.
    """
    notes = []
    if counts.late:
        notes.append(f"{counts.late} rows took longer to arrive than the audit allows")
    if counts.unsettled:
        notes.append(f"{counts.unsettled} rows differ but kept moving")
    if counts.unreadable:
        notes.append(f"{counts.unreadable} values cannot be read as their declared type")
    if counts.differences:
        found = f"{counts.missing} missing, {counts.extra} extra, {counts.changed} changed"
        return Verdict.DRIFT, "; ".join([found, *notes])
    if counts.late:
        return Verdict.SYNC_LAG, "; ".join(notes)
    if notes:
        return Verdict.INCONCLUSIVE, "; ".join(notes)
    return Verdict.CLEAN, "both sides agree"


def proves(verdict: Verdict, counts: Counts) -> bool:
    """Whether every row is now known to be equal or to differ, so that a later run may build on it."""
    undecided = counts.unsettled + counts.late + counts.unreadable
    return verdict in {Verdict.CLEAN, Verdict.DRIFT} and not undecided


def money(amount: Decimal) -> str:
    """Two decimals, half-up, no exponent."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP, EXACT)
    return format(rounded if rounded else rounded.copy_abs(), "f")


def alerts(report: AuditReport, spec: Audit, config: ChainConfig, *, in_vain: int) -> tuple[Alert, ...]:
    """The alerts one report raises or resolves.

    | verdict      | Drift     | SyncLag                       | AuditInconclusive |
    |--------------|-----------|-------------------------------|-------------------|
    | clean        | resolved  | resolved                      | resolved          |
    | drift        | firing    | firing with late rows, else – | resolved          |
    | sync_lag     | –         | firing                        | resolved          |
    | inconclusive | –         | –                             | firing, see below |
    | failed       | –         | –                             | firing, see below |

    Drift and SyncLag are resolved by a clean run only: while a row is wrong or still on its way, nobody knows that the
    sync keeps up. Drift within the audit's thresholds raises no Drift and, when nothing is left undecided, ends one:
    else an audit that lives with a few rows could never close its incident. AuditInconclusive says that nothing is
    known; a run that gave an answer ends it, whatever the answer. It is raised once `in_vain`, the number of runs in a
    row without an answer (this one included), reaches the audit's `fail_after`: when the ERP is down its own probes say
    so first.
    """
    ended = report.started_at + timedelta(seconds=report.seconds)
    severities = {DRIFT: spec.severity, SYNC_LAG: Severity.WARNING, INCONCLUSIVE: Severity.WARNING}
    firing: set[str] = set()
    resolved: set[str] = set()
    match report.verdict:
        case Verdict.CLEAN:
            resolved = {DRIFT, SYNC_LAG, INCONCLUSIVE}
        case Verdict.DRIFT:
            firing, resolved = {DRIFT, *([SYNC_LAG] if report.late else [])}, {INCONCLUSIVE}
            if report.tolerated:
                firing -= {DRIFT}
                resolved |= {DRIFT} if _is_decided(report) else set()
        case Verdict.SYNC_LAG:
            firing, resolved = {SYNC_LAG}, {INCONCLUSIVE}
        case Verdict.INCONCLUSIVE | Verdict.FAILED:
            firing = {INCONCLUSIVE} if in_vain >= spec.fail_after else set()
    return tuple(
        _alert(name, severity, report, spec, config, ends_at=ended if name in resolved else None)
        for name, severity in severities.items()
        if name in firing | resolved
    )


def _is_decided(report: AuditReport) -> bool:
    """Whether every row is known to be equal or to differ."""
    unreadable = any(f"unreadable_{side}" in report.evidence for side in ("left", "right"))
    return not (report.unsettled or report.late or unreadable)


def _alert(
    name: str,
    severity: Severity,
    report: AuditReport,
    spec: Audit,
    config: ChainConfig,
    *,
    ends_at: datetime | None = None,
) -> Alert:
    labels = {"alertname": name, "severity": str(severity), "audit": spec.id}
    if spec.interface:
        labels["interface"] = spec.interface
    if site := site_of(spec, config):
        labels["site"] = site
    if spec.owner:
        labels["owner"] = spec.owner
    return Alert(
        labels=labels,
        annotations=_annotations(name, report, spec, config),
        starts_at=report.started_at,
        ends_at=ends_at,
        source=SOURCE,
        evidence=evidence(report),
    )


def site_of(spec: Audit, config: ChainConfig) -> str:
    """The shop an audit is about: its interface's, else that of the one side that stands in a shop of its own."""
    if spec.interface:
        interface = config.interface(spec.interface)
        if interface.site:
            return interface.site
    sites = {config.system(side.system).site for side in (spec.left, spec.right)} - {""}
    return sites.pop() if len(sites) == 1 else ""


def _annotations(name: str, report: AuditReport, spec: Audit, config: ChainConfig) -> Mapping[str, str]:
    english = spec.name.get("en") or spec.id
    chinese = spec.name.get("zh") or spec.name.get("en") or spec.id
    currency = config.chain.currency
    rows = report.missing + report.extra + report.changed
    worth = f"{money(report.value_at_risk)} {currency}"
    if report.verdict is Verdict.CLEAN:
        return {
            "summary": f"{english}: both sides agree",
            "summary_zh": f"{chinese}：两侧一致",
            "cause": str(Cause.NONE),
        }
    if name == SYNC_LAG or report.verdict is Verdict.SYNC_LAG:
        return {
            "summary": f"{english}: {report.late} rows took longer from {report.left.system} to {report.right.system} "
            "than the audit allows; nothing is lost so far",
            "summary_zh": f"{chinese}：有 {report.late} 行从 {report.left.system} 到 {report.right.system} "
            "超过了允许的时间；目前没有数据丢失",
            "cause": str(Cause.BACKLOG),
        }
    if name == DRIFT or report.verdict is Verdict.DRIFT:
        detail = f"{report.missing} missing, {report.extra} extra, {report.changed} changed"
        detail_zh = f"缺失 {report.missing}，多余 {report.extra}，不一致 {report.changed}"
        tolerated, tolerated_zh = ("; within thresholds", "；在允许范围内") if report.tolerated else ("", "")
        if isinstance(other := report.evidence.get("other_currency"), Mapping):
            detail += f"; {other['rows']} in another currency"
            detail_zh += f"；其中 {other['rows']} 行币种不同"
        return {
            "summary": f"{english}: {rows} rows differ between {report.left.system} and {report.right.system} "
            f"({detail}), {worth} at risk{tolerated}",
            "summary_zh": f"{chinese}：{report.left.system} 与 {report.right.system} 有 {rows} 行差异"
            f"（{detail_zh}），涉及金额 {worth}{tolerated_zh}",
            "cause": str(Cause.DATA),
        }
    state, state_zh = ("failed", "失败") if report.verdict is Verdict.FAILED else ("was inconclusive", "无法得出结论")
    told = report.evidence.get("cause")
    cause = Cause(str(told or Cause.DATA))
    because_zh = reason(report.reason, "zh")
    if told and cause in CAUSES:
        because_zh = f"{CAUSES[cause]['zh']}（{because_zh}）"
    return {
        "summary": f"{english}: the audit {state}: {report.reason}",
        "summary_zh": f"{chinese}：对账{state_zh}：{because_zh}",
        "cause": str(cause),
    }


def evidence(report: AuditReport) -> dict[str, object]:
    """What an incident keeps of a report; JSON values only."""
    return {
        "run": report.run,
        "audit": report.audit,
        "verdict": str(report.verdict),
        "reason": report.reason,
        "cause": str(report.evidence.get("cause", Cause.NONE)),
        "left": {"system": report.left.system, "dataset": report.left.dataset, "rows": report.left.rows},
        "right": {"system": report.right.system, "dataset": report.right.dataset, "rows": report.right.rows},
        "missing": report.missing,
        "extra": report.extra,
        "changed": report.changed,
        "unsettled": report.unsettled,
        "late": report.late,
        "value_at_risk": money(report.value_at_risk),
        "within_thresholds": report.tolerated,
        "differences": [difference_document(row) for row in report.differences[:MAX_DIFFERENCES_IN_EVIDENCE]],
    }


def difference_document(row: Difference) -> dict[str, object]:
    """One difference as JSON, the shape of `audit run --json`."""
    return {
        "kind": str(row.kind),
        "key": dict(row.key),
        "left": None if row.left is None else dict(row.left),
        "right": None if row.right is None else dict(row.right),
        "fields": list(row.fields),
        "value_at_risk": money(row.value_at_risk),
    }


def document(report: AuditReport) -> dict[str, object]:
    """The document of `audit run --json` and of the API."""
    return {
        "run": report.run,
        "audit": report.audit,
        "verdict": str(report.verdict),
        "reason": report.reason,
        "left": {"system": report.left.system, "dataset": report.left.dataset, "rows": report.left.rows},
        "right": {"system": report.right.system, "dataset": report.right.dataset, "rows": report.right.rows},
        "missing": report.missing,
        "extra": report.extra,
        "changed": report.changed,
        "unsettled": report.unsettled,
        "late": report.late,
        "value_at_risk": money(report.value_at_risk),
        "within_thresholds": report.tolerated,
        "owner": report.evidence.get("owner", ""),
        "differences": [difference_document(row) for row in report.differences],
        "strategy": report.strategy,
        "strategy_reason": report.strategy_reason,
        "bytes_read": report.bytes_read,
        "seconds": round(report.seconds, 3),
        "started_at": report.started_at.isoformat(),
        "evidence": dict(report.evidence),
    }
