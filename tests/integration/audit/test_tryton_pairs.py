"""A real Tryton beside every database, on either side: all planted differences are found and none is made up."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.support.audits import ZONE
from tests.support.chains import tryton_system, write_chain
from tests.support.engines import ENGINES, Engines, Row, audited, spec_of
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres

from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.config.schema import Field, Side
from tillwatch.lab.erp import Erp
from tillwatch.model.audit import AuditReport, DifferenceKind, Verdict
from tillwatch.sources import registry

PRODUCTS = """rows: {model: product.product,
      columns: {sku: code, name: name, price: list_price_used, note: description, at: create_date}}"""
FIELDS = {
    "name": Field(type="text"),
    "price": Field(type="decimal", scale=4),
    "note": Field(type="text"),
    "at": Field(type="timestamp"),
}
COLUMNS = {
    "postgresql": {"sku": "varchar(40)", "name": "varchar(80)", "price": "numeric(18,4)", "note": "varchar(80)", "at": "timestamp(6)"},
    "mariadb": {"sku": "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "name": "varchar(80)", "price": "decimal(18,4)", "note": "varchar(80)", "at": "datetime(6)"},
    "sqlite": {"sku": "text", "name": "text", "price": "numeric", "note": "text", "at": "text"},
}  # fmt: skip
Found = dict[str, tuple[str, ...] | None]


class Pairs:
    """The products of the ERP, and a table of the same rows in each database."""

    def __init__(self, erp: Any, engines: Engines) -> None:
        self.erp, self.engines = erp, engines
        with erp.read("rows") as reading:
            self.rows = [_local(row) for batch in reading for row in batch]
        self.rows.sort(key=lambda row: str(row["sku"]))

    def run(self, engine: str, rows: list[Row], *, erp_left: bool) -> AuditReport:
        self.engines.fill(engine, "products", COLUMNS[engine], rows[::-1], key=["sku"])
        database = self.engines.source("till", engine, "products")
        left, right = (self.erp, database) if erp_left else (database, self.erp)
        spec = spec_of(
            ["sku"], FIELDS, left=Side(system="left", dataset="rows"), right=Side(system="right", dataset="rows")
        )
        try:
            return audited(left, right, spec, "")
        finally:
            database.close()


def _local(row: Row) -> Row:
    """As a shop's database writes it: a wall clock without a zone."""
    at = row["at"]
    assert isinstance(at, datetime)
    return {**row, "at": at.astimezone(ZONE).replace(tzinfo=None)}


@pytest.fixture(scope="module")
def pairs(erp: Erp, postgres: Postgres, mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    folder = tmp_path_factory.mktemp("pairs")
    write_chain(folder, tryton_system(erp, PRODUCTS))
    sources = registry.build(load(folder), clock=SystemClock())
    yield Pairs(sources.get("erp"), Engines(postgres=postgres, mariadb=mariadb, folder=Path(folder)))
    sources.close()


def nothing(rows: list[Row]) -> Found:  # noqa: ARG001 - every case is given the rows
    return {}


def one_of_each(rows: list[Row]) -> Found:
    rows[0]["price"] += Decimal("0.0001")
    rows[1]["price"] -= Decimal("0.0001")
    rows[2]["at"] += timedelta(microseconds=1)
    rows[3]["at"] -= timedelta(microseconds=1)
    rows[4]["name"] += " "
    rows[5]["name"] += "１"
    rows[6]["name"] += "👍🏽"
    rows[7]["note"] = ""
    rows[8]["name"] = None
    new, gone = {**rows[9], "sku": "ZZ-新"}, rows.pop(10)
    rows.append(new)
    changed = dict(
        zip(
            (row["sku"] for row in rows[:9]),
            ("price", "price", "at", "at", "name", "name", "name", "note", "name"),
            strict=True,
        )
    )
    return {**{sku: (field,) for sku, field in changed.items()}, "ZZ-新": None, gone["sku"]: None}


def an_hour_later(rows: list[Row]) -> Found:
    for row in rows:
        row["at"] += timedelta(hours=1)
    return {row["sku"]: ("at",) for row in rows}


def emptied(rows: list[Row]) -> Found:
    gone: Found = dict.fromkeys(row["sku"] for row in rows)
    rows.clear()
    return gone


def one_left(rows: list[Row]) -> Found:
    gone: Found = dict.fromkeys(row["sku"] for row in rows[1:])
    del rows[1:]
    return gone


def found(report: AuditReport) -> Found:
    return {row.key["sku"]: row.fields if row.kind is DifferenceKind.CHANGED else None for row in report.differences}


@pytest.mark.parametrize("plant", [nothing, one_of_each, an_hour_later, emptied, one_left])
@pytest.mark.parametrize(("engine", "erp_left"), [*product(ENGINES, (True, False))])
def test_all_planted_differences_are_found_and_no_others(
    pairs: Pairs, engine: str, erp_left: bool, plant: Callable[[list[Row]], Found]
) -> None:
    rows = deepcopy(pairs.rows)
    assert len(rows) > 11
    planted = plant(rows)
    report = pairs.run(engine, rows, erp_left=erp_left)
    assert found(report) == planted, report.reason
    assert report.verdict is (Verdict.DRIFT if planted else Verdict.CLEAN), report.reason
    skus = {row["sku"] for row in rows}
    for row in report.differences:
        if row.kind is not DifferenceKind.CHANGED:
            only_in_database = row.key["sku"] in skus
            assert row.kind is (DifferenceKind.EXTRA if only_in_database is erp_left else DifferenceKind.MISSING)
