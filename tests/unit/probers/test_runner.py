"""Measured, counted, remembered, raised: in one transaction, also across a restart and a store that refuses."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.unit.probers.chains import chain
from tests.unit.probers.fakes import FAILED_TCP, FakeProber, FakeSource

from tillwatch.clock import ManualClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Alert
from tillwatch.model.probe import Outcome, ProbeStatus
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.runner import ProbeRunner
from tillwatch.store import probes as memory
from tillwatch.store.db import Database

ONE = "  - {id: erp-api, prober: fake, system: erp, every: 15s, timeout: 1h, fail_after: 2, recover_after: 1, severity: critical}\n"
TWO = ONE + "  - {id: till-db, prober: fake, system: till, every: 30s}\n"


class FakeSources:
    def get(self, system: str) -> FakeSource:  # noqa: ARG002
        return FakeSource()


class Bench:
    """A runner and everything it says."""

    def __init__(self, root: Path, database: Database, clock: ManualClock, *, probes: str = ONE) -> None:
        self.config = chain(root, probes)
        self.database = database
        self.clock = clock
        self.prober = FakeProber()
        self.metrics = Metrics()
        self.alerts: list[str] = []
        self.histories: list[list[str]] = []
        self.refuse = False
        self.runner = self.again()

    def again(self) -> ProbeRunner:
        """A runner as after a restart: new, on the same store."""
        self.runner = ProbeRunner(
            self.config,
            {"fake": self.prober},
            FakeSources(),
            database=self.database,
            clock=self.clock,
            on_verdict=self._take,
            metrics=self.metrics,
        )
        return self.runner

    def _take(self, connection: Connection, alerts: Sequence[Alert], now: datetime) -> None:
        assert connection.in_transaction()
        assert now == self.clock.now()
        if self.refuse:
            raise StoreError("the disk is full")
        self.histories += [[past["outcome"] for past in alert.evidence.get("history", ())] for alert in alerts]  # type: ignore[attr-defined]
        self.alerts += [f"{'-' if alert.ends_at else '+'}{alert.name} {alert.labels['probe']}" for alert in alerts]

    def run(self, *findings: Finding | BaseException, probe: str = "erp-api") -> None:
        for finding in findings:
            self.prober.findings = [finding]
            self.clock.advance(15)
            self.runner.run_now([probe])

    def status(self, probe: str = "erp-api") -> ProbeStatus:
        with self.database.read() as connection:
            return memory.load_states(connection)[probe].status


@pytest.fixture
def bench(tmp_path: Path, sqlite_database: Database, clock: ManualClock) -> Bench:
    return Bench(tmp_path / "chain", sqlite_database, clock)


def test_a_result_is_returned_remembered_and_shown(bench: Bench) -> None:
    bench.prober.findings = [FAILED_TCP]
    (result,) = bench.runner.run_now(["erp-api"])
    assert (result.outcome, result.message) == (Outcome.FAILED, "refused")
    with bench.database.read() as connection:
        assert memory.history(connection, "erp-api", 10) == [result]
    assert b'probe_success{probe="erp-api",system="erp",site="hq"} 0.0' in bench.metrics.render()


def test_the_threshold_raises_and_recovery_ends(bench: Bench) -> None:
    bench.run(FAILED_TCP)
    assert bench.alerts == []
    bench.run(FAILED_TCP, FAILED_TCP, OK, OK)
    assert bench.alerts == ["+InterfaceDown erp-api", "+InterfaceDown erp-api", "-InterfaceDown erp-api"]
    assert bench.status() is ProbeStatus.OK


def test_an_alert_carries_the_results_before_it_newest_first(bench: Bench) -> None:
    bench.run(OK, OK, FAILED_TCP, FAILED_TCP)
    assert bench.histories[0] == ["failed", "failed", "ok", "ok"]


def test_the_count_goes_on_after_a_restart(bench: Bench) -> None:
    bench.run(FAILED_TCP)
    bench.again()
    bench.run(FAILED_TCP)
    assert bench.alerts == ["+InterfaceDown erp-api"]
    bench.again()
    bench.run(OK)
    assert bench.alerts == ["+InterfaceDown erp-api", "-InterfaceDown erp-api"]


def test_two_processes_on_one_store_count_one_sequence(bench: Bench) -> None:
    server = bench.runner
    command = bench.again()
    bench.prober.findings = [FAILED_TCP]
    server.run_now(["erp-api"])
    bench.clock.advance(1)
    command.run_now(["erp-api"])
    assert bench.alerts == ["+InterfaceDown erp-api"]


def test_when_the_alert_cannot_be_stored_the_result_is_not_either_and_the_next_run_makes_up_for_it(
    bench: Bench,
) -> None:
    bench.run(FAILED_TCP)
    bench.refuse = True
    with pytest.raises(StoreError, match="the disk is full"):
        bench.run(FAILED_TCP)
    assert (bench.status(), bench.alerts) == (ProbeStatus.PENDING, [])
    assert b'tillwatch_loop_dropped_total{loop="probes",reason="not_stored"} 1.0' in bench.metrics.render()
    bench.refuse = False
    bench.run(FAILED_TCP)
    assert (bench.status(), bench.alerts) == (ProbeStatus.FAILING, ["+InterfaceDown erp-api"])


def test_several_probes_run_at_the_same_time(tmp_path: Path, sqlite_database: Database, clock: ManualClock) -> None:
    bench = Bench(tmp_path / "chain", sqlite_database, clock, probes=TWO)
    together: list[str] = []
    met = asyncio.Event()

    class Meeting(FakeProber):
        async def measure(self, target: Target, recorder: Recorder) -> Finding:  # noqa: ARG002
            together.append(target.probe.id)
            if len(together) == 2:
                met.set()
            await met.wait()
            return OK

    bench.prober = Meeting()
    results = bench.again().run_now(["till-db", "erp-api"])
    assert [result.probe for result in results] == ["till-db", "erp-api"]


def test_an_unknown_probe_is_named_and_nothing_runs(bench: Bench) -> None:
    with pytest.raises(UsageError, match="there is no probe 'erp-apo'; did you mean 'erp-api'"):
        bench.runner.run_now(["erp-api", "erp-apo"])
    assert bench.prober.calls == 0


def test_a_probe_that_left_the_directory_ends_its_alert_and_is_forgotten(
    tmp_path: Path, sqlite_database: Database, clock: ManualClock
) -> None:
    bench = Bench(tmp_path / "chain", sqlite_database, clock, probes=TWO)
    bench.run(FAILED_TCP, FAILED_TCP, FAILED_TCP, probe="till-db")
    bench.config = chain(tmp_path / "chain", ONE)
    assert bench.again().retire() == ["till-db"]
    assert bench.alerts[-1] == "-InterfaceDown till-db"
    assert bench.runner.retire() == []


class StopAfter:
    """Set once the clock has passed `seconds`."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.now() + timedelta(seconds=seconds)

    def is_set(self) -> bool:
        return self._clock.now() >= self._end


