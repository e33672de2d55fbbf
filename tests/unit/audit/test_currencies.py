"""Amounts of different currencies are never equal, and the report says it in words of their own."""

import csv
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audits import ZONE, FakeSource, FakeSources, audited, chain, compared, stock_audit

from tillwatch.audit.currencies import currencies_of, minor_units
from tillwatch.audit.declare import declare
from tillwatch.audit.runner import AuditRunner
from tillwatch.audit.sentences import reason
from tillwatch.audit.verdict import alerts
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Audit, Field, Side, Thresholds
from tillwatch.errors import UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import DifferenceKind, Row, Verdict
from tillwatch.store.db import Database


def audit(*, left: dict[str, str] | None = None, right: dict[str, str] | None = None, **changes: Any) -> Audit:
    values: dict[str, Any] = {
        "left": Side(system="erp", dataset="stock", currencies=left or {}),
        "right": Side(system="till", dataset="stock", currencies=right or {}),
        "fields": {"amount": Field(type="decimal", scale=2, currency="currency")},
        "value": "abs(coalesce(left.amount, 0) - coalesce(right.amount, 0))",
    }
    return stock_audit(**(values | changes))


def row(sku: str, amount: str, currency: str | None = None) -> Row:
    return {"sku": sku, "amount": amount} | ({} if currency is None else {"currency": currency})


def test_the_same_number_in_another_currency_is_a_difference_of_the_currency() -> None:
    report = compared(
        [row("1", "5", "CNY"), row("2", "5", "CNY")], [row("1", "5.00", " CNY"), row("2", "5", "USD")], audit()
    )
    assert (report.verdict, report.changed) == (Verdict.DRIFT, 1)
    (found,) = report.differences
    assert (found.kind, found.key, found.fields) == (DifferenceKind.CHANGED, {"sku": "2"}, ("currency",))
    assert (found.left, found.right) == (
        {"amount": "5.00", "currency": "CNY"},
        {"amount": "5.00", "currency": "USD"},
    )
    assert report.reason == "0 missing, 0 extra, 1 changed; 1 rows stand in another currency"
    assert reason(report.reason, "zh-CN") == "缺失 0，多余 0，不一致 1；1 行的币种不同"
    assert report.evidence["other_currency"] == {"rows": 1, "fields": ["currency"]}


def test_a_tolerance_does_not_bridge_two_currencies_and_no_currency_is_not_any() -> None:
    fields = {"amount": Field(type="decimal", tolerance=Decimal(100), currency="currency")}
    left = [row("1", "5", "CNY"), row("2", "5", "CNY"), row("3", "5", "")]
    right = [row("1", "9", "USD"), row("2", "9", "CNY"), row("3", "5", "CNY")]
    assert [one.key["sku"] for one in compared(left, right, audit(fields=fields)).differences] == ["1", "3"]


def test_a_side_whose_rows_hold_no_currency_is_in_the_one_it_declares() -> None:
    left = [row("1", "5", "CNY"), row("2", "5", "USD"), row("3", "1", "CNY")]
    right = [row("1", "5"), row("2", "5"), row("4", "1")]
    report = compared(left, right, audit(right={"amount": "CNY"}))
    assert [(one.kind.value, one.key["sku"], one.fields) for one in report.differences] == [
        ("changed", "2", ("currency",)),
        ("missing", "3", ()),
        ("extra", "4", ()),
    ]
    assert report.strategy == "stream"
    mirrored = compared(right, left, audit(left={"amount": "CNY"}))
    assert (mirrored.missing, mirrored.extra, mirrored.changed) == (1, 1, 1)


def test_it_is_asked_for_where_rows_hold_it_and_nowhere_else() -> None:
    left, right = FakeSource("erp", {"stock": [row("1", "5", "CNY")]}), FakeSource("till", {"stock": [row("1", "5")]})
    assert audited(left, right, audit(right={"amount": "CNY"})).verdict is Verdict.CLEAN
    assert audited(left, right, audit()).verdict is Verdict.FAILED, "rows without the field say nothing"


CODES = st.sampled_from(["CNY", "USD", "JPY", "EUR"])
AMOUNTS = st.decimals(0, 3, places=2).map(str)
ROWS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(AMOUNTS, CODES), max_size=6)


@given(ROWS, ROWS)
def test_rows_are_equal_exactly_when_amount_and_currency_are(
    left: dict[str, tuple[str, str]], right: dict[str, tuple[str, str]]
) -> None:
    report = compared(
        [row(sku, *one) for sku, one in left.items()], [row(sku, *one) for sku, one in right.items()], audit()
    )
    differing = {sku for sku in left.keys() | right.keys() if left.get(sku) != right.get(sku)}
    assert {one.key["sku"] for one in report.differences} == differing


