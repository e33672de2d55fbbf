"""The server's loops: started again when they die, stopped when asked, and honest about how they are."""

import threading
from datetime import timedelta

from tillwatch.app.loops import SILENT_AFTER, Loops, rounds
from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics

PATIENCE_SECONDS = 20.0


def test_a_loop_that_dies_is_started_again_and_counted() -> None:
    metrics, lived = Metrics(), threading.Event()
    lives: list[int] = []

    def run(stop: threading.Event) -> None:
        lives.append(1)
        if len(lives) == 1:
            raise ValueError("a defect")
        lived.set()
        stop.wait()

    loops = Loops(clock=SystemClock(), metrics=metrics)
    loops.start([("frail", run)])
    assert lived.wait(PATIENCE_SECONDS)
    assert loops.stop() == []
    assert b'tillwatch_loop_errors_total{loop="frail"} 1.0' in metrics.render()


def test_a_round_that_could_not_be_stored_is_done_again() -> None:
    metrics, clock, done = Metrics(), SystemClock(), threading.Event()
    rounds_done: list[int] = []

    def work() -> None:
        rounds_done.append(1)
        if len(rounds_done) == 1:
            raise StoreError("the disk is full")
        done.set()

    loops = Loops(clock=clock, metrics=metrics)
    loops.start([("books", rounds("books", work, every_seconds=0.01, clock=clock, metrics=metrics))])
    assert done.wait(PATIENCE_SECONDS)
    assert loops.stop() == []
    assert [health.problem for health in loops.loops()] == [""]


def test_a_loop_that_finishes_no_round_is_not_well_whatever_its_thread_does() -> None:
    metrics, clock, entered = Metrics(), ManualClock(), threading.Event()

    def run(stop: threading.Event) -> None:
        entered.set()
        stop.wait()

    loops = Loops(clock=clock, metrics=metrics)
    loops.start([("stuck", run)])
    assert entered.wait(PATIENCE_SECONDS)
    assert [health.problem for health in loops.loops()] == [""]
    clock.jump((SILENT_AFTER + timedelta(seconds=1)).total_seconds())
    [health] = loops.loops()
    assert health.problem.startswith("no finished round since")
    loops.stop()
