"""Suspects outlive their run: the next one goes on with the time they have stood still."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.audits import FakeSource, FakeSources, Killed, chain, stock, stock_audit

from tillwatch.audit.ledger import StoredLedger, remembered, standing
from tillwatch.audit.runner import AuditRunner
from tillwatch.audit.suspects import Standing
from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SourceUnavailable
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Remembered, Verdict
from tillwatch.runs.life import LEASE, Life
from tillwatch.store import audits as records
from tillwatch.store import suspects as store
from tillwatch.store.db import Database

ROWS = stock(("001", "1", "1"), ("002", "2", "2"), ("003", "3", "3"))
SETTLE = timedelta(seconds=30)


class Bench:
    """Runners over two fake sources and one store; each `another` is a new process."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.left, self.right = FakeSource("erp", {"stock": list(ROWS)}), FakeSource("till", {"stock": list(ROWS)})
        self.database, self.clock, self.metrics = database, clock, Metrics()
        self.runner = self.another()

    def another(self, owner: str = "one") -> AuditRunner:
        return AuditRunner(
            chain(stock_audit(settle=SETTLE)),
            FakeSources(self.left, self.right),
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            owner=owner,
        )

    def kept(self) -> list[Remembered]:
        with self.database.read() as connection:
            return store.suspects(connection, "stock")

    def settle_of(self, report: AuditReport) -> Any:
        return report.evidence["settle"]


@pytest.fixture
def bench(database: Database, clock: ManualClock) -> Iterator[Bench]:
    bench = Bench(database, clock)
    yield bench
    bench.runner.stop()


def begun(bench: Bench, owner: str = "one") -> int:
    """A run that is written down, as by a process that then does something else."""
    now = bench.clock.now()
    run = bench.database.write(
        lambda connection: records.begin(
            connection,
            audit="stock",
            trigger="schedule",
            slot=None,
            owner=owner,
            now=now,
            lease_until=now + LEASE,
        )
    )
    assert run is not None
    return run


def ledger_of(bench: Bench, run: int, owner: str = "one") -> StoredLedger:
    return StoredLedger(bench.database, audit="stock", run=run, owner=owner)


def suspect(bench: Bench, key: str, *, still: float, windows: int = 0) -> Remembered:
    now = bench.clock.now()
    since = now - timedelta(seconds=still)
    return Remembered(key=f'["{key}"]', first_seen=since, since=since, windows=windows, left="", right="")


def test_suspects_come_back_as_they_were_and_replace_those_before(bench: Bench) -> None:
    ledger = ledger_of(bench, begun(bench))
    first = [suspect(bench, "001", still=5), suspect(bench, "\\u0000衣", still=7, windows=1)]
    ledger.save(first)
    assert bench.kept() == first
    ledger.save(first[1:])
    assert bench.kept() == first[1:]
    ledger.save([])
    assert bench.kept() == []


def test_a_run_that_was_given_up_changes_nothing(bench: Bench) -> None:
    run = begun(bench)
    ledger = ledger_of(bench, run)
    ledger.save([suspect(bench, "001", still=5)])
    bench.clock.advance(LEASE.total_seconds() + 1)
    assert bench.runner.give_up_dead() == ["stock"]
    ledger.save([])
    assert len(bench.kept()) == 1
    ledger_of(bench, begun(bench, "two"), "two").save([suspect(bench, "002", still=0)])
    ledger.save([])
    assert [one.key for one in bench.kept()] == ['["002"]']


def test_suspects_of_a_dead_run_are_taken_over_with_the_time_they_stood_still(bench: Bench) -> None:
    """The first process saw the row for one window; the second needs one more, not two."""
    bench.right.datasets["stock"] = stock(("001", "1", "1"), ("002", "9", "2"), ("003", "3", "3"))
    dead = _Stopping(bench, windows=1)
    with pytest.raises(Killed):
        dead.run()
    (kept,) = bench.kept()
    assert (kept.key, kept.windows) == ('["002"]', 1)
    bench.clock.advance(LEASE.total_seconds() + 1)
    another = bench.another("two")
    assert another.give_up_dead() == ["stock"]
    assert len(bench.kept()) == 1
    before = bench.clock.monotonic()
    report = another.run_slot("stock", None)
    assert report is not None
    assert [row.key["sku"] for row in report.differences] == ["002"]
    assert bench.settle_of(report)["carried"] == 1
    assert bench.clock.monotonic() - before < SETTLE.total_seconds()
    assert bench.kept() == []
    another.stop()


