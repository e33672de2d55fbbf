"""A worker in a process of its own: carries out one run, or dies at the event the test names."""

import os
import signal
import threading
from pathlib import Path

from tests.support import runbook_chain
from tillwatch.clock import SystemClock
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.worker import RunWorker
from tillwatch.store.db import Database


def main(folder: Path, url: str, crash_at: str) -> None:
    def observe(_run: int, event: str) -> None:
        if event == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    clock = SystemClock()
    database = Database.open(url, clock=clock)
    services = ActionServices(config=runbook_chain.read_chain(folder), database=database, clock=clock)
    worker = RunWorker(
        services,
        registry=runbook_chain.registry(runbook_chain.World(folder / "world")),
        lease=runbook_chain.LEASE,
        observe=observe,
    )
    until = clock.monotonic() + 60
    while clock.monotonic() < until and worker.step() is None:
        threading.Event().wait(0.02)
    database.close()
