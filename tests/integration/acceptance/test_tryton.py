"""A migration from a real PostgreSQL to a real Tryton: proven by orders, signed for, and seen when the ERP moves on."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from tests.support.chains import tryton_system, write_chain
from tests.support.postgres import Postgres
from tests.unit.cli.conftest import Run
from tests.unit.cli.conftest import run as run

from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.lab.catalogue import products
from tillwatch.lab.erp import Erp
from tillwatch.sources import registry
from tillwatch.sources.documents import Line, OrderDocument

ORDERS = 'orders: {model: sale.sale, reference_prefix: "AC-", states: [confirmed, processing, done]}'
OLD = """
  - id: old
    source: sql
    url: "%s"
    datasets: {orders: {query: "SELECT order_ref, SUM(quantity * price) AS amount, SUM(quantity) AS quantity FROM lines GROUP BY order_ref"}}
"""
CHECKS = """
audits:
  - id: orders
    left: {system: old, dataset: orders}
    right: {system: erp, dataset: orders}
    key: [order_ref]
    fields: {amount: {type: decimal, scale: 2}, quantity: {type: decimal, scale: 3}}
    schedule: "0 3 * * 0"
    settle: 0s
acceptances:
  - {id: new-erp, audits: [orders]}
"""
SKU = next(product.sku for product in products() if not product.weighed)


def line(number: int) -> Line:
    return Line(sku=SKU, quantity=Decimal(number), unit_price=Decimal("12.50"))


@pytest.fixture
def root(tmp_path: Path, postgres: Postgres, erp: Erp) -> Iterator[Path]:
    address = postgres.url(postgres.create_database())
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as old:
        old.execute("CREATE TABLE lines (order_ref text, quantity numeric(12,4), price numeric(12,2))")
        for number in (1, 2, 3):
            old.execute("INSERT INTO lines VALUES (%s, %s, 12.50)", (f"AC-{number}", number))
    write_chain(tmp_path, OLD % address.replace("+psycopg", "") + tryton_system(erp, ORDERS), {"checks": CHECKS})
    yield tmp_path


def post(root: Path, *numbers: int, more: int = 0) -> None:
    sources = registry.build(load(root), clock=SystemClock())
    try:
        source = sources.get("erp")
        for number in numbers:
            document = OrderDocument(reference=f"AC-{number}", lines=(line(number + more),))
            source.write(source.plan(document))
    finally:
        sources.close()


def test_a_migration_into_a_real_erp_is_proven_signed_and_watched(root: Path, run: Run) -> None:
    post(root, 1, 2)
    ended = run("-C", root, "acceptance", "run", "new-erp", "-o", root / "too-early.json", "--json")
    assert (ended.code, ended.document["accepted"], ended.document["datasets"][0]["missing"]) == (1, False, 1)
    post(root, 3)
    file = root / "manifest.json"
    ended = run("-C", root, "acceptance", "run", "new-erp", "-o", file, "--json")
    assert (ended.code, ended.document["accepted"]) == (0, True), ended.err
    (orders,) = ended.document["datasets"]
    assert (orders["left"]["product"], orders["right"]["product"]) == ("postgresql", "tryton")
    assert orders["left"]["sha256"] == orders["right"]["sha256"]
    assert orders["right"]["sums"] == {"amount": "75.00", "quantity": "6.000"}
    assert run("acceptance", "sign", file, "--by", "李娜", "--reason", "all orders agree").code == 0
    assert run("-C", root, "acceptance", "verify", file).code == 0
    post(root, 4)
    ended = run("-C", root, "acceptance", "verify", file, "--json")
    assert (ended.code, ended.document["broken_signatures"]) == (1, [])
    assert ended.document["datasets"]["orders"]["rows"] == {"kept": "3", "found": "4"}
    assert run("-C", root, "acceptance", "verify", file, "--side", "left").code == 0
