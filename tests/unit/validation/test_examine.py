"""A run over rows in memory: every rule finds what it should and nothing else, and no half reading is an answer."""

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.audits import FakeSource
from tests.support.validations import NOW, broken, checked, validated, validation

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SourceUnavailable
from tillwatch.model.audit import Row
from tillwatch.model.validation import ValidationVerdict
from tillwatch.validation.outliers import Usual

GOOD: list[Row] = [
    {"sku": f"{number:03}", "name": f"商品 {number}", "price": Decimal(number)} for number in range(1, 10)
]


def test_rows_that_keep_every_rule_are_clean() -> None:
    report = checked(GOOD, {"rule": "required", "fields": ("sku", "name")}, {"rule": "unique", "field": "sku"})
    assert (report.verdict, report.rows, report.counts) == (
        ValidationVerdict.CLEAN,
        9,
        {"required-sku-name": 0, "unique-sku": 0},
    )


def test_each_row_that_breaks_a_rule_is_named_with_its_value_and_why() -> None:
    rows = [*GOOD, {"sku": "010", "name": "Ã¤", "price": Decimal("-1.50")}]
    report = checked(rows, {"rule": "encoding", "field": "name"}, {"rule": "not_negative", "field": "price"})
    assert report.verdict is ValidationVerdict.INVALID
    assert broken(report) == [("encoding-name", "010", "Ã¤"), ("not_negative-price", "010", "-1.5")]
    assert report.findings[1].problem == {"en": "less than 0", "zh": "小于 0"}
    assert report.reason == "encoding-name: 1, not_negative-price: 1"


def test_every_row_of_a_repeated_value_is_named_and_null_is_no_value() -> None:
    rows: list[Row] = [
        {"sku": sku, "shop": shop} for sku, shop in [("1", "a"), ("1", "b"), ("1", "b"), (None, "b"), (None, "b")]
    ]
    report = checked(rows, {"rule": "unique", "fields": ("sku", "shop")}, key=("sku", "shop"))
    assert broken(report) == [("unique-sku-shop", "1/b", "1, b")] * 2
    assert report.findings[0].problem["en"] == "stands there 2 times"


def test_numbers_that_are_equal_are_one_value() -> None:
    rows: list[Row] = [{"sku": Decimal("1.0")}, {"sku": Decimal("1.00")}, {"sku": "2"}]
    assert checked(rows, {"rule": "unique", "field": "sku"}).broken == 2


def till(rows: list[Row], **others: list[Row]) -> FakeSource:
    return FakeSource("till", {"stock": rows, **others})


def test_a_reference_must_exist_in_the_other_system() -> None:
    spec = validation(
        {"rule": "reference", "field": "sku", "to": {"system": "erp", "dataset": "products", "fields": ("code",)}}
    )
    erp = FakeSource("erp", {"products": [{"code": f"{number:03} "} for number in range(2, 10)]})
    assert broken(validated(spec, till(GOOD), erp)) == [("reference-sku", "001", "001")]


LINES = {
    "rule": "sum",
    "field": "price",
    "lines": {"dataset": "lines", "field": "quantity", "times": "unit", "key": ("product",)},
}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([("1", "0.1"), ("1", "0.2")], None),
        ([("3", "0.1")], None),
        ([("3", "0.1003")], None),
        ([("3", "0.11")], "its lines add up to 0.33"),
        ([], "there are no lines"),
        ([("x", "1")], "a line is not a decimal"),
        ([(None, "1")], "a line is not a decimal"),
    ],
)
def test_lines_must_add_up_to_their_header(lines: list[tuple[str, str]], problem: str | None) -> None:
    spec = validation({**LINES, "tolerance": Decimal("0.001")})
    rows: list[Row] = [{"sku": "001", "price": Decimal("0.3")}]
    of_lines: list[Row] = [{"product": "001", "quantity": quantity, "unit": unit} for quantity, unit in lines]
    report = validated(spec, till(rows, lines=of_lines))
    assert [finding.problem["en"] for finding in report.findings] == ([] if problem is None else [problem])


def test_a_price_far_from_the_others_of_its_product_is_an_outlier() -> None:
    rows: list[Row] = [
        {"sku": f"{sku}-{number}", "product": sku, "price": Decimal(price) + Decimal(number) / 100}
        for sku, price in (("apple", "5"), ("wine", "500"))
        for number in range(20)
    ]
    rows.append({"sku": "wrong", "product": "apple", "price": Decimal(500)})
    by_product = checked(rows, {"rule": "outlier", "field": "price", "by": ("product",)})
    assert broken(by_product) == [("outlier-price", "wrong", "500")]
    assert "usual is 5.1" in by_product.findings[0].problem["en"]


