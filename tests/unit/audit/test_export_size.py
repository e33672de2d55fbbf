"""Exports at the size of the largest report: never more than a page of rows in memory, and never a formula.

The store is a stub here, which makes the rows of each page when they are asked for: what a real one costs says nothing of
how many rows an export holds.
"""

import csv
import io
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Connection
from tests.support.audits import chain, stock_audit

from tillwatch.audit import export
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SideReport, Verdict
from tillwatch.store import audits as records
from tillwatch.store import differences, signoffs
from tillwatch.store.db import Database

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
#: What spreadsheets would compute, in every cell that can hold text.
FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "＝1", "\t=1")
STARTS = ("=", "+", "-", "@", "\t", "＝")
NUMBER = re.compile(r"-\d+\.\d\d")
#: Rows of the page that is written, of the one that is fetched, and the row in hand.
MAX_HELD = 2 * differences.PAGE_DIFFERENCES + 1


class Held(Difference):
    """A difference that knows how many like it are held in memory."""

    alive = 0

    def __del__(self) -> None:
        Held.alive -= 1


class Stub:
    """Pages of made-up differences; sees how many are held when a page is asked for."""

    def __init__(self, rows: int) -> None:
        self.rows, self.most = rows, 0
        Held.alive = 0

    def after(self, connection: Connection, run: int, number: int, limit: int) -> list[tuple[int, Difference]]:  # noqa: ARG002
        page = [(one, self._made(one)) for one in range(number + 1, min(number + limit, self.rows) + 1)]
        self.most = max(self.most, Held.alive)
        return page

    def _made(self, number: int) -> Difference:
        Held.alive += 1
        text = FORMULAS[number % len(FORMULAS)]
        return Held(
            kind=DifferenceKind.CHANGED,
            key={"sku": f"{text}{number}"},
            left={"name": text},
            right={"name": f"-{number}.50"},
            fields=("name",),
            value_at_risk=Decimal(number),
            first_seen=START,
        )


@pytest.fixture
def exported(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> "Exported":
    return Exported(sqlite_database, monkeypatch)


class Exported:
    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database, self._monkeypatch = database, monkeypatch

    def write(self, format: str, rows: int) -> tuple[Stub, bytes]:
        stub = Stub(rows)
        side = SideReport(system="erp", dataset="stock", rows=rows)
        report = AuditReport(
            run=1,
            audit="stock",
            verdict=Verdict.DRIFT,
            reason="",
            left=side,
            right=side,
            changed=rows,
            started_at=START,
        )
        self._monkeypatch.setattr(records, "report", lambda *_, **__: report)
        self._monkeypatch.setattr(signoffs, "of_runs", lambda *_: {})
        self._monkeypatch.setattr(differences, "after", stub.after)
        with tempfile.TemporaryFile() as out:
            export.write(self._database, 1, format, out, config=chain(stock_audit()))
            out.seek(0)
            return stub, out.read()


def test_100_000_rows_go_through_two_pages_of_memory_and_no_cell_is_a_formula(exported: Exported) -> None:
    stub, content = exported.write("csv", 100_000)
    assert differences.PAGE_DIFFERENCES <= stub.most <= MAX_HELD
    table = csv.reader(io.StringIO(content.decode("utf-8-sig")))
    assert next(table)[1] == "sku"
    rows = 0
    for rows, cells in enumerate(table, start=1):  # noqa: B007 - the last number counts them
        for cell in cells:
            assert not cell.startswith(STARTS) or NUMBER.fullmatch(cell), cell
    assert rows == 100_000


@pytest.mark.parametrize("format", ["html", "xlsx"])
def test_other_formats_hold_no_more(exported: Exported, format: str) -> None:
    stub, content = exported.write(format, 5_000)
    assert differences.PAGE_DIFFERENCES <= stub.most <= MAX_HELD
    if format == "html":
        assert content.count(b"<tr>") == 5_001
        return
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet2.xml").decode()
    assert "<f>" not in sheet
    assert sheet.count("<row ") == 5_001
