"""kill -9 of the process that waits for rows to settle: the next run goes on with the time they have stood still."""

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.audit.suspecting import SETTLE, runner

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.model.audit import Verdict
from tillwatch.runs.life import LEASE
from tillwatch.store import audits as records
from tillwatch.store import suspects
from tillwatch.store.db import Database

ROOT = Path(__file__).parents[3]


def test_a_suspect_outlives_the_process_that_watched_it(database: Database, clock: ManualClock) -> None:
    argv = [sys.executable, str(Path(__file__).with_name("suspecting.py"))]
    child = subprocess.Popen(
        [*argv, database.url.render_as_string(hide_password=False)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    child.kill()
    child.wait(30)
    child.stdout.close()
    with database.read() as connection:
        (kept,) = suspects.suspects(connection, "stock")
    assert (kept.key, kept.windows) == ('["002"]', 1)
    # From here on time moves only when somebody waits; the child lived in real time.
    clock.jump((SystemClock().now() - clock.now()).total_seconds() + LEASE.total_seconds() + 1)
    another = runner(database, clock)
    assert another.give_up_dead() == ["stock"]
    report = another.run_slot("stock", None)
    assert report is not None
    assert (report.verdict, [row.key["sku"] for row in report.differences]) == (Verdict.DRIFT, ["002"])
    settle = report.evidence["settle"]
    assert isinstance(settle, dict)
    assert settle["carried"] == 1
    # Two windows are needed without a change column; one of them was waited for by the dead process.
    assert clock.monotonic() < SETTLE.total_seconds()
    with database.read() as connection:
        assert suspects.suspects(connection, "stock") == []
        verdicts = [run.report.verdict for run in records.runs(connection, limit=5) if run.report]
    assert verdicts == [Verdict.DRIFT, Verdict.FAILED]
    another.stop()
