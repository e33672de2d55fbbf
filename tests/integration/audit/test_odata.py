"""An audit between an ERP's OData service and a shop's real PostgreSQL: what was planted is found, and nothing else.

The service is a stub of ours (`tests.support.odata`); the database is real.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.odata import ODataStub, StubSet
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, TwoSides, audit, fill, found, keys, postgres_store

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.schema import Field
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.odata import ODataOptions, ODataSource
from tillwatch.store.db import Database

ROWS = 2_400
STOCK = StubSet(
    name="Stock",
    key=("Shop", "Material"),
    properties={"Shop": "Edm.String", "Material": "Edm.String", "Quantity": "Edm.Decimal", "Note": "Edm.String"},
)


def row(shop: str, sku: str, quantity: str = "", note: str | None = "") -> dict[str, object]:
    note = f"商品 {sku}" if note == "" else note
    return {"Shop": shop, "Material": sku, "Quantity": quantity or f"{int(sku) / 4:.4f}", "Note": note}


@dataclass
class ErpAndShop(TwoSides):
    """Left: the service. Right: PostgreSQL."""

    service: ODataStub = field(default_factory=lambda: ODataStub(STOCK))
    dataset: dict[str, Any] = field(default_factory=lambda: {"track_changes": True})

    def source(self, system: str) -> Any:
        if system != "erp":
            return super().source(system)
        columns = {"shop": "Shop", "sku": "Material", "quantity": "Quantity", "note": "Note"}
        options = ODataOptions.model_validate(
            {
                "url": self.service.url,
                "requests_per_minute": 60_000,
                "datasets": {"stock": {"set": "Stock", "columns": columns, **self.dataset}},
            }
        )
        source = ODataSource("erp", options, clock=SystemClock(), breaker=MemoryBreaker())
        self._open.callback(source.close)
        return source

    def read(self, report: AuditReport) -> int:
        return int(str(report.evidence["rows_read"]))


@pytest.fixture
def sides(tmp_path: Path, sqlite_database: Database, clock: ManualClock, postgres: Postgres) -> Iterator[ErpAndShop]:
    service = ODataStub(STOCK)
    service.put("Stock", *(row(shop, sku) for shop, sku in keys(ROWS)))
    service.behaviour.page_cap = 500
    with postgres_store(postgres) as store, service.running():
        fill(store, keys(ROWS))
        sides = ErpAndShop(
            left=Store(url=service.url, execute=lambda _: None),
            right=store,
            database=sqlite_database,
            clock=clock,
            folder=tmp_path,
            spec=audit(strategy="auto"),
            service=service,
        )
        yield sides
        sides.close()


@pytest.fixture
def proven(sides: ErpAndShop) -> ErpAndShop:
    """After a first run that read everything."""
    report = sides.run()
    assert (report.verdict, report.strategy, sides.read(report)) == (Verdict.CLEAN, "stream", 2 * ROWS)
    return sides


def test_planted_differences_are_found_and_none_besides(sides: ErpAndShop) -> None:
    service = sides.service
    service.put("Stock", row("s1", "00011", "2.7501"), row("s1", "00012", note=None), row("s1", "99999"))
    service.put("Stock", row("s1", "00013", "3.25000"))
    service.remove("Stock", "店二", "00020")
    report = sides.run()
    assert report.verdict is Verdict.DRIFT
    assert found(report) == {("changed", "00011"), ("changed", "00012"), ("missing", "99999"), ("extra", "00020")}


def test_the_next_run_reads_only_what_changed_and_sees_deletions_on_either_side(proven: ErpAndShop) -> None:
    proven.service.put("Stock", row("s1", "00011", "2.7501"))
    proven.service.remove("Stock", "店二", "00020")
    proven.right.execute("DELETE FROM stock WHERE sku = '01501'")
    proven.right.execute("UPDATE stock SET note = 'x' WHERE sku = '01777'")
    report = proven.run()
    assert (report.verdict, report.strategy) == (Verdict.DRIFT, "delta")
    assert found(report) == {("changed", "00011"), ("extra", "00020"), ("missing", "01501"), ("changed", "01777")}
    assert 0 < proven.read(report) < ROWS / 2
    assert (report.left.rows, report.right.rows) == (ROWS - 1, ROWS - 1)
    assert "deletions included" in report.strategy_reason
    assert "erp.stock: a delta link" in report.strategy_reason
    assert "erp.stock names 2 changed rows, 1 of them removed" in report.strategy_reason
    assert "增量链接" in str(report.evidence["strategy_reason_zh"])


def test_nothing_is_read_when_nothing_changed(proven: ErpAndShop) -> None:
    for _ in range(2):
        report = proven.run()
        assert (report.verdict, report.strategy, proven.read(report)) == (Verdict.CLEAN, "delta", 0)


def test_a_difference_stays_found_until_it_is_gone(proven: ErpAndShop) -> None:
    proven.service.remove("Stock", "s1", "00011")
    assert found(proven.run()) == {("extra", "00011")}
    report = proven.run()
    assert (report.strategy, found(report)) == ("delta", {("extra", "00011")})
    proven.right.execute("DELETE FROM stock WHERE sku = '00011'")
    report = proven.run()
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "delta")


def test_a_link_the_service_forgot_is_a_run_that_reads_everything_and_says_why(proven: ErpAndShop) -> None:
    proven.service.remove("Stock", "s1", "00011")
    proven.service.behaviour.forgets_before = proven.service.position
    report = proven.run()
    assert (report.strategy, found(report)) == ("stream", {("extra", "00011")})
    assert "because the delta link is not known any more" in report.strategy_reason
    assert "因为增量链接已失效" in str(report.evidence["strategy_reason_zh"])
    proven.service.put("Stock", row("s1", "00011"))
    report = proven.run()
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "delta")


def test_a_run_that_proves_nothing_skips_no_change(proven: ErpAndShop) -> None:
    before = proven.proof()
    proven.service.remove("Stock", "s1", "00011")
    proven.right.execute("ALTER TABLE stock RENAME TO hidden")
    assert proven.run().verdict is Verdict.FAILED
    assert proven.proof() == before
    proven.right.execute("ALTER TABLE hidden RENAME TO stock")
    report = proven.run()
    assert (report.strategy, found(report)) == ("delta", {("extra", "00011")})


def test_a_value_nobody_can_read_in_a_changed_bucket_counts_although_single_keys_are_read_after_it(
    sides: ErpAndShop,
) -> None:
    number = Field(type="decimal", scale=4)
    sides.spec = audit(strategy="auto", fields={"quantity": number, "note": number})
    sides.service.put("Stock", *(row(shop, sku, note="1") for shop, sku in keys(ROWS)))
    sides.right.execute("UPDATE stock SET note = '1'")
    assert sides.run().verdict is Verdict.CLEAN
    # Equal on both sides, so no difference: only the count of what cannot be read speaks against it.
    sides.service.put("Stock", row("s1", "00011", note="12x"), row("s1", "01777", note="1"))
    sides.right.execute("UPDATE stock SET note = '12x' WHERE sku = '00011'")
    for _ in range(2):
        report = sides.run()
        assert (report.verdict, report.strategy) == (Verdict.INCONCLUSIVE, "delta"), report.strategy_reason
        assert report.reason == "2 values cannot be read as their declared type"
        assert report.evidence["unreadable_left"] == {
            "count": 1,
            "examples": ["s1, 00011: note: '12x' is not a decimal"],
        }


def test_what_changes_while_a_run_reads_is_told_to_the_next(proven: ErpAndShop) -> None:
    proven.service.put("Stock", row("s1", "00011"))
    real, seen = proven.service._entities, []

    def meanwhile(one: StubSet, rest: str, options: dict[str, str], prefer: str) -> tuple[int, str]:
        if "$filter" in options and not seen:
            seen.append(options)
            proven.service.remove("Stock", "s1", "00033")
        return real(one, rest, options, prefer)

    proven.service._entities = meanwhile  # type: ignore[method-assign]
    assert proven.run().verdict is Verdict.CLEAN
    assert seen
    assert found(proven.run()) == {("extra", "00033")}


@pytest.mark.parametrize("by_key", [False, True], ids=["by address", "by key"])
def test_tombstones_name_keys_with_quotes_slashes_and_brackets(proven: ErpAndShop, by_key: bool) -> None:
    proven.service.behaviour.tombstones_by_key = by_key
    odd = "a/b'(c)=,%"
    proven.service.put("Stock", row("s1", "00001"), {**row("s1", "00002"), "Material": odd})
    proven.right.execute("INSERT INTO stock VALUES ('s1', 'a/b''(c)=,%', 0.5, '商品 00002', '2026-11-24 02:00:00')")
    assert proven.run().verdict is Verdict.CLEAN
    proven.service.remove("Stock", "s1", odd)
    report = proven.run()
    assert (report.strategy, found(report)) == ("delta", {("extra", odd)})


def test_a_service_that_gives_no_link_is_streamed_each_time(sides: ErpAndShop) -> None:
    sides.service.behaviour.tracks = False
    for because in ("nothing was proven before", "erp.stock was asked to track changes and gave no delta link"):
        report = sides.run()
        assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
        assert because in report.strategy_reason


def test_a_count_that_lies_and_a_schema_that_changes_are_no_drift(sides: ErpAndShop) -> None:
    sides.service.behaviour.count_off_by = 1
    report = sides.run()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert f"erp.stock counts {ROWS + 1} rows, {ROWS} arrived" in report.reason
    sides.service.behaviour.count_off_by = 0
    sides.service.behaviour.dropped.add("Note")
    report = sides.run()
    assert (report.verdict, report.differences) == (Verdict.FAILED, ())
    assert "'Note'" in report.reason


def test_counts_and_sums_by_group_are_an_early_word_and_no_proof(sides: ErpAndShop) -> None:
    sides.spec = audit(strategy="auto", totals_by="shop")
    report = sides.run()
    assert report.verdict is Verdict.CLEAN
    assert report.evidence["totals"] == {"by": "shop", "groups": 2, "differing": 0, "examples": []}
    sides.service.put(
        "Stock", row("店二", "00020", "6.0000"), row("s1", "00021", "6.2500"), row("s1", "00025", "5.2500")
    )
    report = sides.run()
    assert report.evidence["totals"] == {
        "by": "shop",
        "groups": 2,
        "differing": 1,
        "examples": [
            {"group": "店二", "left": "240 rows, quantity 71701.0000", "right": "240 rows, quantity 71700.0000"}
        ],
    }
    # The other shop's errors make up for each other; the rows do not.
    assert found(report) == {("changed", "00020"), ("changed", "00021"), ("changed", "00025")}
    assert "counts and sums of 1 of 2 groups by shop differed beforehand" in report.strategy_reason
    assert "2 组有 1 组不一致" in str(report.evidence["strategy_reason_zh"])
    assert 'tillwatch_audit_totals_differing{audit="stock"} 1.0' in sides.metrics.render().decode()


def test_a_service_that_cannot_sum_is_said_and_does_no_harm(sides: ErpAndShop) -> None:
    sides.spec = audit(strategy="auto", totals_by="shop")
    sides.service.behaviour.aggregates = False
    report = sides.run()
    assert report.verdict is Verdict.CLEAN
    assert "$apply is not supported" in str(report.evidence["totals"])
    assert "counts and sums by shop were not compared" in report.strategy_reason