def test_a_suspect_that_became_equal_while_nobody_looked_is_cleared_and_says_nothing_of_the_lag(bench: Bench) -> None:
    ledger_of(bench, begun(bench)).save([suspect(bench, "002", still=500)])
    report = bench.runner.run("stock")
    assert report.verdict is Verdict.CLEAN
    assert (bench.settle_of(report)["carried"], report.evidence["cleared"]) == (1, 1)
    assert "lag" not in report.evidence
    assert bench.kept() == []


def test_rows_that_kept_moving_are_looked_at_first_by_the_next_run(bench: Bench) -> None:
    bench.right.keys = False
    moving = iter(range(10, 1000))

    def move(_: int) -> None:
        bench.right.datasets["stock"] = stock(("001", "1", "1"), ("002", str(next(moving)), "2"), ("003", "3", "3"))

    bench.right.before = move
    report = bench.runner.run("stock")
    assert (report.verdict, report.unsettled) == (Verdict.INCONCLUSIVE, 1)
    assert [one.key for one in bench.kept()] == ['["002"]']
    first_seen = bench.kept()[0].first_seen
    bench.runner.run("stock")
    assert [one.first_seen for one in bench.kept()] == [first_seen]
    text = bench.metrics.render().decode()
    assert 'tillwatch_drift_suspects{audit="stock",interface="",site=""} 1.0' in text
    assert 'tillwatch_drift_unsettled{audit="stock",interface="",site=""} 1.0' in text


def test_a_run_that_fails_leaves_the_suspects_as_they_are(bench: Bench) -> None:
    bench.right.datasets["stock"] = stock(("001", "1", "1"), ("002", "9", "2"), ("003", "3", "3"))

    def lost(number: int) -> None:
        if number == 2:
            raise SourceUnavailable("connection reset", cause=Cause.TCP)

    bench.right.before = lost
    assert bench.runner.run("stock").verdict is Verdict.FAILED
    assert [one.key for one in bench.kept()] == ['["002"]']
    bench.right.before = int
    report = bench.runner.run("stock")
    assert bench.settle_of(report)["carried"] == 1
    assert report.changed == 1


def test_only_so_many_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillwatch.audit.settle.MAX_REMEMBERED", 2)
    bench.right.datasets["stock"] = []
    with pytest.raises(Killed):
        _Stopping(bench, windows=1).run()
    assert len(bench.kept()) == 2


def test_the_measured_lag_is_that_of_the_slowest_of_the_last_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured() -> float:
        with bench.database.read() as connection:
            return store.measured_lag(connection, "stock")

    monkeypatch.setattr(store, "RUNS_OF_LAG", 2)
    assert measured() == 0.0
    versions = [stock(("001", "1", "1"), ("002", "9", "2"), ("003", "3", "3")), list(ROWS)]
    bench.right.before = lambda number: bench.right.datasets.__setitem__("stock", versions[number > 1])
    report = bench.runner.run("stock")
    lag = report.evidence["lag"]
    assert isinstance(lag, dict)
    assert 0 < lag["p99"] == measured() < SETTLE.total_seconds()
    text = bench.metrics.render().decode()
    assert 'tillwatch_sync_converge_seconds_count{audit="stock"} 1.0' in text
    assert 'tillwatch_audit_sync_lag_seconds{audit="stock",interface="",site=""}' in text
    bench.runner.run("stock")
    assert measured() > 0
    bench.runner.run("stock")
    assert measured() == 0.0


def test_a_wall_clock_that_was_set_back_makes_nobody_wait_longer(clock: ManualClock) -> None:
    clock.advance(100)
    kept = remembered(b'["1"]', Standing(first=40.0, since=70.0, windows=1, left="a", right="b"), clock)
    assert (standing(kept, clock).first, standing(kept, clock).since) == (40.0, 70.0)
    clock.jump(-3600)
    assert standing(kept, clock).since == 100.0
    clock.jump(7200)
    assert standing(kept, clock).since < 70.0 - 3000


class _Stopping:
    """A run whose process dies right after it saved its suspects for the so-many-th window."""

    def __init__(self, bench: Bench, *, windows: int) -> None:
        self._bench, self._windows = bench, windows

    def run(self) -> None:
        bench, saves = self._bench, [0]
        windows = self._windows

        class Dying(StoredLedger):
            def save(self, suspects: Any) -> None:
                super().save(suspects)
                saves[0] += 1
                if saves[0] > windows:
                    raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tillwatch.audit.runner.StoredLedger", Dying)
            # A dead process releases nothing.
            patch.setattr(Life, "_let_go", lambda *_: None)
            bench.runner.run_slot("stock", bench.clock.now())
