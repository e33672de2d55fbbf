"""What a report means, and the alerts that follow from it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.support.audits import chain, stock_audit

from tillwatch.audit.verdict import Counts, alerts, decide, document, money
from tillwatch.model.alert import Alert, AlertState
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SideReport, Verdict

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SPEC = stock_audit(
    id="stock-chaoyang", interface="stock-chaoyang", severity="critical", name={"en": "Stock", "zh": "库存"}
)
CONFIG = chain(SPEC)
ROW = Difference(
    kind=DifferenceKind.CHANGED,
    key={"sku": "001234"},
    left={"quantity": "5.0000"},
    right={"quantity": "6.0000"},
    fields=("quantity",),
    value_at_risk=Decimal("2.505"),
)
REPORT = AuditReport(
    run=7,
    audit="stock-chaoyang",
    verdict=Verdict.DRIFT,
    reason="0 missing, 0 extra, 30 changed",
    left=SideReport(system="erp", dataset="stock", rows=300),
    right=SideReport(system="till", dataset="stock", rows=300),
    changed=30,
    value_at_risk=Decimal("75.15"),
    differences=(ROW,) * 30,
    strategy="stream",
    bytes_read=1234,
    started_at=START,
    seconds=2.5,
)


def names(found: tuple[Alert, ...]) -> dict[str, AlertState]:
    return {alert.name: alert.state(START + timedelta(minutes=1)) for alert in found}


@pytest.mark.parametrize(
    ("counts", "verdict", "reason"),
    [
        ((0, 0, 0, 0, 0, 0), Verdict.CLEAN, "both sides agree"),
        ((1, 2, 3, 0, 0, 0), Verdict.DRIFT, "1 missing, 2 extra, 3 changed"),
        ((0, 0, 0, 4, 0, 0), Verdict.INCONCLUSIVE, "4 rows differ but kept moving"),
        ((0, 0, 0, 0, 0, 5), Verdict.INCONCLUSIVE, "5 values cannot be read as their declared type"),
        ((1, 0, 0, 4, 0, 0), Verdict.DRIFT, "1 missing, 0 extra, 0 changed; 4 rows differ but kept moving"),
        ((0, 0, 0, 0, 6, 0), Verdict.SYNC_LAG, "6 rows took longer to arrive than the audit allows"),
        (
            (0, 0, 0, 4, 6, 0),
            Verdict.SYNC_LAG,
            "6 rows took longer to arrive than the audit allows; 4 rows differ but kept moving",
        ),
        (
            (0, 1, 0, 0, 6, 0),
            Verdict.DRIFT,
            "0 missing, 1 extra, 0 changed; 6 rows took longer to arrive than the audit allows",
        ),
    ],
)
def test_counts_decide(counts: tuple[int, ...], verdict: Verdict, reason: str) -> None:
    keys = ("missing", "extra", "changed", "unsettled", "late", "unreadable")
    assert decide(Counts(**dict(zip(keys, counts, strict=True)))) == (verdict, reason)


def test_drift_fires_drift_and_ends_not_knowing() -> None:
    assert names(alerts(REPORT, SPEC, CONFIG, in_vain=2)) == {
        "Drift": AlertState.FIRING,
        "AuditInconclusive": AlertState.RESOLVED,
    }


def test_only_a_clean_run_resolves_drift() -> None:
    resolved = {
        verdict: names(alerts(replace(REPORT, verdict=verdict), SPEC, CONFIG, in_vain=2)).get("Drift")
        for verdict in Verdict
    }
    assert resolved == {
        Verdict.CLEAN: AlertState.RESOLVED,
        Verdict.DRIFT: AlertState.FIRING,
        Verdict.SYNC_LAG: None,
        Verdict.INCONCLUSIVE: None,
        Verdict.FAILED: None,
    }


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.FAILED])
def test_a_run_without_a_verdict_fires_a_warning_whatever_the_audits_severity(verdict: Verdict) -> None:
    (alert,) = alerts(replace(REPORT, verdict=verdict, evidence={"cause": "tcp"}), SPEC, CONFIG, in_vain=2)
    assert alert.state(START) is AlertState.FIRING
    assert alert.labels == {
        "alertname": "AuditInconclusive",
        "severity": "warning",
        "audit": "stock-chaoyang",
        "interface": "stock-chaoyang",
        "site": "chaoyang",
    }
    assert alert.annotations["cause"] == "tcp"


def test_one_run_without_a_verdict_raises_nothing_because_probes_tell_of_an_outage_first() -> None:
    failed = replace(REPORT, verdict=Verdict.FAILED)
    assert alerts(failed, SPEC, CONFIG, in_vain=1) == ()
    assert alerts(failed, SPEC.model_copy(update={"fail_after": 1}), CONFIG, in_vain=1) != ()


def test_an_alert_keeps_its_identity_while_numbers_and_reasons_change() -> None:
    first = alerts(REPORT, SPEC, CONFIG, in_vain=2)
    later = alerts(
        replace(REPORT, run=8, changed=2, reason="else", started_at=START + timedelta(hours=1)),
        SPEC,
        CONFIG,
        in_vain=2,
    )
    clean = alerts(replace(REPORT, verdict=Verdict.CLEAN), SPEC, CONFIG, in_vain=2)
    assert {a.name: a.fingerprint for a in first} == {a.name: a.fingerprint for a in later}
    identities = {a.name: a.fingerprint for a in clean}
    assert {a.name: a.fingerprint for a in first} == {name: identities[name] for name in ("Drift", "AuditInconclusive")}
    behind = alerts(replace(REPORT, verdict=Verdict.SYNC_LAG, late=3), SPEC, CONFIG, in_vain=2)
    assert {a.name: a.fingerprint for a in behind} == {
        name: identities[name] for name in ("SyncLag", "AuditInconclusive")
    }


def test_lag_fires_its_own_alert_as_a_warning_and_only_a_clean_run_ends_it() -> None:
    behind = replace(REPORT, verdict=Verdict.SYNC_LAG, changed=0, late=3, differences=())
    found = alerts(behind, SPEC, CONFIG, in_vain=2)
    assert names(found) == {"SyncLag": AlertState.FIRING, "AuditInconclusive": AlertState.RESOLVED}
    assert found[0].labels["severity"] == "warning"
    assert found[0].annotations == {
        "summary": "Stock: 3 rows took longer from erp to till than the audit allows; nothing is lost so far",
        "summary_zh": "库存：有 3 行从 erp 到 till 超过了允许的时间；目前没有数据丢失",
        "cause": "backlog",
    }
    told = {
        verdict: names(alerts(replace(behind, verdict=verdict), SPEC, CONFIG, in_vain=2)).get("SyncLag")
        for verdict in Verdict
    }
    assert told == {
        Verdict.CLEAN: AlertState.RESOLVED,
        Verdict.DRIFT: AlertState.FIRING,
        Verdict.SYNC_LAG: AlertState.FIRING,
        Verdict.INCONCLUSIVE: None,
        Verdict.FAILED: None,
    }


def test_the_summary_tells_both_languages_what_is_at_stake() -> None:
    drift = alerts(REPORT, SPEC, CONFIG, in_vain=2)[0]
    assert drift.annotations["summary"] == (
        "Stock: 30 rows differ between erp and till (0 missing, 0 extra, 30 changed), 75.15 CNY at risk"
    )
    assert drift.annotations["summary_zh"] == (
        "库存：erp 与 till 有 30 行差异（缺失 0，多余 0，不一致 30），涉及金额 75.15 CNY"
    )


def test_the_incident_gets_the_first_twenty_rows_with_both_sides() -> None:
    shown = alerts(REPORT, SPEC, CONFIG, in_vain=2)[0].evidence
    rows = shown["differences"]
    assert isinstance(rows, list)
    assert len(rows) == 20
    assert rows[0] == {
        "kind": "changed",
        "key": {"sku": "001234"},
        "left": {"quantity": "5.0000"},
        "right": {"quantity": "6.0000"},
        "fields": ["quantity"],
        "value_at_risk": "2.51",
    }
    assert (shown["run"], shown["changed"], shown["value_at_risk"]) == (7, 30, "75.15")


def test_an_audit_without_an_interface_belongs_to_the_shop_of_its_only_shop_side() -> None:
    alone = SPEC.model_copy(update={"interface": ""})
    # Both sides stand somewhere: head office and a shop; then nobody can say which one it is about.
    assert "site" not in alerts(REPORT, alone, CONFIG, in_vain=2)[0].labels


def test_the_document_has_exactly_the_promised_keys() -> None:
    promised = {"run", "audit", "verdict", "left", "right", "missing", "extra", "changed", "value_at_risk",
                "differences", "strategy", "bytes_read", "seconds", "started_at"}  # fmt: skip
    shown = document(REPORT)
    assert promised <= shown.keys()
    assert shown["verdict"] == "drift"
    assert shown["left"] == {"system": "erp", "dataset": "stock", "rows": 300}
    assert shown["value_at_risk"] == "75.15"
    assert shown["started_at"] == "2026-11-24T03:00:00+00:00"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00"), ("1E+3", "1000.00"), ("0.005", "0.01"), ("1" * 40, "1" * 40 + ".00"), ("-0.004", "0.00")],
)
def test_money_has_two_decimals(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text
