"""Rows that are all off by the same step are told in one sentence."""

from zoneinfo import ZoneInfo

import pytest
from tests.support.audits import FakeSource, audited, stock, stock_audit

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.systematic import MIN_ROWS, hint
from tillwatch.model.audit import Difference, DifferenceKind

_RULES = [
    Rule(name=name, type=kind, zone=ZoneInfo("UTC"))
    for name, kind in (("sold_at", FieldType.TIMESTAMP), ("price", FieldType.DECIMAL), ("name", FieldType.TEXT))
]


def _rows(field: str, *pairs: tuple[str | None, str | None]) -> list[Difference]:
    return [
        Difference(
            kind=DifferenceKind.CHANGED, key={"sku": str(number)}, left={field: left}, right={field: right},
            fields=(field,),
        )
        for number, (left, right) in enumerate(pairs)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "by"),
    [
        ("2026-11-24T04:00:00.000000Z", "+1 h"),
        ("2026-11-24T02:30:00.000000Z", "-30 min"),
        ("2026-11-24T03:00:00.000001Z", "+0.000001 s"),
        ("2026-11-24T03:00:01.500000Z", "+1.5 s"),
    ],
)
def test_all_rows_shifted_in_time_are_one_fault(right: str, by: str) -> None:
    found = hint(_rows("sold_at", *[("2026-11-24T03:00:00.000000Z", right)] * MIN_ROWS), _RULES)
    assert found["en"] == f"all 5 differing rows differ by {by} in sold_at: one cause, not single rows"
    assert found["zh"] == f"全部 5 行差异都是 sold_at 相差 {by}：是同一个原因，而不是个别行的问题"


def test_prices_that_moved_by_the_same_amount_are_one_fault() -> None:
    found = hint(_rows("price", *[(f"{number}.00", f"{number}.10") for number in range(9)]), _RULES)
    assert "all 9 differing rows differ by +0.10 in price" in found["en"]


@pytest.mark.parametrize(
    "rows",
    [
        _rows("price", *[("1.00", "1.10")] * (MIN_ROWS - 1)),
        _rows("price", *[("1.00", "1.10")] * MIN_ROWS, ("1.00", "1.20")),
        _rows("price", *[("1.00", "1.10")] * MIN_ROWS, ("1.00", None)),
        _rows("price", *[("1.00", "1,10")] * MIN_ROWS),
        _rows("name", *[("1", "2")] * MIN_ROWS),
        [*_rows("price", *[("1.00", "1.10")] * MIN_ROWS), *_rows("sold_at", ("1.00", "1.10"))],
        [
            *_rows("price", *[("1.00", "1.10")] * MIN_ROWS),
            Difference(kind=DifferenceKind.MISSING, key={"sku": "x"}, left={"price": "1"}, right=None),
        ],
        [],
    ],
    ids=["few", "another step", "no value", "unreadable", "text", "another field", "a missing row", "none"],
)
def test_what_has_no_step_in_common_gets_no_hint(rows: list[Difference]) -> None:
    assert hint(rows, _RULES) == {}


def test_an_audit_says_so_in_both_languages_in_its_report() -> None:
    left = stock(*[(f"{number:03}", "1", f"{number}.00") for number in range(20)])
    right = stock(*[(f"{number:03}", "1", f"{number}.10") for number in range(20)])
    report = audited(FakeSource("erp", {"stock": left}), FakeSource("till", {"stock": right}), stock_audit())
    assert report.changed == 20
    assert report.evidence["systematic"] == hint(report.differences, [_RULES[1]])