class PatientClock(ManualClock):
    """A manual clock that lets every task of the loop finish, or hang, before its time moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.hanging: set[asyncio.Task[object] | None] = set()

    async def wait(self, seconds: float) -> None:
        while pending := asyncio.all_tasks() - self.hanging - {asyncio.current_task()}:
            await asyncio.wait(pending, timeout=0.01)
        await super().wait(seconds)


def test_the_loop_runs_every_probe_on_its_schedule(tmp_path: Path, sqlite_database: Database) -> None:
    clock = PatientClock()
    bench = Bench(tmp_path / "chain", sqlite_database, clock, probes=TWO)
    asyncio.run(bench.runner.loop(StopAfter(clock, 300)))
    with sqlite_database.read() as connection:
        counts = [len(memory.history(connection, probe, 100)) for probe in ("erp-api", "till-db")]
    assert counts == [20, 10]
    assert b'tillwatch_loop_last_success_timestamp_seconds{loop="probes"}' in bench.metrics.render()


def test_the_loop_shows_what_is_remembered_before_anything_ran(tmp_path: Path, sqlite_database: Database) -> None:
    clock = PatientClock()
    bench = Bench(tmp_path / "chain", sqlite_database, clock)
    bench.run(FAILED_TCP, FAILED_TCP)
    bench.metrics = Metrics()
    asyncio.run(bench.again().loop(StopAfter(clock, 0)))
    assert b'tillwatch_probe_failing{probe="erp-api",system="erp",site="hq"} 1.0' in bench.metrics.render()


def test_a_defect_in_one_probe_does_not_end_the_loop(
    tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = PatientClock()
    bench = Bench(tmp_path / "chain", sqlite_database, clock, probes=TWO)
    save = memory.save_result

    def broken(connection: Connection, state: object, result: object) -> None:
        if getattr(result, "probe", "") == "erp-api":
            raise ZeroDivisionError
        save(connection, state, result)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "save_result", broken)
    asyncio.run(bench.runner.loop(StopAfter(clock, 90)))
    with sqlite_database.read() as connection:
        assert len(memory.history(connection, "till-db", 100)) == 3
    assert b'tillwatch_loop_errors_total{loop="probes"} 6.0' in bench.metrics.render()


def test_a_probe_that_still_runs_misses_its_slot_and_the_miss_is_counted(
    tmp_path: Path, sqlite_database: Database
) -> None:
    clock = PatientClock()
    bench = Bench(tmp_path / "chain", sqlite_database, clock)

    class Hanging(FakeProber):
        async def measure(self, target: Target, recorder: Recorder) -> Finding:  # noqa: ARG002
            self.calls += 1
            clock.hanging.add(asyncio.current_task())
            await asyncio.Event().wait()
            return OK

    bench.prober = Hanging()
    asyncio.run(bench.again().loop(StopAfter(clock, 60)))
    assert bench.prober.calls == 1
    assert b'tillwatch_loop_dropped_total{loop="probes",reason="still_running"} 3.0' in bench.metrics.render()


def test_run_now_may_be_called_from_any_thread_while_the_loop_runs(tmp_path: Path, sqlite_database: Database) -> None:
    clock = PatientClock()
    bench = Bench(tmp_path / "chain", sqlite_database, clock)
    outcomes: list[Outcome] = []
    caller = threading.Thread(target=lambda: outcomes.append(bench.runner.run_now(["erp-api"])[0].outcome))

    caller.start()
    asyncio.run(bench.runner.loop(StopAfter(clock, 60)))
    caller.join(10)
    assert outcomes == [Outcome.OK]
