"""`python -m tests.support.runbook_victim FOLDER URL [CRASH_EVENT]`: a worker that carries out runs until it dies or is done."""

import os
import signal
import sys
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
