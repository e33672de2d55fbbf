"""What every run of a process has: its turn, its sign of life, its end."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import UnavailableError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.runs import life as life_module
from tillwatch.runs.life import LEASE, Life
from tillwatch.store import validations
from tillwatch.store.db import Database


@pytest.fixture
def life(sqlite_database: Database, clock: ManualClock) -> Iterator[Life]:
    made = Life(
        "validation", validations.LIFE, ["stock"], database=sqlite_database, clock=clock, metrics=Metrics(),
        owner="one", loop="validations",
    )  # fmt: skip
    yield made
    made.stop()


def begun(database: Database, clock: ManualClock) -> int:
    now = clock.now()
    run = database.write(
        lambda connection: validations.begin(
            connection, validation="stock", system="till", dataset="stock", trigger="cli", slot=None, owner="one",
            now=now, lease_until=now + LEASE,
        )
    )  # fmt: skip
    assert run is not None
    return run


def ignored(_: object) -> bool:
    return False


def test_a_run_that_says_it_is_alive_is_not_given_up(life: Life, sqlite_database: Database, clock: ManualClock) -> None:
    run = begun(sqlite_database, clock)
    with life.turn("stock", run) as beat:
        for _ in range(5):
            clock.advance(LEASE.total_seconds() / 2)
            beat()
            assert sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now())) == []
        clock.advance(LEASE.total_seconds() + 1)
        assert sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now())) == [run]


def test_a_run_that_was_begun_is_alive_for_one_lease_and_has_its_slot_alone(
    life: Life, sqlite_database: Database, clock: ManualClock
) -> None:
    write_down, slot = partial(validations.begin, validation="stock", system="till", dataset="stock"), clock.now()
    run = life.begin(write_down, "schedule", slot)
    assert life.begin(write_down, "schedule", slot) is None
    other = life.begun(write_down, "cli")
    clock.advance(LEASE.total_seconds() - 1)
    assert sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now())) == []
    clock.advance(1)
    assert sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now())) == [run, other]


def test_a_run_that_waits_for_a_worker_is_alive_as_long_as_others_work(
    life: Life, sqlite_database: Database, clock: ManualClock
) -> None:
    gate, numbers = threading.Event(), [begun(sqlite_database, clock) for _ in range(life_module.MAX_WORKERS)]

    def working(_: int) -> None:
        gate.wait(10)

    for run in numbers:
        life.in_background("stock", partial(int, run), working)
    waiting = life.in_background("stock", lambda: begun(sqlite_database, clock), working)
    with life.turn("stock", numbers[0]) as beat:
        for _ in range(5):
            clock.advance(LEASE.total_seconds() / 2)
            beat()
            dead = sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now()))
            assert waiting not in dead
        clock.advance(LEASE.total_seconds() + 1)
        assert waiting in sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now()))
    gate.set()


def test_more_than_may_wait_are_refused_and_one_lost_is_counted(
    sqlite_database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life_module, "MAX_WAITING", 1)
    metrics, gate = Metrics(), threading.Event()
    life = Life(
        "audit",
        validations.LIFE,
        [],
        database=sqlite_database,
        clock=clock,
        metrics=metrics,
        owner="one",
        loop="audits",
    )

    def lost(_: int) -> None:
        gate.wait(10)
        raise RuntimeError

    assert life.in_background("stock", lambda: 7, lost) == 7
    with pytest.raises(UsageError, match="1 audit runs are waiting"):
        life.in_background("stock", lambda: 8, ignored)
    gate.set()
    life.stop()
    assert b'tillwatch_loop_errors_total{loop="audits"} 1.0' in metrics.render()


def test_what_failed_because_the_process_stops_is_no_report(
    life: Life, sqlite_database: Database, clock: ManualClock
) -> None:
    run = begun(sqlite_database, clock)
    life.stopping.set()
    with pytest.raises(UnavailableError, match="validation 'stock' was stopped with its process; it is run again"):
        life.work("stock", run, lambda: "failed", defect=str, failed=lambda report: report == "failed")
    assert sqlite_database.write(lambda connection: life.records.give_up(connection, clock.now())) == [run]


def test_a_defect_is_a_report_and_a_refusal_is_none(life: Life) -> None:
    def broken() -> str:
        raise ValueError("oops")

    assert life.work("stock", 1, broken, defect=lambda error: f"defect: {error}", failed=ignored) == "defect: oops"
    with pytest.raises(ValueError, match="oops"):
        life.work("stock", 1, broken, defect=str, failed=ignored, refusals=(ValueError,))
