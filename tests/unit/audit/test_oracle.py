"""The audit against a naive comparison in memory, on whatever rows hypothesis comes up with."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.audits import FakeSource, audited, stock_audit

from tillwatch.config.schema import Field
from tillwatch.model.audit import Row, Verdict

FIELDS = {
    "quantity": Field(type="decimal", scale=2),
    "price": Field(type="decimal", scale=2, tolerance=Decimal("0.01")),
    "name": Field(type="text"),
}
SPEC = stock_audit(fields=FIELDS, value="coalesce(left.price, 0) + coalesce(right.price, 0)")

numbers = st.none() | st.decimals(min_value=-3, max_value=3, places=3)
# Few distinct keys, so that sides meet, and separators and quotes, so that badly joined values would collide.
rows = st.fixed_dictionaries(
    {
        "sku": st.text(alphabet='0a"\\,\x1f牛', min_size=1, max_size=2),
        "quantity": numbers,
        "price": numbers,
        "name": st.none() | st.text(alphabet='"a\\,\x00\x1f牛', max_size=2),
    }
)
sides = st.lists(rows, max_size=12)


def cents(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def differing(left: Row, right: Row) -> set[str]:
    fields = {name for name in ("quantity",) if cents(left[name]) != cents(right[name])}
    one, other = cents(left["price"]), cents(right["price"])
    if (one is None) != (other is None) or (
        one is not None and other is not None and abs(one - other) > Decimal("0.01")
    ):
        fields.add("price")
    return fields | ({"name"} if left["name"] != right["name"] else set())


def by_key(side: list[Row]) -> Mapping[str, Row]:
    return {str(row["sku"]).strip(): row for row in side}


@settings(max_examples=120, deadline=None)
@given(sides, sides, st.booleans())
def test_the_audit_finds_what_a_naive_comparison_finds(left: list[Row], right: list[Row], settle: bool) -> None:
    spec = SPEC.model_copy(update={"settle": timedelta(seconds=1)}) if settle else SPEC
    report = audited(FakeSource("erp", {"stock": left}), FakeSource("till", {"stock": right}), spec)
    for side in (left, right):
        if max(Counter(str(row["sku"]).strip() for row in side).values(), default=0) > 1:
            assert report.verdict is Verdict.FAILED
            assert "more than once" in report.reason
            return
    one, other = by_key(left), by_key(right)
    expected: dict[str, tuple[str, set[str]]] = {}
    for key in one.keys() | other.keys():
        if key not in other:
            expected[key] = ("missing", set())
        elif key not in one:
            expected[key] = ("extra", set())
        elif fields := differing(one[key], other[key]):
            expected[key] = ("changed", fields)
    assert {row.key["sku"]: (row.kind.value, set(row.fields)) for row in report.differences} == expected
    assert report.verdict is (Verdict.DRIFT if expected else Verdict.CLEAN)
    assert Counter(kind for kind, _ in expected.values()) == Counter(
        {"missing": report.missing, "extra": report.extra, "changed": report.changed}
    )
    worth = sum(
        (abs((cents((one.get(key) or {}).get("price")) or 0) + (cents((other.get(key) or {}).get("price")) or 0)))
        for key in expected
    )
    assert report.value_at_risk == worth


@settings(max_examples=30, deadline=None)
@given(sides, st.randoms())
def test_a_shuffled_copy_is_clean(side: list[Row], random: object) -> None:
    side = list(by_key(side).values())
    shuffled = list(side)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        audited(FakeSource("erp", {"stock": side}), FakeSource("till", {"stock": shuffled}), SPEC).verdict
        is Verdict.CLEAN
    )
