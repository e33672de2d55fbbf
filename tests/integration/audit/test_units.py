"""A large audit in units, by processes of this machine and by a dask cluster, and going on after kill -9."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.integration.audit.dying_units import UNIT_ROWS
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, fill, found, keys, postgres_store, sqlite_store

from tillwatch.audit import units
from tillwatch.audit.ranges import Scale
from tillwatch.audit.runner import AuditRunner
from tillwatch.audit.turns import Throttle
from tillwatch.audit.workers import DaskWorkers, ProcessWorkers, Workers
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources import registry
from tillwatch.store.db import Database

ROOT = Path(__file__).parents[3]
ROWS = 3_000
CHAIN = """
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///unused.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
  - {id: erp, source: sql, url: "%(left)s", datasets: {stock: {table: stock, change_field: updated_at}}}
  - {id: till, source: sql, url: "%(right)s", datasets: {stock: {table: stock, change_field: updated_at}}}
"""
CHECKS = """
audits:
  - id: stock
    left: {system: erp, dataset: stock}
    right: {system: till, dataset: stock}
    key: [shop, sku]
    fields: {quantity: {type: decimal, scale: 4}, note: {type: text}}
    schedule: "@every 60s"
    settle: 0s
    verify_share: 0
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [hook]}]\n"


@dataclass
class Chain:
    """A chain directory with two databases, and a store beside it."""

    root: Path
    left: Store
    right: Store
    store: str
    throttle: Throttle = field(default_factory=Throttle)

    @contextmanager
    def runner(self, workers: Workers | None = None) -> Iterator[AuditRunner]:
        clock, config = SystemClock(), load(self.root)
        scale = (
            Scale(chain=self.root, workers=workers, throttle=self.throttle, unit_rows=UNIT_ROWS) if workers else None
        )
        with closing(Database.open(self.store, clock=clock)) as database:
            sources = registry.build(config, clock=clock)
            runner = AuditRunner(config, sources, database=database, clock=clock, metrics=Metrics(), scale=scale)
            yield runner
            runner.stop()
            sources.close()

    def run(self, workers: Workers | None, strategy: str = "stream") -> AuditReport:
        with self.runner(workers) as runner:
            return runner.run("stock", strategy=strategy)


@dataclass(frozen=True)
class ThreadWorkers:
    """A stub of the processes, for what does not depend on them: to start one takes seconds."""

    root: Path

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        with ThreadPoolExecutor(1) as pool:
            yield pool
        # The connections that a process takes with it when it ends.
        units._opened(str(self.root), "stock")[1].close()
        units._opened.cache_clear()