def test_a_whole_dataset_that_moved_is_seen_against_its_history() -> None:
    rule = {"rule": "outlier", "field": "price", "against": "history"}
    spec = validation(rule)
    history = {"outlier-price": (Usual(median=5.0, spread=3.0, values=9),) * 5}
    assert validated(spec, till(GOOD), history=history).verdict is ValidationVerdict.CLEAN
    moved: list[Row] = [{**row, "price": row["price"] * 100} for row in GOOD]  # type: ignore[operator]
    assert validated(spec, till(moved)).verdict is ValidationVerdict.CLEAN
    assert validated(spec, till(moved), history=history).broken == 9
    assert validated(spec, till(moved)).evidence["usual"] == {
        "outlier-price": {"median": 500.0, "spread": 296.52, "values": 9}
    }


def test_a_row_that_was_on_its_way_is_cleared_and_one_that_is_not_stays() -> None:
    spec = validation(
        {"rule": "reference", "field": "sku", "to": {"system": "erp", "dataset": "products"}},
        settle=timedelta(seconds=5),
    )
    erp = FakeSource("erp", {"products": [{"sku": row["sku"]} for row in GOOD[2:]]})
    erp.before = lambda number: number == 2 and erp.datasets["products"].append({"sku": "001"})
    clock = ManualClock()
    report = validated(spec, till(GOOD), erp, clock=clock)
    assert broken(report) == [("reference-sku", "002", "002")]
    assert (report.evidence, clock.monotonic()) == ({"suspects": 2, "cleared": 1}, 5.0)


def test_a_row_that_was_corrected_meanwhile_is_cleared() -> None:
    spec = validation({**LINES, "lines": {"dataset": "lines", "field": "price"}}, settle=timedelta(seconds=5))
    rows: list[Row] = [{"sku": "001", "price": Decimal(1)}]
    source = till(rows, lines=[{"sku": "001", "price": Decimal(2)}])
    source.before = lambda number: number == 3 and rows[0].__setitem__("price", Decimal(2))  # type: ignore[attr-defined]
    assert validated(spec, source).verdict is ValidationVerdict.CLEAN


def test_the_counts_are_complete_whatever_is_kept() -> None:
    rows: list[Row] = [{"sku": str(number), "price": "x"} for number in range(50)]
    report = checked(rows, {"rule": "not_negative", "field": "price"}, {"rule": "unique", "field": "price"}, keep=3)
    assert report.counts == {"not_negative-price": 50, "unique-price": 50}
    assert len(report.findings) == 6


def test_a_system_that_does_not_answer_is_a_failed_run_with_its_cause() -> None:
    source = till(GOOD)

    def away(number: int) -> None:  # noqa: ARG001
        raise SourceUnavailable("nobody is there", cause=Cause.TCP)

    source.before = away
    report = validated(validation({"rule": "required", "field": "sku"}), source)
    assert (report.verdict, report.counts, report.evidence) == (ValidationVerdict.FAILED, {}, {"cause": "tcp"})
    assert report.reason == "till.stock: nobody is there"


def test_a_reading_its_own_count_speaks_against_is_done_again_and_then_inconclusive() -> None:
    spec = validation({"rule": "not_negative", "field": "price"})
    source = till([{"sku": "1", "price": Decimal(-1)}])
    source.counts = {1: 5}
    assert validated(spec, source).counts == {"not_negative-price": 1}
    source.counts = {3: 5, 4: 5}
    report = validated(spec, source)
    assert (report.verdict, report.findings) == (ValidationVerdict.INCONCLUSIVE, ())
    assert "till.stock counts 5 rows, 1 arrived" in report.reason


def test_a_field_that_is_not_there_is_named() -> None:
    report = checked(GOOD, {"rule": "required", "field": "colour"})
    assert (report.verdict, report.reason) == (ValidationVerdict.FAILED, "till.stock: a row has no field 'colour'")


def test_text_no_store_can_hold_is_found_and_kept_in_a_form_it_can() -> None:
    report = checked(
        [{"sku": "\ud83d", "name": "a\x00"}],
        {"rule": "encoding", "fields": ("sku", "name")},
        {"rule": "unique", "field": "sku"},
    )
    assert broken(report) == [("encoding-sku-name", "\\ud83d", "\\ud83d"), ("encoding-sku-name", "\\ud83d", "a\\x00")]


def test_the_clock_that_judges_the_future_is_passed_in() -> None:
    rows: list[Row] = [{"sku": "1", "at": NOW}, {"sku": "2", "at": NOW + timedelta(hours=1)}]
    assert broken(checked(rows, {"rule": "not_future", "field": "at"}))[0][1] == "2"
