"""A side that fails in the middle, on real databases: no verdict that is not proven, and what was known stays known."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.audits import chain
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, audit, fill, keys, mariadb_store, postgres_store, sqlite_store

from tillwatch.audit.reading import Progress
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Remembered, Verdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.store import audits as records
from tillwatch.store import suspects
from tillwatch.store.db import Database

ROWS = 400
SETTLE = timedelta(seconds=30)
#: Long enough that no answer comes by itself while a test takes the server away.
MANY = 300_000


class Bench:
    """PostgreSQL against SQLite with one wrong row, audited once: that drift is the last good state."""

    def __init__(
        self,
        left: Store,
        right: Store,
        database: Database,
        clock: ManualClock,
        folder: Path,
        *,
        strategy: str = "stream",
    ) -> None:
        self.strategy = strategy
        self.left, self.right, self.database, self.clock, self.folder = left, right, database, clock, folder
        self.metrics = Metrics()
        self.options: dict[str, dict[str, Any]] = {"erp": {"table": "stock"}, "till": {"table": "stock"}}
        self.timeout_seconds = 30.0
        self.during: Callable[[], object] | None = None
        self._open = ExitStack()
        for store in (left, right):
            fill(store, keys(ROWS))
        right.execute("UPDATE stock SET quantity = 999 WHERE sku = '00007'")
        self._sleep = clock.sleep
        clock.sleep = self._slept  # type: ignore[method-assign]
        self.known = self.run()
        assert (self.known.verdict, self.known.changed) == (Verdict.DRIFT, 1)
        assert self.known.strategy == strategy

    def get(self, system: str) -> Any:
        store = self.left if system == "erp" else self.right
        options = SqlOptions.model_validate(
            {
                "url": store.url,
                "datasets": {"stock": {"change_field": "updated_at", **self.options[system]}},
                "timeout_seconds": self.timeout_seconds,
            }
        )
        source = SqlSource(system, options, clock=self.clock, breaker=MemoryBreaker(), root=self.folder)
        self._open.callback(source.close)
        return source

    def run(self, *, progress: Callable[[Progress], None] | None = None) -> AuditReport:
        spec = audit(strategy=self.strategy, settle=SETTLE)
        runner = AuditRunner(chain(spec), self, database=self.database, clock=self.clock, metrics=self.metrics)
        self._open.callback(runner.stop)
        return runner.run("stock", progress=progress) if progress else runner.run("stock")

    def while_settling(self, change: Callable[[], object]) -> None:
        """Do this once, as soon as the audit waits for rows to settle."""
        self.during = change

    def _slept(self, seconds: float) -> None:
        change, self.during = self.during, None
        if change is not None:
            change()
        self._sleep(seconds)

    def kept(self) -> list[Remembered]:
        with self.database.read() as connection:
            return suspects.suspects(connection, "stock")

    def assert_nothing_forgotten(self) -> None:
        """The page, the metrics and the next start still know the last proven state."""
        with self.database.read() as connection:
            assert records.latest(connection, conclusive=True)["stock"] == _bare(self.known)
        text = self.metrics.render().decode()
        assert 'tillwatch_drift_rows{audit="stock",interface="",kind="changed",site=""} 1.0' in text
        assert f'tillwatch_audit_rows{{audit="stock",interface="",side="left",site=""}} {ROWS}.0' in text

    def close(self) -> None:
        self.clock.sleep = self._sleep  # type: ignore[method-assign]
        self._open.close()


def _bare(report: AuditReport) -> AuditReport:
    return replace(report, differences=())


@contextmanager
def opened(
    strategy: str, tmp_path: Path, postgres: Postgres, database: Database, clock: ManualClock
) -> Iterator[Bench]:
    with ExitStack() as stack:
        left = stack.enter_context(postgres_store(postgres))
        right = stack.enter_context(sqlite_store(tmp_path, "till"))
        bench = Bench(left, right, database, clock, tmp_path, strategy=strategy)
        yield bench
        bench.close()


@pytest.fixture(params=["stream", "digest", "records"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, sqlite_database: Database, clock: ManualClock
) -> Iterator[Bench]:
    with opened(request.param, tmp_path, postgres, sqlite_database, clock) as bench:
        yield bench


@pytest.fixture
def streaming(tmp_path: Path, postgres: Postgres, sqlite_database: Database, clock: ManualClock) -> Iterator[Bench]:
    """For what only happens while rows come in one by one."""
    with opened("stream", tmp_path, postgres, sqlite_database, clock) as bench:
        yield bench


def test_a_server_that_goes_away_while_it_is_read_fails_the_audit(streaming: Bench, postgres: Postgres) -> None:
    streaming.options["erp"] = {
        "query": "SELECT 's1' AS shop, i::text AS sku, i / 4.0 AS quantity, 'x' AS note,"
        f" now() AS updated_at FROM generate_series(1, {MANY}) i"
    }
    gone: list[int] = []

    def pull(rows: Progress) -> None:
        if rows.left and not gone:
            gone.append(rows.left)
            postgres.stop()

    try:
        report = streaming.run(progress=pull)
    finally:
        postgres.start()
    assert 0 < gone[0] < MANY
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("erp.stock: system 'erp' at postgresql+psycopg://")
    assert report.evidence["cause"] == "tcp"
    assert (report.missing, report.extra, report.changed, report.differences) == (0, 0, 0, ())
    streaming.assert_nothing_forgotten()


def test_a_server_that_goes_away_while_rows_settle_confirms_nothing_and_keeps_the_suspect(
    bench: Bench, postgres: Postgres
) -> None:
    bench.while_settling(postgres.stop)
    try:
        report = bench.run()
    finally:
        postgres.start()
    assert report.verdict is Verdict.FAILED
    assert report.evidence["cause"] == "tcp"
    assert (report.evidence["suspects"], report.changed) == (1, 0)
    assert len(bench.kept()) == 1
    bench.assert_nothing_forgotten()
    again = bench.run()
    assert (again.verdict, again.changed) == (Verdict.DRIFT, 1)
    assert bench.kept() == []


def test_a_table_that_is_locked_runs_into_the_time_limit(bench: Bench, postgres: Postgres) -> None:
    bench.timeout_seconds = 1.0
    name = bench.left.url.rsplit("/", 1)[1]
    with psycopg.connect(postgres.url(name).replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE")
        report = bench.run()
    assert report.verdict is Verdict.FAILED
    assert "look for a stuck or long transaction" in report.reason
    assert report.evidence["cause"] == "timeout"
    bench.assert_nothing_forgotten()
    assert bench.run().verdict is Verdict.DRIFT


def test_a_side_that_contradicts_its_own_count_is_no_evidence(streaming: Bench) -> None:
    # A view that grows with each statement, also within one snapshot: ten rows a millisecond.
    streaming.left.execute("CREATE TABLE beginning AS SELECT clock_timestamp() AS moment")
    streaming.options["erp"] = {
        "query": "SELECT 's1' AS shop, i::text AS sku, 1.0 AS quantity, 'x' AS note, now() AS updated_at FROM beginning,"
        " generate_series(1, (extract(epoch FROM statement_timestamp() - moment) * 10000)::int) i"
    }
    report = streaming.run()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason.startswith("erp.stock counts ")
    assert report.reason.endswith("read twice, so this is no evidence of drift")
    assert report.differences == ()
    streaming.assert_nothing_forgotten()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE stock DROP COLUMN quantity", "quantity"),
        ("ALTER TABLE stock RENAME COLUMN note TO remark", "note"),
        ("DROP TABLE stock", "stock"),
    ],
)
def test_a_schema_that_changes_in_the_middle_fails_the_audit_and_names_what_is_missing(
    bench: Bench, change: str, words: str
) -> None:
    bench.while_settling(lambda: bench.left.execute(change))
    report = bench.run()
    assert report.verdict is Verdict.FAILED
    assert words in report.reason
    assert report.evidence["cause"] == "data"
    assert (report.changed, report.differences) == (0, ())
    bench.assert_nothing_forgotten()


def test_a_column_that_changes_its_type_in_the_middle_is_never_clean(bench: Bench) -> None:
    bench.while_settling(
        lambda: bench.left.execute("ALTER TABLE stock ALTER COLUMN quantity TYPE text USING 'about ' || quantity")
    )
    report = bench.run()
    assert (report.verdict, report.changed) == (Verdict.DRIFT, 1)
    assert report.differences[0].left is not None
    assert str(report.differences[0].left["quantity"]).startswith("about ")
    again = bench.run()
    assert again.changed == ROWS
    assert "values cannot be read as their declared type" in again.reason


def test_keys_that_become_double_in_the_middle_fail_the_audit(bench: Bench) -> None:
    bench.left.execute("ALTER TABLE stock DROP CONSTRAINT stock_pkey")
    bench.while_settling(lambda: bench.left.execute("INSERT INTO stock SELECT * FROM stock WHERE sku = '00007'"))
    report = bench.run()
    assert report.verdict is Verdict.FAILED
    assert report.reason == "erp.stock holds keys more than once: s1/00007; make the key unique"
    bench.assert_nothing_forgotten()


def test_a_database_that_is_dropped_while_rows_settle_fails_the_audit(
    tmp_path: Path, mariadb: MariaDb, sqlite_database: Database, clock: ManualClock
) -> None:
    with ExitStack() as stack:
        left = stack.enter_context(mariadb_store(mariadb))
        bench = Bench(left, stack.enter_context(sqlite_store(tmp_path, "till")), sqlite_database, clock, tmp_path)
        stack.callback(bench.close)
        name = left.url.rsplit("/", 1)[1]
        bench.while_settling(lambda: mariadb.execute(f"DROP DATABASE `{name}`"))
        report = bench.run()
    assert report.verdict is Verdict.FAILED
    assert name in report.reason
    assert (report.changed, report.differences) == (0, ())
    bench.assert_nothing_forgotten()
