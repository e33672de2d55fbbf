"""Which alerts a report raises and resolves, and that they are about the right thing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support.audits import chain
from tests.support.validations import validation

from tillwatch.model.alert import AlertState
from tillwatch.model.validation import Finding, ValidationReport, ValidationVerdict
from tillwatch.validation.verdict import MAX_FINDINGS_IN_EVIDENCE, alerts, evidence

SPEC = validation({"rule": "required", "field": "sku"}, name={"en": "Till stock", "zh": "门店库存"})
CONFIG = replace(chain(), validations=(SPEC,))
FINDING = Finding(rule="required-sku", key={"sku": None}, field="sku", value=None, problem={"en": "no value"})
REPORT = ValidationReport(
    run=3,
    validation="stock",
    verdict=ValidationVerdict.INVALID,
    reason="required-sku: 30",
    system="till",
    dataset="stock",
    rows=100,
    counts={"required-sku": 30},
    findings=(FINDING,) * 30,
    started_at=datetime(2026, 11, 24, 3, tzinfo=UTC),
    seconds=2.0,
)


@pytest.mark.parametrize(
    ("verdict", "in_vain", "states"),
    [
        ("clean", 0, {"DataInvalid": "resolved", "ValidationInconclusive": "resolved"}),
        ("invalid", 0, {"DataInvalid": "firing", "ValidationInconclusive": "resolved"}),
        ("failed", 1, {}),
        ("failed", 2, {"ValidationInconclusive": "firing"}),
        ("inconclusive", 2, {"ValidationInconclusive": "firing"}),
    ],
)
def test_only_a_clean_run_resolves_what_an_invalid_one_raised(
    verdict: str, in_vain: int, states: dict[str, str]
) -> None:
    report = replace(REPORT, verdict=ValidationVerdict(verdict))
    found = alerts(report, SPEC, CONFIG, in_vain=in_vain)
    assert {alert.name: AlertState.RESOLVED if alert.ends_at else AlertState.FIRING for alert in found} == states


def test_an_alert_is_about_the_system_and_its_shop_and_says_what_in_both_languages() -> None:
    alert = alerts(REPORT, SPEC, CONFIG, in_vain=0)[0]
    assert dict(alert.labels) == {
        "alertname": "DataInvalid",
        "severity": "warning",
        "validation": "stock",
        "system": "till",
        "site": "chaoyang",
    }
    assert alert.annotations["summary"] == ("Till stock: 30 violations among 100 rows of till.stock (required-sku: 30)")
    assert alert.annotations["summary_zh"] == "门店库存：till.stock 的 100 行中有 30 处不合规（required-sku: 30）"


def test_an_interface_is_named_when_one_is_declared() -> None:
    spec = SPEC.model_copy(update={"interface": "stock-chaoyang"})
    assert alerts(REPORT, spec, CONFIG, in_vain=0)[0].labels["interface"] == "stock-chaoyang"


def test_an_incident_keeps_the_first_rows() -> None:
    findings = evidence(REPORT)["findings"]
    assert isinstance(findings, list)
    assert len(findings) == MAX_FINDINGS_IN_EVIDENCE
    assert findings[0] == {
        "rule": "required-sku",
        "key": {"sku": None},
        "field": "sku",
        "value": None,
        "problem": {"en": "no value"},
    }
