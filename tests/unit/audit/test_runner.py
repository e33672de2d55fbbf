"""Runs are written down before, stored with their alert in one transaction after, and survive a crash."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.support.audits import FakeSource, FakeSources, chain, stock, stock_audit

from tillwatch.audit import examine as examine_module
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.schema import Audit, Field
from tillwatch.errors import StoreError, UnavailableError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, AuditRunState, DifferenceKind, Verdict
from tillwatch.runs.life import LEASE
from tillwatch.store import audits as records
from tillwatch.store import differences
from tillwatch.store.db import Database

ROWS = stock(("001", "1", "1"), ("002", "2", "2"), ("003", "3", "3"))


class Bench:
    """A runner over two fake sources, and what it told."""

    def __init__(self, database: Database, clock: ManualClock, *audits: Audit) -> None:
        self.left = FakeSource("erp", {"stock": list(ROWS)})
        self.right = FakeSource("till", {"stock": list(ROWS)})
        self.metrics = Metrics()
        self.heard: list[AuditReport] = []
        self.database, self.clock = database, clock
        self.specs = audits or (stock_audit(),)
        self.runner = self.another()

    def another(self, owner: str = "one", **options: Any) -> AuditRunner:
        return AuditRunner(
            chain(*self.specs),
            FakeSources(self.left, self.right),
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            on_report=options.pop("on_report", self.hear),
            owner=owner,
        )

    def hear(self, connection: Connection, report: AuditReport, spec: Audit) -> None:
        assert spec.id == report.audit
        assert records.run_of(connection, report.run).state is AuditRunState.FINISHED
        self.heard.append(report)

    def stored(self, run: int) -> AuditReport:
        with self.database.read() as connection:
            return records.report(connection, run)

    def runs(self) -> list[tuple[str, str, str]]:
        with self.database.read() as connection:
            found = records.runs(connection, limit=50)
        return [
            (run.trigger, run.state.value, run.report.verdict.value if run.report else "") for run in reversed(found)
        ]


@pytest.fixture
def bench(database: Database, clock: ManualClock) -> Iterator[Bench]:
    bench = Bench(database, clock)
    yield bench
    bench.runner.stop()


def test_a_report_comes_back_from_the_store_as_it_was(bench: Bench) -> None:
    bench.right.datasets["stock"] = stock(("001", "1", "1"), ("003", "4", "3"), ("004", "1", "1"))
    report = bench.runner.run("stock", trigger="runbook")
    assert bench.stored(report.run) == report
    assert (report.missing, report.extra, report.changed) == (1, 1, 1)
    assert bench.heard == [report]
    assert bench.runs() == [("runbook", "finished", "drift")]


def test_differences_are_read_by_kind_and_page(bench: Bench) -> None:
    bench.left.datasets["stock"] = stock(*((f"{number:03}", "1", "1") for number in range(25)))
    run = bench.runner.run("stock").run
    with bench.database.read() as connection:
        page = differences.page(connection, run, kind=DifferenceKind.MISSING, offset=20, limit=10)
        assert [row.key["sku"] for row in page] == ["023", "024"]
        assert differences.page(connection, run, kind=DifferenceKind.EXTRA) == []
        assert len(records.report(connection, run, limit=5).differences) == 5


def test_an_unknown_audit_is_refused_with_a_suggestion(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"unknown audit 'stok'; did you mean 'stock'\?"):
        bench.runner.run("stok")
    assert bench.runs() == []


def test_a_failed_run_is_stored_and_told_but_the_last_known_state_stays(bench: Bench) -> None:
    bench.right.datasets["stock"].pop()
    bench.runner.run("stock")
    bench.right.datasets.clear()
    report = bench.runner.run("stock")
    assert report.verdict is Verdict.FAILED
    assert "KeyError" in report.reason
    text = bench.metrics.render().decode()
    assert 'tillwatch_drift_rows{audit="stock",interface="",kind="missing",site=""} 1.0' in text
    assert 'tillwatch_audit_runs_total{audit="stock",verdict="failed"} 1.0' in text
    with bench.database.read() as connection:
        assert records.latest(connection)["stock"].verdict is Verdict.FAILED
        assert records.latest(connection, conclusive=True)["stock"].missing == 1


def test_runs_without_a_verdict_are_counted_in_a_row_until_one_reaches_a_verdict(bench: Bench) -> None:
    def in_vain() -> int:
        bench.runner.run("stock")
        with bench.database.read() as connection:
            return records.in_vain(connection, "stock", 3)

    bench.left.datasets["stock"] = stock(("001", "1", "1"), ("001", "1", "1"))
    assert [in_vain() for _ in range(4)] == [1, 2, 3, 3]
    bench.left.datasets["stock"] = list(ROWS)
    assert in_vain() == 0


def test_the_report_and_what_follows_from_it_are_stored_together_or_not_at_all(bench: Bench) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("the incident could not be written")

    runner = bench.another(on_report=refuse)
    with pytest.raises(ValueError, match="could not be written"):
        runner.run("stock")
    assert bench.runs() == [("cli", "running", "")]
    bench.clock.advance(LEASE.total_seconds() + 1)
    runner.give_up_dead()
    assert bench.runs() == [("cli", "finished", "failed")]
    runner.stop()


def test_a_run_whose_process_died_is_failed_as_interrupted_and_run_again(bench: Bench) -> None:
    bench.database.write(
        lambda connection: records.begin(
            connection,
            audit="stock",
            trigger="schedule",
            slot=bench.clock.now(),
            owner="dead",
            now=bench.clock.now(),
            lease_until=bench.clock.now() + LEASE,
        )
    )
    assert bench.runner.give_up_dead() == []
    bench.clock.advance(LEASE.total_seconds() + 1)
    assert bench.runner.give_up_dead() == ["stock"]
    with bench.database.read() as connection:
        (run,) = records.runs(connection, limit=5)
    assert run.report is not None
    assert (run.report.verdict, run.report.reason) == (Verdict.FAILED, "interrupted")
    assert bench.heard == []


def test_an_owner_that_was_given_up_does_not_store_its_late_result(bench: Bench) -> None:
    def slow(_: int) -> None:
        bench.clock.advance(LEASE.total_seconds() + 1)
        assert bench.another("two").give_up_dead() == []  # the trigger is cli: nobody runs it again

    bench.left.before = slow
    with pytest.raises(StoreError, match="given up as dead"):
        bench.runner.run("stock")
    assert bench.runs() == [("cli", "finished", "failed")]
    assert bench.heard == []


def test_a_long_run_says_that_it_is_alive(bench: Bench) -> None:
    """Settling takes longer than the lease; nobody may give the run up meanwhile."""
    bench.specs = (stock_audit(settle=timedelta(seconds=60)),)
    bench.right.datasets["stock"].pop()
    runner = bench.another()
    watcher = bench.another("two")
    original = bench.clock.sleep

    def sleep(seconds: float) -> None:
        original(seconds)
        watcher.give_up_dead()

    bench.clock.sleep = sleep  # type: ignore[method-assign]
    assert runner.run("stock").verdict is Verdict.DRIFT
    assert bench.runs() == [("cli", "finished", "drift")]


def test_of_two_processes_only_one_runs_a_slot(bench: Bench) -> None:
    slot = bench.clock.now()
    assert bench.runner.run_slot("stock", slot) is not None
    assert bench.another("two").run_slot("stock", slot) is None
    assert bench.runs() == [("schedule", "finished", "clean")]


def test_told_to_stop_a_run_is_left_to_the_next_start_and_alarms_nobody(bench: Bench) -> None:
    bench.left.before = lambda _: bench.runner._life.stopping.set()
    with pytest.raises(UnavailableError, match="audit 'stock' was stopped with its process; it is run again"):
        bench.runner.run("stock", trigger="schedule")
    assert bench.heard == []
    assert bench.runs() == [("schedule", "running", "")]
    assert bench.another("two").give_up_dead() == ["stock"]


def test_a_run_in_the_background_has_its_number_at_once(bench: Bench) -> None:
    gate = threading.Event()
    bench.left.before = lambda _: gate.wait(10)
    run = bench.runner.start("stock")
    with bench.database.read() as connection:
        assert records.run_of(connection, run).state is AuditRunState.RUNNING
        with pytest.raises(UsageError, match=f"audit run {run} has not finished"):
            records.report(connection, run)
    gate.set()
    bench.runner._life._pool.shutdown(wait=True)
    assert bench.stored(run).verdict is Verdict.CLEAN


def test_the_same_audit_is_compared_once_at_a_time(bench: Bench) -> None:
    gate = threading.Event()
    bench.left.before = lambda _: gate.wait(30)
    threads = [threading.Thread(target=bench.runner.run, args=("stock",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while len(bench.runs()) < 3 or not bench.left.asked:
        assert clock.monotonic() < deadline
        clock.sleep(0.01)
    # All three are written down; one reads, two wait.
    assert len(bench.left.asked) == 1
    gate.set()
    for thread in threads:
        thread.join(30)
    assert bench.runs() == [("cli", "finished", "clean")] * 3


def test_a_start_shows_the_last_known_state_again(bench: Bench) -> None:
    bench.right.datasets["stock"].pop()
    bench.runner.run_slot("stock", bench.clock.now())
    bench.metrics = Metrics()
    assert bench.another("two").restore() == {"stock": bench.clock.now()}
    text = bench.metrics.render().decode()
    assert 'tillwatch_drift_rows{audit="stock",interface="",kind="missing",site=""} 1.0' in text
    assert 'tillwatch_audit_rows{audit="stock",interface="",side="left",site=""} 3.0' in text
    assert 'tillwatch_audit_interval_seconds{audit="stock"} 20.0' in text


def test_old_runs_are_removed_with_their_differences(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEEP_RUNS", 3)
    bench.right.datasets["stock"].pop()
    runs = [bench.runner.run("stock").run for _ in range(6)]
    with bench.database.read() as connection:
        assert [run.run for run in records.runs(connection, limit=50)] == runs[:2:-1]
        assert differences.page(connection, runs[0]) == []


def test_audits_that_make_no_sense_are_all_named_at_once(bench: Bench) -> None:
    loose = {"sku": Field(type="decimal", tolerance=Decimal(1)), "price": Field(type="decimal")}
    bench.specs = (
        stock_audit(id="a", value="left"),
        stock_audit(id="b", key=("sku", "sku")),
        stock_audit(id="c", fields=loose),
        stock_audit(id="d", totals_by="skuu"),
    )
    with pytest.raises(UsageError) as caught:
        bench.another()
    assert str(caught.value).splitlines() == [
        "audit 'a': value: 'left': column 1: 'left' is not known; write left.FIELD",
        "audit 'b': key: sku stands there twice; remove one",
        "audit 'c': key: sku has a tolerance; rows are matched by equal keys",
        "audit 'd': totals_by: skuu is neither in the key nor in the fields; did you mean 'sku'?",
    ]


def test_a_defect_of_ours_is_a_failed_run_that_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(examine_module.plan, "choose", burst)
    report = bench.runner.run("stock")
    assert (report.verdict, bench.heard) == (Verdict.FAILED, [report])
    assert report.reason.startswith("a defect of tillwatch: ZeroDivisionError: division by zero; ")
