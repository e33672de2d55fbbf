"""The same rows in real databases break the same rules."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, mariadb_store, postgres_store, sqlite_store
from tests.support.validations import broken, validated, validation

from tillwatch.clock import SystemClock
from tillwatch.model.validation import ValidationReport
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.engine import POOL_CONNECTIONS

STATEMENTS = (
    "CREATE TABLE orders (sku varchar(20), name varchar(80), amount numeric(12,2), paid_at varchar(40))",
    "CREATE TABLE order_lines (sku varchar(20), quantity numeric(12,4), price numeric(12,2))",
    "INSERT INTO orders VALUES ('A1', '可乐', 3.50, '2026-11-24T10:00:00+08:00'), ('a1', '锟斤拷', -1.00,"
    " '2031-01-01T00:00:00+08:00'), ('A2', NULL, 2.00, NULL), ('A3 ', 'Müller', 0.30, NULL), ('A3 ', 'x', 0.30, NULL)",
    "INSERT INTO order_lines VALUES ('A1', 1, 1.50), ('A1', 2, 1.00), ('a1', -1, 1), ('A3 ', 3, 0.10)",
)
EXPECTED = {
    ("required", "A2", None),
    ("encoding", "a1", "锟斤拷"),
    ("negative", "a1", "-1"),
    ("twice", "A3 ", "A3 "),
    ("future", "a1", "2031-01-01T00:00:00+08:00"),
    ("sum", "A2", "2"),
}
RULES = (
    {"id": "required", "rule": "required", "field": "name"},
    {"id": "encoding", "rule": "encoding", "field": "name"},
    {"id": "negative", "rule": "not_negative", "field": "amount"},
    {"id": "twice", "rule": "unique", "field": "sku"},
    {"id": "future", "rule": "not_future", "field": "paid_at"},
    {
        "id": "sum",
        "rule": "sum",
        "field": "amount",
        "tolerance": Decimal("0.001"),
        "lines": {"dataset": "order_lines", "field": "quantity", "times": "price"},
    },
)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield stack.enter_context(sqlite_store(tmp_path, "till"))
        elif request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            yield stack.enter_context(postgres_store(server))
        else:
            maria: MariaDb = request.getfixturevalue("mariadb")
            yield stack.enter_context(mariadb_store(maria))


def test_every_engine_gives_the_same_findings(store: Store, tmp_path: Path) -> None:
    report = looked(store, tmp_path, *RULES)
    assert report.reason, report
    assert set(broken(report)) == EXPECTED
    assert report.counts["twice"] == 2
    assert report.rows == 5


def test_rules_that_look_at_more_datasets_than_a_system_has_connections_are_decided(
    store: Store, tmp_path: Path
) -> None:
    others = [
        {"id": f"known-{number}", "rule": "reference", "field": "sku", "to": {"dataset": "order_lines"}}
        for number in range(POOL_CONNECTIONS)
    ]
    report = looked(store, tmp_path, *others)
    assert report.counts == {f"known-{number}": 1 for number in range(POOL_CONNECTIONS)}, report.reason
    assert {key for _, key, _ in broken(report)} == {"A2"}


def looked(store: Store, folder: Path, *rules: Mapping[str, Any]) -> ValidationReport:
    for statement in STATEMENTS:
        store.execute(statement)
    datasets = {name: {"table": name} for name in ("orders", "order_lines")}
    options = SqlOptions.model_validate({"url": store.url, "datasets": datasets})
    source = SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=folder)
    try:
        return validated(validation(*rules, dataset="orders"), source)
    finally:
        source.close()