@pytest.fixture
def chain(tmp_path: Path, postgres: Postgres, sqlite_url: str) -> Iterator[Chain]:
    with postgres_store(postgres) as left, sqlite_store(tmp_path, "till") as right:
        for store in (left, right):
            fill(store, keys(ROWS))
        for folder in ("probes", "alerts"):
            (tmp_path / folder).mkdir()
        values = {"left": left.url, "right": right.url}
        (tmp_path / "tillwatch.yaml").write_text(CHAIN % values, encoding="utf-8")
        (tmp_path / "probes" / "stock.yaml").write_text(CHECKS, encoding="utf-8")
        (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
        yield Chain(root=tmp_path, left=left, right=right, store=sqlite_url)


def plant(chain: Chain) -> set[tuple[str, str]]:
    chain.right.execute("DELETE FROM stock WHERE sku = '00042'")
    chain.right.execute("UPDATE stock SET quantity = quantity + 0.0001 WHERE sku = '01500'")
    chain.left.execute("DELETE FROM stock WHERE sku = '02999'")
    return {("missing", "00042"), ("changed", "01500"), ("extra", "02999")}


def test_processes_find_what_one_process_finds_and_the_next_run_builds_on_it(chain: Chain) -> None:
    planted = plant(chain)
    report = chain.run(ProcessWorkers())
    assert (report.verdict, report.strategy, found(report)) == (Verdict.DRIFT, "stream", planted), report.reason
    assert report.strategy_reason.endswith("in 11 units")
    assert (report.left.rows, report.right.rows) == (ROWS - 1, ROWS - 1)
    assert report.evidence["rows_read"] == 2 * (ROWS - 1)
    assert chain.run(None).differences == report.differences
    by_fingerprint = chain.run(ProcessWorkers(), "fingerprint")
    assert (by_fingerprint.strategy, found(by_fingerprint)) == ("fingerprint", planted)


def test_a_key_that_stands_twice_fails_the_audit_whichever_process_sees_it(chain: Chain) -> None:
    chain.right.execute("UPDATE stock SET sku = '00002', shop = 's1 ' WHERE sku = '00001'")
    report = chain.run(ProcessWorkers())
    assert report.verdict is Verdict.FAILED
    assert "till.stock holds 1 key more than once: s1/00002" in report.reason
    assert chain.throttle.busy() == {}


def test_after_kill_9_only_what_was_not_finished_is_read(chain: Chain) -> None:
    planted = plant(chain)
    argv = [sys.executable, str(Path(__file__).with_name("dying_units.py")), str(chain.root), chain.store, "4"]
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, text=True
    )
    assert child.stdout is not None
    with closing(child.stdout) as said:
        workers = [int(number) for number in said.readline().split()]
        child.kill()
        child.wait(30)
    assert workers
    # Workers whose parent is gone end by themselves and let go of the databases.
    left_behind = [psutil.Process(number) for number in workers if psutil.pid_exists(number)]
    assert psutil.wait_procs(left_behind, timeout=30)[1] == []
    report = chain.run(ProcessWorkers())
    assert (report.verdict, report.strategy, found(report)) == (Verdict.DRIFT, "stream", planted), report.reason
    assert "buckets were read by a run that did not end" in report.strategy_reason
    # Four of eleven units were finished; those with a difference are read again.
    assert ROWS < int(str(report.evidence["rows_read"])) < 2 * ROWS * 7 / 10
    assert (report.left.rows, report.right.rows) == (ROWS - 1, ROWS - 1)
    assert "did not end" not in chain.run(ProcessWorkers()).strategy_reason


def test_a_unit_with_a_value_nobody_can_read_is_read_again_until_it_can_be_read(chain: Chain) -> None:
    checks = CHECKS.replace("note: {type: text}", "note: {type: decimal, scale: 4}")
    (chain.root / "probes" / "stock.yaml").write_text(checks, encoding="utf-8")
    for store in (chain.left, chain.right):
        store.execute("UPDATE stock SET note = CASE sku WHEN '01500' THEN '12x' ELSE '1' END")
    workers = ThreadWorkers(chain.root)
    first = chain.run(workers)
    assert (first.verdict, first.evidence["rows_read"]) == (Verdict.INCONCLUSIVE, 2 * ROWS)
    again = chain.run(workers)
    assert (again.verdict, again.reason) == (Verdict.INCONCLUSIVE, first.reason)
    assert "in 1 units; " in again.strategy_reason
    for store in (chain.left, chain.right):
        store.execute("UPDATE stock SET note = '1' WHERE sku = '01500'")
    assert chain.run(workers).verdict is Verdict.CLEAN


def test_a_worker_with_another_declaration_is_refused(chain: Chain) -> None:
    with chain.runner(ProcessWorkers()) as runner:
        checks = chain.root / "probes" / "stock.yaml"
        checks.write_text(CHECKS.replace("scale: 4", "scale: 3"), encoding="utf-8")
        report = runner.run("stock", strategy="stream")
    assert report.verdict is Verdict.FAILED
    assert "a worker has another declaration of audit 'stock'" in report.reason


@pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::ResourceWarning")
def test_a_dask_cluster_of_two_workers_finds_the_same(chain: Chain) -> None:
    distributed = pytest.importorskip("distributed")
    planted = plant(chain)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        report = chain.run(DaskWorkers(address=cluster.scheduler_address))
        with distributed.Client(cluster) as client:
            assert len(client.scheduler_info()["workers"]) == 2
    assert (report.verdict, report.strategy, found(report)) == (Verdict.DRIFT, "stream", planted), report.reason
    assert report.strategy_reason.endswith("in 11 units")
