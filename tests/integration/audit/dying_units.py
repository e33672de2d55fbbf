"""Run as a program: begins a large audit, and stands still after some of its units were finished.

    python dying_units.py CHAIN STORE UNITS

Prints the numbers of its worker processes when it stands still; whoever started it kills it there.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tillwatch.audit.ranges import Scale
from tillwatch.audit.runner import AuditRunner
from tillwatch.audit.turns import Throttle
from tillwatch.audit.workers import ProcessWorkers
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.metrics import Metrics
from tillwatch.sources import registry
from tillwatch.store.db import Database

UNIT_ROWS = 300


@dataclass
class StandsStill(Executor):
    """Does `units` units, one after the other, and no more."""

    pool: Executor
    units: int

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.units:
            workers = [str(child.pid) for child in psutil.Process().children(recursive=True)]
            sys.stdout.write(" ".join(workers) + "\n")
            sys.stdout.flush()
            threading.Event().wait()
        self.units -= 1
        return self.pool.submit(fn, *args, **kwargs)


@dataclass(frozen=True)
class DyingWorkers:
    units: int

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        with ProcessWorkers(processes=1).executor() as pool:
            yield StandsStill(pool, self.units)


def main(chain: str, store: str, units: str) -> None:
    clock, config = SystemClock(), load(Path(chain))
    scale = Scale(chain=Path(chain), workers=DyingWorkers(int(units)), throttle=Throttle(limit=1), unit_rows=UNIT_ROWS)
    runner = AuditRunner(
        config,
        registry.build(config, clock=clock),
        database=Database.open(store, clock=clock),
        clock=clock,
        metrics=Metrics(),
        scale=scale,
    )
    runner.run("stock", strategy="stream")


if __name__ == "__main__":
    main(*sys.argv[1:])
