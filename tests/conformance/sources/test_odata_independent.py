"""OData v2 against a server others wrote (pyslet): its pages, filters and spellings are not ours."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conformance.sources.test_reading import rows_of

from tillwatch.clock import SystemClock
from tillwatch.sources.base import CheckOutcome, MemoryBreaker
from tillwatch.sources.odata import ODataOptions, ODataSource

ROWS = 320
NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
PROGRAM = Path(__file__).parents[2] / "support" / "pyslet_service.py"


@pytest.fixture(scope="module")
def source() -> Iterator[ODataSource]:
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(ROWS)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    columns = {"plant": "Plant", "sku": "Material", "quantity": "Quantity", "counted": "Counted", "id": "Id"}
    columns |= {"changed_at": "Changed"}
    options = ODataOptions.model_validate(
        {
            "url": f"http://127.0.0.1:{int(process.stdout.readline())}",
            "requests_per_minute": 60_000,
            "page_rows": 30,
            # It answers one request after the other.
            "connections": 2,
            "timezone": "Asia/Shanghai",
            "datasets": {
                "stock": {"set": "Stock", "columns": columns},
                "linked": {"set": "Stock", "columns": columns, "paging": "link", "count": "inline"},
                "plant": {"set": "Stock", "columns": columns, "where": {"Plant": "1000"}},
            },
        }
    )
    opened = ODataSource("erp", options, clock=SystemClock(), breaker=MemoryBreaker())
    yield opened
    opened.close()
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_it_is_reached_described_and_read(source: ODataSource) -> None:
    assert {check.outcome for check in source.check()} == {CheckOutcome.OK}
    described = source.describe()
    assert (described.product, described.version) == ("Shop", "OData 2")
    assert described.datasets["stock"].fields["quantity"].type == "Edm.Decimal"


@pytest.mark.parametrize("dataset", ["stock", "linked"])
def test_pages_by_key_and_by_its_links_give_every_row_once_with_every_digit(source: ODataSource, dataset: str) -> None:
    rows, tail = rows_of(source, dataset)
    assert (tail.rows, tail.server_count, tail.stable) == (ROWS, ROWS, True)
    assert len({(row["plant"], row["sku"]) for row in rows}) == ROWS
    by_sku = {row["sku"]: row for row in rows}
    assert by_sku["门'0007"]["quantity"] is None
    assert by_sku["门'0319"] == {
        "plant": "1000",
        "sku": "门'0319",
        "quantity": Decimal("0.00000000000319"),
        "counted": NINE,
        "id": "00000000-0000-0000-0000-00000000013f",
        "changed_at": NINE + timedelta(seconds=19),
    }


def test_filters_are_understood(source: ODataSource) -> None:
    assert rows_of(source, "plant", ["quantity"])[1].rows == 213
    keys = [{"plant": "", "sku": "门'0003"}, {"plant": "1000", "sku": "门'0003"}, {"plant": "1000", "sku": "门'0004"}]
    assert [row["sku"] for row in rows_of(source, "stock", ["sku"], keys=keys)[0]] == ["门'0003", "门'0004"]
    assert len(rows_of(source, "stock", ["sku"], keys=[{"id": "00000000-0000-0000-0000-00000000013f"}])[0]) == 1


def test_what_changed_since_a_moment_is_asked_in_that_moment(source: ODataSource) -> None:
    rows, _ = rows_of(source, "stock", ["changed_at"], since=NINE + timedelta(seconds=58))
    assert {row["changed_at"] for row in rows} == {NINE + timedelta(seconds=58), NINE + timedelta(seconds=59)}
    assert len(rows) == 10
