"""How much drift raises no alert, and that it is told all the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError
from tests.support.audits import chain, compared, stock, stock_audit
from tests.unit.audit.test_verdict import REPORT, SPEC, START

from tillwatch.audit.sentences import reason
from tillwatch.audit.thresholds import judged
from tillwatch.audit.verdict import Counts, alerts, document
from tillwatch.config.schema import Thresholds
from tillwatch.model.alert import AlertState
from tillwatch.model.audit import AuditReport, Verdict

CONFIG = chain(SPEC)
WITHIN = replace(REPORT, evidence={"thresholds": {"rows": 30, "value": None, "within": True}})
LEFT = stock(("1", "1", "10"), ("2", "2", "10"), ("3", "3", "10"))
RIGHT = stock(("1", "1", "10"), ("2", "3", "10"), ("3", "5", "10"))
#: Two rows, 10 and 20 at risk.
VALUE = "abs(left.quantity - right.quantity) * left.price"


def drift(report: AuditReport) -> AlertState | None:
    found = {alert.name: alert.state(START + timedelta(minutes=1)) for alert in alerts(report, SPEC, CONFIG, in_vain=0)}
    return found.get("Drift")


@pytest.mark.parametrize(
    ("rows", "value", "within"),
    [(2, None, True), (1, None, False), (None, "30", True), (None, "29.99", False), (2, "30", True), (1, "30", False),
     (2, "29.99", False), (0, None, False)],
)  # fmt: skip
def test_every_limit_that_is_declared_must_hold(rows: int | None, value: str | None, within: bool) -> None:
    limits = Thresholds(rows=rows, value=None if value is None else Decimal(value))
    report = compared(LEFT, RIGHT, stock_audit(value=VALUE, thresholds=limits))
    assert (report.verdict, report.changed, report.value_at_risk) == (Verdict.DRIFT, 2, Decimal(30))
    assert report.tolerated is within
    assert document(report)["within_thresholds"] is within
    assert ("within thresholds" if within else "beyond thresholds") in report.reason


def test_a_clean_run_and_an_audit_without_thresholds_say_nothing_of_them() -> None:
    limits = Thresholds(rows=5)
    clean, plain = compared(LEFT, LEFT, stock_audit(thresholds=limits)), compared(LEFT, RIGHT)
    assert "thresholds" not in clean.evidence
    assert "thresholds" not in plain.evidence
    assert not clean.tolerated
    assert not plain.tolerated
    assert clean.reason == "both sides agree"


def test_money_that_measures_nothing_is_within_no_limit_of_money() -> None:
    counts = Counts(missing=0, extra=0, changed=1, unsettled=0, late=0, unreadable=0)
    assert judged(Thresholds(value=Decimal(1)), counts, Decimal(0), priced=False)[0]["within"] is False
    assert judged(Thresholds(rows=1), counts, Decimal(0), priced=False)[0]["within"] is True


def test_drift_within_thresholds_raises_no_alert_and_ends_one() -> None:
    assert drift(REPORT) is AlertState.FIRING
    assert drift(WITHIN) is AlertState.RESOLVED


@pytest.mark.parametrize(
    "undecided", [{"unsettled": 1}, {"late": 1}, {"evidence": {**WITHIN.evidence, "unreadable_left": {"count": 1}}}]
)
def test_while_rows_are_undecided_it_neither_raises_nor_ends_an_alert(undecided: dict[str, object]) -> None:
    assert drift(replace(WITHIN, **undecided)) is None  # type: ignore[arg-type]


def test_the_alert_that_ends_says_in_both_languages_that_rows_still_differ() -> None:
    ended = alerts(WITHIN, SPEC, CONFIG, in_vain=0)[0]
    assert ended.annotations["summary"].endswith("75.15 CNY at risk; within thresholds")
    assert ended.annotations["summary_zh"].endswith("75.15 CNY；在允许范围内")


def test_a_limit_says_something_and_a_limit_of_money_needs_a_price() -> None:
    with pytest.raises(ValidationError, match="say how much drift raises no alert"):
        Thresholds()
    with pytest.raises(ValidationError, match="differences have no price"):
        stock_audit(thresholds=Thresholds(value=Decimal(1)))


def test_the_owner_is_a_label_of_every_alert_and_stands_in_the_report() -> None:
    owned = SPEC.model_copy(update={"owner": "finance"})
    for verdict in Verdict:
        for alert in alerts(replace(REPORT, verdict=verdict), owned, CONFIG, in_vain=2):
            assert alert.labels["owner"] == "finance"
    assert all("owner" not in alert.labels for alert in alerts(REPORT, SPEC, CONFIG, in_vain=2))
    assert document(compared(LEFT, RIGHT, stock_audit(owner="finance")))["owner"] == "finance"


def test_the_reason_says_it_in_chinese_too() -> None:
    limits = Thresholds(rows=2, value=Decimal(30))
    report = compared(LEFT, RIGHT, stock_audit(value=VALUE, thresholds=limits))
    assert reason(report.reason, "zh-CN") == "缺失 0，多余 0，不一致 2；在允许范围内（最多 2 行，涉及金额最多 30.00）"
