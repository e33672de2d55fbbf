"""Rows on their way into the spill, few or many."""

import subprocess
import sys

import pytest
from tests.support.audits import ZONE
from tests.support.engines import spec_of

from tillwatch.audit import intake
from tillwatch.audit.declare import declare
from tillwatch.audit.intake import Intake
from tillwatch.audit.rows import Encoder
from tillwatch.audit.spill import Spill
from tillwatch.config.checks import Condition
from tillwatch.config.schema import Field, Side
from tillwatch.model.audit import Row

ROWS: list[Row] = [{"id": number, "name": f"商品 {number}"} for number in range(30)]


@pytest.fixture(autouse=True)
def many_is_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MANY_ROWS", 10)
    monkeypatch.setattr(intake, "BATCH_ROWS", 8)


def taken(spill: Spill, rows: list[Row], **changes: object) -> Intake:
    how = declare(spec_of(["id"], {"name": Field(type="text")}, **changes), ZONE)
    made = Intake("left", Encoder(how, (), "till.rows", how.left_shape), spill, pending_only=False)
    for start in range(0, len(rows), 5):
        made.take(rows[start : start + 5])
    return made


def test_rows_that_wait_for_a_batch_are_kept_in_the_end() -> None:
    with Spill() as spill:
        made = taken(spill, ROWS)
        assert spill.rows("left") < len(ROWS)
        made.finish()
        assert spill.rows("left") == len(ROWS)
        assert made.exact


def test_a_key_written_differently_is_noticed_among_many() -> None:
    with Spill() as spill:
        made = taken(spill, [*ROWS, {"id": " 25 ", "name": ""}])
        made.finish()
        assert not made.exact


def test_rows_out_of_scope_are_left_out_among_many() -> None:
    where = [Condition(field="name", none_of=("商品 24",))]
    with Spill() as spill:
        made = taken(spill, ROWS, left=Side(system="left", dataset="rows", where=where))
        made.finish()
        assert spill.rows("left") == len(ROWS) - 1


def test_the_command_line_starts_without_polars() -> None:
    code = "import sys, tillwatch.cli.main; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