@pytest.mark.parametrize(
    ("code", "places"), [("CNY", 2), ("USD", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("TND", 3), ("CLF", 4)]
)
def test_a_code_gives_the_scale_where_none_is_written(code: str, places: int) -> None:
    fields = {"amount": Field(type="decimal", currency=code), "net": Field(type="decimal", scale=6, currency=code)}
    declared = declare(audit(fields=fields, value=""), ZONE)
    assert [(rule.name, rule.scale) for rule in declared.fields] == [("amount", places), ("net", 6)]
    assert minor_units(code) == places
    assert not declared.shaped


def test_a_currency_field_gives_no_scale() -> None:
    declared = declare(audit(fields={"amount": Field(type="decimal", currency="currency")}), ZONE)
    assert [(rule.name, rule.scale) for rule in declared.fields] == [("amount", None), ("currency", None)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (audit(left={"amount": "CNY"}, right={"amount": "USD"}), "fields.amount: CNY and USD are never equal"),
        (audit(fields={"amount": Field(type="decimal", currency="RMB")}), "'RMB' is no ISO 4217 currency"),
        (audit(fields={"amount": Field(type="decimal")}, left={"amount": "CNY"}), "the right side is not said"),
        (audit(right={"amount": "waers"}), "its currency is called currency and waers"),
        (audit(left={"price": "CNY"}), "left.currencies: price is not among the fields"),
        (audit(left={"amount": "CNY"}, key=("sku", "currency")), "currency is part of the key"),
        (
            audit(
                fields={name: Field(type="decimal", currency="currency") for name in ("amount", "tax")},
                left={"amount": "CNY", "tax": "USD"},
            ),
            "currency would be CNY and USD",
        ),
        (
            audit(left=None, right=None).model_copy(
                update={"left": Side(system="erp", dataset="stock", aggregate={"amount": "sum", "currency": "min"})}
            ),
            "amount may stand in several currencies in one group; make currency part of the key",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_currencies_that_cannot_be_compared_are_refused(spec: Audit, said: str) -> None:
    with pytest.raises(UsageError, match="audit 'stock': ") as caught:
        declare(spec, ZONE)
    assert said in str(caught.value)


def test_currencies_in_the_key_let_the_lines_of_each_be_added() -> None:
    left = Side(system="erp", dataset="stock", aggregate={"amount": "sum"})
    spec = audit().model_copy(update={"left": left, "key": ("sku", "currency")})
    lines = [row("1", "2", "CNY"), row("1", "3", "CNY"), row("1", "4", "USD")]
    assert compared(lines, [row("1", "5", "CNY"), row("1", "4", "USD")], spec).verdict is Verdict.CLEAN
    assert compared(lines, [row("1", "9", "CNY")], spec).verdict is Verdict.DRIFT


def test_an_audit_without_currencies_asks_nothing_of_them() -> None:
    found = currencies_of(stock_audit())
    assert (found.fields, found.scales) == ((), {})


def test_no_limit_of_money_tolerates_another_currency() -> None:
    left, right = [row("1", "5", "CNY")], [row("1", "5", "USD")]
    by_money, by_rows = Thresholds(value=Decimal(1000)), Thresholds(rows=1)
    assert not compared(left, right, audit(thresholds=by_money)).tolerated
    assert compared(left, right, audit(thresholds=by_rows)).tolerated


def test_alert_and_file_say_another_currency(sqlite_database: Database, clock: ManualClock) -> None:
    spec = audit()
    config = chain(spec)
    sources = FakeSources(
        FakeSource("erp", {"stock": [row("1", "5", "CNY")]}), FakeSource("till", {"stock": [row("1", "5", "USD")]})
    )
    runner = AuditRunner(config, sources, database=sqlite_database, clock=clock, metrics=Metrics())
    report = replace(runner.run("stock"))
    told = alerts(report, spec, config, in_vain=0)[0].annotations
    assert "(0 missing, 0 extra, 1 changed; 1 in another currency)" in told["summary"]
    assert "（缺失 0，多余 0，不一致 1；其中 1 行币种不同）" in told["summary_zh"]
    for language, words in (("en", "currency (another currency)"), ("zh", "currency (币种不同)")):
        with runner.export(report.run, "csv", language=language) as file:
            table = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"))))
        assert words in table[1]
    runner.stop()
