"""Audits run when they are due, a bounded number at a time, and again after a crash."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from tests.support.audits import ZONE, stock_audit

from tillwatch.audit.declare import Declared, declare
from tillwatch.audit.loop import MAX_WORKERS, AuditLoop
from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport


class FakeRunner:
    """Remembers what it was told to run."""

    def __init__(self, *audits: str, schedule: str = "@every 60s") -> None:
        self.declared: Mapping[str, Declared] = {
            audit: declare(stock_audit(id=audit, schedule=schedule), ZONE) for audit in audits
        }
        self.known: dict[str, datetime] = {}
        self.dead: list[str] = []
        self.ran: list[tuple[str, datetime | None]] = []
        self.errors: list[Exception] = []
        self.hold = Event()
        self.hold.set()
        self.stopped = False

    def restore(self) -> Mapping[str, datetime]:
        return self.known

    def give_up_dead(self) -> list[str]:
        dead, self.dead = self.dead, []
        return dead

    def run_slot(self, audit_id: str, slot: datetime | None) -> AuditReport | None:
        self.hold.wait(30)
        self.ran.append((audit_id, slot))
        if self.errors:
            raise self.errors.pop()
        return None

    def stop(self) -> None:
        self.stopped = True


class Bench:
    def __init__(self, runner: FakeRunner) -> None:
        self.runner = runner
        self.clock = ManualClock(datetime(2026, 11, 24, 3, 0, tzinfo=UTC))
        self.metrics = Metrics()
        self.loop = AuditLoop(runner, clock=self.clock, metrics=self.metrics)
        self.loop.prepare()

    def step(self) -> list[str]:
        started = self.loop.step()
        real = SystemClock()
        deadline = real.monotonic() + 30
        while self.runner.hold.is_set() and not all(future.done() for future in self.loop._running.values()):
            assert real.monotonic() < deadline
            real.sleep(0.001)
        return started


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(FakeRunner("stock"))
    yield bench
    bench.runner.hold.set()
    bench.loop._pool.shutdown(wait=True)


def test_an_audit_runs_once_a_slot(bench: Bench) -> None:
    assert bench.step() == []
    ran = 0
    for _ in range(120):
        bench.clock.advance(1)
        ran += len(bench.step())
    assert ran == 2
    first, second = (slot for _, slot in bench.runner.ran)
    assert first is not None
    assert second is not None
    assert second - first == timedelta(seconds=60)


def test_slots_missed_while_down_are_made_up_for_by_one_run_and_counted(bench: Bench) -> None:
    bench.runner.known = {"stock": bench.clock.now() - timedelta(minutes=10)}
    bench.loop.prepare()
    assert bench.step() == ["stock"]
    assert bench.step() == []
    text = bench.metrics.render().decode()
    assert 'tillwatch_loop_dropped_total{loop="audits",reason="missed_slot"} 9.0' in text


def test_a_run_that_died_is_run_again_at_once_and_only_once(bench: Bench) -> None:
    bench.runner.dead = ["stock", "stock"]
    bench.clock.advance(6)
    assert bench.step() == ["stock"]
    assert bench.runner.ran == [("stock", None)]


def test_no_more_than_the_workers_run_at_once_and_the_rest_is_not_forgotten() -> None:
    bench = Bench(FakeRunner(*(f"audit-{number}" for number in range(5))))
    bench.runner.hold.clear()
    bench.clock.advance(60)
    assert len(bench.step()) == MAX_WORKERS
    assert bench.step() == []
    bench.runner.hold.set()
    for _ in range(10):
        bench.step()
    assert sorted(audit for audit, _ in bench.runner.ran) == [f"audit-{number}" for number in range(5)]
    bench.loop._pool.shutdown(wait=True)


def test_a_run_that_could_not_be_stored_is_run_again(bench: Bench) -> None:
    bench.runner.errors = [StoreError("the disk is full")]
    bench.clock.advance(60)
    assert bench.step() == ["stock"]
    assert bench.step() == ["stock"]
    assert len(bench.runner.ran) == 2
    assert 'tillwatch_loop_errors_total{loop="audits"} 1.0' in bench.metrics.render().decode()


def test_a_defect_of_one_run_does_not_end_the_loop_and_is_not_repeated(bench: Bench) -> None:
    bench.runner.errors = [ZeroDivisionError("x")]
    bench.clock.advance(60)
    assert bench.step() == ["stock"]
    assert bench.step() == []
    bench.clock.advance(60)
    assert bench.step() == ["stock"]


def test_told_to_stop_it_stops_the_runner(bench: Bench) -> None:
    stop = Event()
    stop.set()
    bench.loop.run(stop)
    assert bench.runner.stopped


def test_a_store_that_is_away_at_the_start_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, tries = Event(), []

    def restore() -> Mapping[str, datetime]:
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("the database could not be read")
        stop.set()
        return {}

    monkeypatch.setattr(bench.runner, "restore", restore)
    bench.loop.run(stop)
    assert len(tries) == 2
    assert 'tillwatch_loop_errors_total{loop="audits"} 1.0' in bench.metrics.render().decode()
