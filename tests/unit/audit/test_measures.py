"""Units are converted exactly, and what cannot be compared is refused with a suggestion."""

from decimal import Decimal

import pytest
from tests.support.audits import FakeSource, FakeSources, chain, stock_audit

from tillwatch.audit.declare import declare
from tillwatch.audit.measures import factor, measure
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.errors import UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Verdict
from tillwatch.store.db import Database


@pytest.mark.parametrize(
    ("of", "to", "expected"),
    [
        ("g", "kg", "0.001"),
        ("kg", "g", "1000"),
        ("斤", "kg", "0.5"),
        ("两", "斤", "0.1"),
        ("24 pcs", "pcs", "24"),
        ("打", "件", "12"),
        ("0.75 l", "ml", "750"),
        ("kg", "kg", "1"),
    ],
)
def test_factors_are_exact(of: str, to: str, expected: str) -> None:
    assert factor(of, to) == Decimal(expected)


@pytest.mark.parametrize(
    ("of", "to", "said"),
    [
        ("kgs", "kg", "unknown unit 'kgs'; did you mean 'kg'"),
        ("kg", "l", "'kg' is a mass and 'l' a volume"),
        ("pcs", "dozen", "no exact decimal form"),
        ("0 pcs", "pcs", "nothing of a unit"),
        ("", "kg", "not a unit"),
        ("12", "kg", "not a unit"),
    ],
)
def test_what_cannot_be_compared_is_refused(of: str, to: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        factor(of, to)


def test_a_number_of_units_is_a_measure_of_its_own() -> None:
    assert measure("24 pcs").size == Decimal(24)


def audit(**more: object) -> Audit:
    quantity = Field(type="decimal", scale=3, unit="kg")
    values = {"fields": {"quantity": quantity}, "right": Side(system="till", dataset="stock", units={"quantity": "g"})}
    return stock_audit(**{**values, **more})


def test_a_till_that_counts_grams_agrees_with_an_erp_that_counts_kilograms(
    sqlite_database: Database, clock: ManualClock
) -> None:
    left = FakeSource("erp", {"stock": [{"sku": "1", "quantity": "1.250"}, {"sku": "2", "quantity": "0.5"}]})
    right = FakeSource("till", {"stock": [{"sku": "1", "quantity": 1250}, {"sku": "2", "quantity": 501}]})
    runner = AuditRunner(
        chain(audit()), FakeSources(left, right), database=sqlite_database, clock=clock, metrics=Metrics()
    )
    report = runner.run("stock")
    runner.stop()
    assert report.verdict is Verdict.DRIFT
    [difference] = report.differences
    assert (difference.left, difference.right) == ({"quantity": "0.500"}, {"quantity": "0.501"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fields": {"quantity": Field(type="decimal")}}, "say in which unit it is compared"),
        ({"fields": {"quantity": Field(type="decimal", unit="kilo")}}, "unknown unit 'kilo'"),
        ({"strategy": "digest"}, "rows are streamed"),
    ],
)
def test_units_that_make_no_sense_are_told_with_the_audit_and_the_key(more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        declare(audit(**more), chain().chain.timezone)
