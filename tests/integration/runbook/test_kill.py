"""kill -9 at every boundary of do, verify and undo: another process finishes, and nothing that was done is done twice."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from tests.support import runbook_victim
from tests.support.runbook_chain import LEASE, World, make_desk, markdown, read_chain, registry, write_chain

from tillwatch.clock import SystemClock
from tillwatch.model.runbook import Run, RunState
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.desk import RunbookDesk
from tillwatch.runbook.worker import RunWorker
from tillwatch.store.db import Database

SECONDS = 30.0
# Every victim is a process of its own, forked from one that has the imports done already.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.runbook_victim"])


def change(name: str) -> str:
    return f"""
id: {name}
do: test.set
with: {{name: {name}, value: new}}
verify: {{do: test.is, with: {{name: {name}, value: new}}}}
undo: {{do: test.set, with: {{name: {name}, value: old}}, verify: {{do: test.is, with: {{name: {name}, value: old}}}}}}
"""


BOOK_ONCE = """
id: book
do: test.once
with: {name: bill}
verify: {do: test.is, with: {name: bill, value: booked}}
undo: {keep: {zh: 保留, en: kept}}
"""
BREAK = """
id: last
do: test.set
with: {name: last, value: x, error: broken on purpose}
verify: {do: test.is, with: {name: last, value: x}}
undo: {do: test.set, with: {name: last, value: old}, verify: {do: test.is, with: {name: last, value: old}}}
"""
FORWARD = markdown(change("a"), change("b"), BOOK_ONCE)
BACK = markdown(change("a"), change("b"), BREAK)

DO = ["do:b", "mid:run-1-b-do", "late:run-1-b-do", "acted:b", "done:b"]
VERIFY = ["verifying:b", "mid:run-1-b-verify", "checked:b", "verified:b"]
ONCE = ["do:book", "mid:run-1-book-do", "late:run-1-book-do", "acted:book", "done:book"]
UNDO = [
    "compensating",
    "undo:b",
    "mid:run-1-b-undo",
    "late:run-1-b-undo",
    "undid:b",
    "undo_done:b",
    "verifying_undo:b",
    "mid:run-1-b-verify_undo",
    "undone:b",
]


class Stage:
    """A chain on a shared database, a process that dies, and this process that takes over."""

    def __init__(self, folder: Path, database: Database, text: str) -> None:
        write_chain(folder, text)
        self.folder = folder
        self.world = World(folder / "world")
        self.url = database.url.render_as_string(hide_password=False)
        self.clock = SystemClock()
        self.database = Database.open(self.url, clock=self.clock)
        self.desk: RunbookDesk = make_desk(folder, self.database, self.clock)
        self.run = self.desk.start("test", {}, actor="ann").id
        services = ActionServices(config=read_chain(folder), database=self.database, clock=self.clock)
        self.worker = RunWorker(services, registry=registry(self.world), lease=LEASE, owner="heir")

    def victim(self, crash_at: str) -> ForkServerProcess:
        event = "" if crash_at.startswith(("mid:", "late:")) else crash_at
        if not event and crash_at:
            (self.world.folder / "crash").write_text(crash_at)
        process = PROCESSES.Process(target=runbook_victim.main, args=(self.folder, self.url, event))
        process.start()
        return process

    def take_over(self) -> Run:
        """Work like a second server until the run rests."""
        self.until(lambda: self.worker.step() is not None or self.desk.get(self.run).state.is_final)
        return self.desk.get(self.run)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = self.clock.monotonic() + SECONDS
        while not condition():
            assert self.clock.monotonic() < deadline, self.desk.get(self.run)
            threading.Event().wait(0.05)


@pytest.fixture
def stage(tmp_path: Path, database: Database) -> Iterator[Callable[[str], Stage]]:
    opened: list[Stage] = []

    def build(text: str) -> Stage:
        opened.append(Stage(tmp_path / "chain", database, text))
        return opened[-1]

    yield build
    for one in opened:
        one.database.close()


def died(process: ForkServerProcess) -> bool:
    process.join(SECONDS)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("crash_at", [*DO, *VERIFY, *ONCE])
def test_a_run_killed_on_its_way_is_finished_by_another_process(stage: Callable[[str], Stage], crash_at: str) -> None:
    scene = stage(FORWARD)
    assert died(scene.victim(crash_at))
    run = scene.take_over()
    assert run.state is RunState.SUCCEEDED, run.reason
    assert [scene.world.get(name) for name in "ab"] == ["new", "new"]
    assert scene.world.count("ledger", "bill") == 1
    assert scene.world.count("begin", "run-1-a-do") == 1, "a finished step was done again"
    in_flight = crash_at in {"mid:run-1-b-do", "late:run-1-b-do", "acted:b"}
    assert scene.world.count("begin", "run-1-b-do") == (2 if in_flight else 1)
    assert run.epoch == 2


@pytest.mark.parametrize("crash_at", UNDO)
def test_a_run_killed_on_its_way_back_goes_on_going_back(stage: Callable[[str], Stage], crash_at: str) -> None:
    scene = stage(BACK)
    assert died(scene.victim(crash_at))
    run = scene.take_over()
    assert run.state is RunState.ROLLED_BACK, run.reason
    assert [scene.world.get(name) for name in ("a", "b", "last")] == ["old", "old", "old"]
    for name in ("a", "b", "last"):
        assert scene.world.count("begin", f"run-1-{name}-do") == 1, "compensation went forward again"


def test_an_effect_nobody_knows_the_outcome_of_is_left_to_a_person(stage: Callable[[str], Stage]) -> None:
    scene = stage(FORWARD)
    scene.world.set("happened", "unknown")
    assert died(scene.victim("late:run-1-book-do"))
    run = scene.take_over()
    assert run.state is RunState.NEEDS_HUMAN
    assert "the ledger does not answer" in run.reason
    assert scene.world.count("ledger", "bill") == 1
    scene.desk.resume(run.id, "ben", decision="done")
    assert scene.take_over().state is RunState.SUCCEEDED
    assert scene.world.count("ledger", "bill") == 1


def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(stage: Callable[[str], Stage]) -> None:
    scene = stage(FORWARD)
    (scene.world.folder / "block").write_text("mid:run-1-b-do")
    zombie = scene.victim("")
    try:
        scene.until(lambda: scene.world.count("blocked") == 1)
        run = scene.take_over()
        assert run.state is RunState.SUCCEEDED
        before = scene.desk.records(run.id)
        os.kill(zombie.pid or 0, signal.SIGCONT)
        zombie.join(SECONDS)
        assert zombie.exitcode == 0
    finally:
        zombie.kill()
        zombie.join()
    assert scene.desk.records(run.id) == before
    assert scene.desk.get(run.id) == run
    assert scene.world.count("ledger", "bill") == 1, "the frozen worker went on to the next step"


def test_of_two_live_workers_only_one_works_on_a_run(stage: Callable[[str], Stage]) -> None:
    scene = stage(FORWARD)
    processes = [scene.victim("") for _ in range(2)]
    try:
        scene.until(lambda: scene.desk.get(scene.run).state.is_final)
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert scene.desk.get(scene.run).epoch == 1
    assert all(scene.world.count("begin", f"run-1-{name}-do") == 1 for name in ("a", "b", "book"))
