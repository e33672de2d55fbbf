"""kill -9 of the process that applies a repair: whatever the moment, each document stands in the ERP once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.audit.applying import FileErp, repairs, spec, systems
from tests.support.audits import chain

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock, SystemClock
from tillwatch.metrics import Metrics
from tillwatch.model.repair import RepairStatus
from tillwatch.store.db import Database

ROOT = Path(__file__).parents[3]


def killed(database: Database, file: Path, *arguments: str) -> None:
    """Run `applying.py` until it stands at the moment, and kill it there."""
    argv = [sys.executable, str(Path(__file__).with_name("applying.py"))]
    argv += [database.url.render_as_string(hide_password=False), str(file), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    child.kill()
    child.wait(30)
    child.stdout.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_each_document_is_posted_once_although_the_process_was_killed(
    database: Database, clock: ManualClock, tmp_path: Path, moment: str
) -> None:
    erp = FileErp(tmp_path / "erp.db")
    runner = AuditRunner(chain(spec()), systems(erp), database=database, clock=clock, metrics=Metrics())
    plan = repairs(database, erp, clock).plan_repair(runner.run("orders").run)
    killed(database, tmp_path / "erp.db", str(plan.id), moment)
    # The journal was written before; the lease of the dead process is still there.
    assert [item.status for item in repairs(database, erp, clock).get(plan.id).items] == [
        RepairStatus.SENDING,
        RepairStatus.PENDING,
    ]
    assert erp.posted() == (["A-1"] if moment == "after" else [])
    # From here on time moves only when somebody waits; the child lived in real time.
    clock.jump((SystemClock().now() - clock.now()).total_seconds())
    result = repairs(database, erp, clock).apply_repair(plan.id, actor="test")
    assert result.complete
    assert erp.posted() == ["A-1", "A-2"]
    assert runner.run("orders").verdict.value == "clean"
    runner.stop()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_each_document_is_taken_back_once_although_the_process_was_killed(
    database: Database, clock: ManualClock, tmp_path: Path, moment: str
) -> None:
    erp = FileErp(tmp_path / "erp.db")
    runner = AuditRunner(chain(spec()), systems(erp), database=database, clock=clock, metrics=Metrics())
    plan = repairs(database, erp, clock).plan_repair(runner.run("orders").run)
    assert repairs(database, erp, clock).apply_repair(plan.id, actor="test").complete
    killed(database, tmp_path / "erp.db", str(plan.id), moment, "undo")
    assert [item.status for item in repairs(database, erp, clock).get(plan.id).items] == [
        RepairStatus.DONE,
        RepairStatus.UNDOING,
    ]
    assert erp.posted() == (["A-1"] if moment == "after" else ["A-1", "A-2"])
    clock.jump((SystemClock().now() - clock.now()).total_seconds())
    assert repairs(database, erp, clock).undo_repair(plan.id, actor="test").complete
    assert erp.posted() == []
    runner.stop()
