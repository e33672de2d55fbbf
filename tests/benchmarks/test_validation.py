"""Rules on a large table: sorted out by the database, and every row read and checked here.

TILLWATCH_BENCH_ROWS sets the size (1,000,000 headers, one line each). Ten rows break a rule. Figures, not tests: nothing
fails for being slow, only for a wrong answer.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import mariadb_store, postgres_store, sqlite_store
from tests.support.validations import validated, validation

from tillwatch.clock import SystemClock
from tillwatch.model.validation import ValidationReport
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource

ROWS = int(os.environ.get("TILLWATCH_BENCH_ROWS", "1000000"))
NUMBERS = {
    "postgresql": f"generate_series(1, {ROWS}) AS n(n)",
    "mariadb": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) AS n",
    "sqlite": f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s) AS n",
}
CODE = {
    "postgresql": "'CY-' || lpad(n::text, 10, '0')",
    "mariadb": "concat('CY-', lpad(n, 10, '0'))",
    "sqlite": "'CY-' || substr('0000000000' || n, -10)",
}
OWN = (
    {"rule": "required", "fields": ("order_ref", "amount", "paid_at")},
    {"rule": "pattern", "field": "order_ref", "pattern": r"CY-\d{10}"},
    {"rule": "not_negative", "field": "amount"},
    {"rule": "not_future", "field": "paid_at"},
    {"rule": "unique", "field": "order_ref"},
)
SUM = {"rule": "sum", "field": "amount", "lines": {"dataset": "order_lines", "field": "quantity", "times": "price"}}


@pytest.fixture(scope="module", params=list(NUMBERS))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSource]:
    folder = tmp_path_factory.mktemp("validation")
    engine = request.param
    with ExitStack() as stack:
        if engine == "sqlite":
            store = stack.enter_context(sqlite_store(folder, "till"))
        elif engine == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            store = stack.enter_context(postgres_store(server))
        else:
            maria: MariaDb = request.getfixturevalue("mariadb")
            store = stack.enter_context(mariadb_store(maria))
        text = "text" if engine != "mariadb" else "varchar(20)"
        moment = {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "text"}[engine]
        store.execute(f"CREATE TABLE orders (order_ref {text} PRIMARY KEY, amount numeric(12,2), paid_at {moment})")
        store.execute(f"CREATE TABLE order_lines (order_ref {text}, quantity numeric(12,3), price numeric(12,2))")
        code, numbers = CODE[engine], NUMBERS[engine]
        wrong = (
            f"CASE WHEN n IN ({', '.join(str(ROWS // 10 * tenth + 7) for tenth in range(10))}) THEN -1 ELSE 7.00 END"
        )
        paid = "timestamp '2026-11-01 12:00:00'" if engine == "postgresql" else "'2026-11-01 12:00:00'"
        store.execute(f"INSERT INTO orders SELECT {code}, {wrong}, {paid} FROM {numbers}")
        store.execute(f"INSERT INTO order_lines SELECT {code}, 2, 3.50 FROM {NUMBERS[engine]}")
        store.execute("ANALYZE TABLE orders, order_lines" if engine == "mariadb" else "ANALYZE")
        datasets = {name: {"table": name} for name in ("orders", "order_lines")}
        options = SqlOptions.model_validate({"url": store.url, "timeout_seconds": 600, "datasets": datasets})
        found = SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=folder)
        stack.callback(found.close)
        yield found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rules", [OWN, (SUM,)], ids=["own", "sum"])
@pytest.mark.parametrize("push", [True, False], ids=["sorted out", "streamed"])
def test_a_large_table(benchmark: BenchmarkFixture, source: SqlSource, push: bool, rules: tuple[object, ...]) -> None:
    spec = validation(*rules, dataset="orders", key=("order_ref",), timeout=timedelta(hours=1))  # type: ignore[arg-type]

    def run() -> ValidationReport:
        return validated(spec, source, clock=SystemClock(), push=push)

    report = benchmark.pedantic(run, rounds=1, iterations=1)
    assert (report.rows, report.broken) == (ROWS, 10), report
    assert report.strategy == ("source" if push else "stream"), report.strategy_reason
    benchmark.extra_info["rows_per_second"] = round(report.rows / report.seconds)
    benchmark.extra_info["rows_read"] = report.rows_read
