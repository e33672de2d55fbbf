"""Run as a program: an audit that finds a wrong row, waits one window, and stops dead until it is killed.

python suspecting.py STORE_URL
"""

import signal
import sys
from collections.abc import Sequence
from datetime import timedelta

from tests.support.audits import FakeSource, FakeSources, chain, stock, stock_audit

from tillwatch.audit import runner as runner_module
from tillwatch.audit.ledger import StoredLedger
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import Clock, SystemClock
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Remembered
from tillwatch.store.db import Database

SETTLE = timedelta(seconds=1)


def sides() -> FakeSources:
    """An ERP and a till that differ in one row."""
    return FakeSources(
        FakeSource("erp", {"stock": stock(("001", "1", "1"), ("002", "2", "2"))}),
        FakeSource("till", {"stock": stock(("001", "1", "1"), ("002", "9", "2"))}),
    )


def runner(database: Database, clock: Clock) -> AuditRunner:
    config = chain(stock_audit(settle=SETTLE))
    return AuditRunner(config, sides(), database=database, clock=clock, metrics=Metrics(), owner=str(id(clock)))


class Stopping(StoredLedger):
    """Stops the process dead once a suspect has stood still for a window and that is stored."""

    def save(self, suspects: Sequence[Remembered]) -> None:
        super().save(suspects)
        if any(suspect.windows for suspect in suspects):
            sys.stdout.write("here\n")
            sys.stdout.flush()
            signal.pause()


def main(url: str) -> None:
    clock = SystemClock()
    database = Database.open(url, clock=clock)
    runner_module.StoredLedger = Stopping  # type: ignore[misc]
    runner(database, clock).run_slot("stock", clock.now())


if __name__ == "__main__":
    main(sys.argv[1])
