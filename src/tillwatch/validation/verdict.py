"""What a run means: the alerts that follow from it, and its document. Pure."""

from collections.abc import Mapping
from datetime import timedelta

from tillwatch.config.declared import ChainConfig
from tillwatch.config.validations import Validation
from tillwatch.errors import Cause
from tillwatch.model.alert import Alert
from tillwatch.model.incident import Severity
from tillwatch.model.validation import Finding, ValidationReport, ValidationVerdict
from tillwatch.model.wording import CAUSES
from tillwatch.validation.declare import place_of

INVALID = "DataInvalid"
INCONCLUSIVE = "ValidationInconclusive"
SOURCE = "validation"

#: Findings shown in an incident; the report has the rest.
MAX_FINDINGS_IN_EVIDENCE = 20


def alerts(report: ValidationReport, spec: Validation, config: ChainConfig, *, in_vain: int) -> tuple[Alert, ...]:
    """The alerts one report raises or resolves.

    | verdict              | DataInvalid | ValidationInconclusive                         |
    |----------------------|-------------|------------------------------------------------|
    | clean                | resolved    | resolved                                       |
    | invalid              | firing      | resolved                                       |
    | inconclusive, failed | –           | firing once `in_vain` runs reach `fail_after`  |
    """
    match report.verdict:
        case ValidationVerdict.CLEAN:
            states = {INVALID: False, INCONCLUSIVE: False}
        case ValidationVerdict.INVALID:
            states = {INVALID: True, INCONCLUSIVE: False}
        case _:
            states = {INCONCLUSIVE: True} if in_vain >= spec.fail_after else {}
    severities = {INVALID: spec.severity, INCONCLUSIVE: Severity.WARNING}
    ended = report.started_at + timedelta(seconds=report.seconds)
    return tuple(
        Alert(
            labels={"alertname": name, "severity": str(severities[name]), "validation": spec.id}
            | place_of(spec, config),
            annotations=_annotations(report, spec),
            starts_at=report.started_at,
            ends_at=None if firing else ended,
            source=SOURCE,
            evidence=evidence(report),
        )
        for name, firing in states.items()
    )


def _annotations(report: ValidationReport, spec: Validation) -> Mapping[str, str]:
    english = spec.name.get("en") or spec.id
    chinese = spec.name.get("zh") or spec.name.get("en") or spec.id
    where = f"{report.system}.{report.dataset}"
    if report.verdict is ValidationVerdict.CLEAN:
        return {
            "summary": f"{english}: every row of {where} keeps every rule",
            "summary_zh": f"{chinese}：{where} 的每一行都符合规则",
            "cause": str(Cause.NONE),
        }
    if report.verdict is ValidationVerdict.INVALID:
        return {
            "summary": f"{english}: {report.broken} violations among {report.rows} rows of {where} ({report.reason})",
            "summary_zh": f"{chinese}：{where} 的 {report.rows} 行中有 {report.broken} 处不合规（{report.reason}）",
            "cause": str(Cause.DATA),
        }
    failed = report.verdict is ValidationVerdict.FAILED
    told = report.evidence.get("cause")
    cause = Cause(str(told or Cause.DATA))
    because_zh = CAUSES[cause]["zh"] if told and cause in CAUSES else "原因见证据"
    return {
        "summary": f"{english}: the validation {'failed' if failed else 'was inconclusive'}: {report.reason}",
        "summary_zh": f"{chinese}：数据校验{'失败' if failed else '无法得出结论'}：{because_zh}",
        "cause": str(cause),
    }


def evidence(report: ValidationReport) -> dict[str, object]:
    """What an incident keeps of a report; JSON values only."""
    whole = document(report)
    kept = ("run", "validation", "verdict", "reason", "system", "dataset", "rows", "counts")
    findings = [finding_document(item) for item in report.findings[:MAX_FINDINGS_IN_EVIDENCE]]
    return {
        **{name: whole[name] for name in kept},
        "cause": str(report.evidence.get("cause", Cause.NONE)),
        "findings": findings,
    }


def finding_document(finding: Finding) -> dict[str, object]:
    """One finding as JSON."""
    return {
        "rule": finding.rule,
        "key": dict(finding.key),
        "field": finding.field,
        "value": finding.value,
        "problem": dict(finding.problem),
    }


def document(report: ValidationReport) -> dict[str, object]:
    """The document of `validate run --json` and of the API."""
    return {
        "run": report.run,
        "validation": report.validation,
        "verdict": str(report.verdict),
        "reason": report.reason,
        "system": report.system,
        "dataset": report.dataset,
        "rows": report.rows,
        "rows_read": report.rows_read,
        "counts": dict(report.counts),
        "findings": [finding_document(item) for item in report.findings],
        "strategy": report.strategy,
        "strategy_reason": dict(report.strategy_reason),
        "bytes_read": report.bytes_read,
        "seconds": round(report.seconds, 3),
        "started_at": report.started_at.isoformat(),
        "evidence": dict(report.evidence),
    }
