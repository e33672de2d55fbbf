"""What a run found, summed up by a field of the rows."""

from decimal import Decimal

import pytest
from tests.support.audits import compared, stock_audit

from tillwatch.audit import categories
from tillwatch.audit.categories import Categories
from tillwatch.config.schema import Field
from tillwatch.model.audit import Difference, DifferenceKind, Row

SPEC = stock_audit(
    fields={"quantity": Field(type="decimal", scale=2)}, category="family", value="coalesce(left.quantity, 0)"
)
LEFT: list[Row] = [
    {"sku": "1", "quantity": "1", "family": " dairy "},
    {"sku": "2", "quantity": "2", "family": "dairy"},
    {"sku": "3", "quantity": "9", "family": "蔬菜"},
    {"sku": "4", "quantity": "4", "family": None},
    {"sku": "5", "quantity": "5", "family": "equal on both sides"},
]
RIGHT: list[Row] = [{"sku": "5", "quantity": "5"}, {"sku": "2", "quantity": "7"}, {"sku": "6", "quantity": "1"}]


def test_differences_are_summed_by_the_category_of_the_side_of_truth_the_most_money_first() -> None:
    report = compared(LEFT, RIGHT, SPEC)
    assert report.evidence["by_category"] == {
        "field": "family",
        "groups": [
            {"category": "蔬菜", "rows": 1, "value_at_risk": "9.00"},
            # A row without a category, and one that only the right side has.
            {"category": "", "rows": 2, "value_at_risk": "4.00"},
            {"category": "dairy", "rows": 2, "value_at_risk": "3.00"},
        ],
    }


def test_another_category_alone_is_no_difference() -> None:
    moved = [{**row, "family": "moved"} for row in LEFT]
    assert compared(LEFT, [dict(row) for row in moved], SPEC).verdict == "clean"


def test_a_category_that_is_compared_is_known_of_extra_rows_too() -> None:
    spec = stock_audit(fields={"family": Field(type="text")}, category="family")
    assert compared([], [{"sku": "9", "family": "tea"}], spec).evidence["by_category"] == {
        "field": "family",
        "groups": [{"category": "tea", "rows": 1, "value_at_risk": "0.00"}],
    }


def test_without_a_category_or_without_differences_nothing_is_said() -> None:
    assert "by_category" not in compared(LEFT, RIGHT, SPEC.model_copy(update={"category": ""})).evidence
    assert "by_category" not in compared(LEFT, LEFT, SPEC).evidence


def test_what_has_too_many_values_is_still_counted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categories, "MAX_COUNTED", 4)
    monkeypatch.setattr(categories, "MAX_KEPT", 2)
    counted = Categories(name="family")
    for number in range(1, 7):
        counted.add(
            Difference(
                kind=DifferenceKind.MISSING,
                key={"sku": str(number)},
                left={"family": f"f{number}"},
                right=None,
                value_at_risk=Decimal(number),
            )
        )
    assert counted.document() == {
        "field": "family",
        "groups": [
            {"category": "f4", "rows": 1, "value_at_risk": "4.00"},
            {"category": "f3", "rows": 1, "value_at_risk": "3.00"},
        ],
        "others": {"rows": 4, "value_at_risk": "14.00"},
    }
