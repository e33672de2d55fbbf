"""PostgreSQL is restarted under a worker: the run is carried out once all the same."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.integration.runbook.test_kill import FORWARD
from tests.support.postgres import Postgres
from tests.support.runbook_chain import LEASE, World, make_desk, read_chain, registry, write_chain

from tillwatch.clock import SystemClock
from tillwatch.errors import StoreError
from tillwatch.model.runbook import Run, RunState
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.desk import RunbookDesk
from tillwatch.runbook.worker import RunWorker
from tillwatch.store import runs
from tillwatch.store.db import Database
from tillwatch.store.runs import Claim

SECONDS = 60.0


class Scene:
    """One run and one worker's loop, on a PostgreSQL that can be restarted."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        write_chain(folder, FORWARD)
        self.world = World(folder / "world")
        self.clock = SystemClock()
        self.postgres = postgres
        self.database = Database.open(postgres.url(postgres.create_database()), clock=self.clock)
        self.database.migrate()
        self.desk: RunbookDesk = make_desk(folder, self.database, self.clock)
        self.run = self.desk.start("test", {}, actor="ann").id
        self.restart_at = ""
        self.restarts = 0
        services = ActionServices(config=read_chain(folder), database=self.database, clock=self.clock)
        self.worker = RunWorker(services, registry=registry(self.world), lease=LEASE, observe=self.observe)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.worker.loop, args=(self._stop,))

    def observe(self, _run: int, event: str) -> None:
        if event == self.restart_at and not self.restarts:
            self.restart()

    def restart(self) -> None:
        self.restarts += 1
        self.postgres.stop()
        self.postgres.start()

    def ends(self) -> Run:
        self._thread.start()
        deadline = self.clock.monotonic() + SECONDS
        while not self._over():
            assert self.clock.monotonic() < deadline, self.desk.get(self.run)
            threading.Event().wait(0.1)
        return self.desk.get(self.run)

    def _over(self) -> bool:
        try:
            return self.desk.get(self.run).state.is_final
        except StoreError:
            return False

    def close(self) -> None:
        self._stop.set()
        self.worker.wake()
        self._thread.join(SECONDS)
        self.database.close()


@pytest.fixture
def scene(tmp_path: Path, postgres: Postgres) -> Iterator[Scene]:
    made = Scene(tmp_path / "chain", postgres)
    yield made
    made.close()


def done_once(scene: Scene, run: Run) -> None:
    assert scene.restarts == 1
    assert run.state is RunState.SUCCEEDED, run.reason
    assert scene.world.count("ledger", "bill") == 1
    assert [scene.world.get(name) for name in "ab"] == ["new", "new"]


def test_a_restart_before_the_claim_is_committed_leaves_the_run_to_be_claimed_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim: Callable[..., Claim | None] = runs.claim

    def cut_off(connection: Connection, run: int, **options: object) -> Claim | None:
        claimed = claim(connection, run, **options)
        if not scene.restarts:
            scene.restart()
        return claimed

    monkeypatch.setattr(runs, "claim", cut_off)
    run = scene.ends()
    done_once(scene, run)
    assert run.epoch == 1, "what was not committed is no claim"
    assert all(scene.world.count("begin", f"run-1-{name}-do") == 1 for name in ("a", "b", "book"))


@pytest.mark.parametrize("event", ["do:b", "acted:b", "done:book"])
def test_a_restart_in_the_middle_of_a_run_neither_loses_nor_doubles_a_step(scene: Scene, event: str) -> None:
    scene.restart_at = event
    done_once(scene, scene.ends())
    assert scene.world.count("begin", "run-1-a-do") == 1, "a finished step was done again"
