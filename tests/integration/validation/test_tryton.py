"""Rules on what a real Tryton holds, and on what a till says of it."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.chains import tryton_system, write_chain
from tests.support.validations import broken, validated, validation

from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.lab.catalogue import products
from tillwatch.lab.erp import Erp
from tillwatch.model.validation import ValidationVerdict
from tillwatch.sources import registry
from tillwatch.sources.documents import Line, OrderDocument
from tillwatch.sources.registry import Sources

PREFIX = "VA-"
DATASETS = """
      products: {model: product.product, columns: {sku: code, name: name, price: list_price_used}},
      stock: {model: stock, location: LOC-CHAOYANG, columns: {sku: code, quantity: quantity}},
      orders: {model: sale.sale, reference_prefix: "VA-", states: [confirmed, processing, done]}"""
TILL = '  - {id: till, source: sql, url: "sqlite:///till.db", datasets: {lines: {table: lines}}}\n'
SKU = next(product.sku for product in products() if not product.weighed)


@pytest.fixture
def sources(tmp_path: Path, erp: Erp) -> Iterator[Sources]:
    write_chain(tmp_path, tryton_system(erp, DATASETS) + TILL)
    with sqlite3.connect(tmp_path / "till.db") as till:
        till.execute("CREATE TABLE lines (order_ref TEXT, line INTEGER, sku TEXT, quantity TEXT, price TEXT)")
    till.close()
    found = registry.build(load(tmp_path), clock=SystemClock())
    yield found
    found.close()


def ring_up(folder: Path, *lines: tuple[str, int, str, str, str]) -> None:
    with sqlite3.connect(folder / "till.db") as till:
        till.execute("DELETE FROM lines")
        till.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", lines)
    till.close()


def test_the_catalogue_of_a_real_erp_keeps_its_rules_and_breaks_one_it_cannot_keep(sources: Sources) -> None:
    rules = (
        {"rule": "required", "fields": ("sku", "name")},
        {"rule": "unique", "field": "sku"},
        {"rule": "encoding", "field": "name"},
        {"rule": "not_negative", "field": "price"},
    )
    spec = validation(*rules, system="erp", dataset="products")
    clean = validated(spec, sources.get("erp"))
    assert (clean.verdict, clean.reason) == (ValidationVerdict.CLEAN, "every row keeps every rule")
    assert clean.rows >= len(products())
    dear = max(product.list_price for product in products())
    limit = validation({"rule": "range", "field": "price", "max": str(dear - 1)}, system="erp", dataset="products")
    report = validated(limit, sources.get("erp"))
    assert report.verdict is ValidationVerdict.INVALID
    assert all(Decimal(value or 0) > dear - 1 for _, _, value in broken(report))
    assert any(key == next(one.sku for one in products() if one.list_price == dear) for _, key, _ in broken(report))


def test_orders_in_the_erp_must_add_up_to_the_lines_of_the_till(sources: Sources, tmp_path: Path) -> None:
    source = sources.get("erp")
    for number in (1, 2):
        lines = (Line(sku=SKU, quantity=Decimal(number), unit_price=Decimal("3.50")),)
        source.write(source.plan(OrderDocument(reference=f"{PREFIX}{number}", lines=lines)))
    ring_up(tmp_path, ("VA-1", 1, SKU, "1", "3.50"), ("VA-2", 1, SKU, "2", "13.50"))
    total = {"id": "total", "rule": "sum", "field": "amount"}
    total["lines"] = {"system": "till", "dataset": "lines", "field": "quantity", "times": "price"}
    spec = validation(total, system="erp", dataset="orders", key=("order_ref",))
    report = validated(spec, source, sources.get("till"))
    assert broken(report) == [("total", "VA-2", "7")]
    assert report.findings[0].problem["en"] == "its lines add up to 27"
    assert report.rows == 2


def test_what_a_till_sells_must_be_known_to_the_erp(sources: Sources, tmp_path: Path) -> None:
    ring_up(tmp_path, ("VA-1", 1, SKU, "1", "3.50"), ("VA-1", 2, "不存在", "1", "1"), ("VA-1", 3, f"{SKU}x", "1", "1"))
    known = {"id": "known", "rule": "reference", "field": "sku", "to": {"system": "erp", "dataset": "products"}}
    spec = validation(known, system="till", dataset="lines", key=("order_ref", "line"))
    report = validated(spec, sources.get("till"), sources.get("erp"))
    assert sorted(broken(report)) == [("known", "VA-1/2", "不存在"), ("known", "VA-1/3", f"{SKU}x")]
