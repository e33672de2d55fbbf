"""How fast a set is read from a service that takes 200 ms for every answer, by page size and connections.

The service is a stub of ours in a process of its own on the same machine: this measures the client and the waiting, not
an ERP.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tillwatch.clock import SystemClock
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.odata import ODataOptions, ODataSource

ROWS = 100_000
LATENCY_SECONDS = 0.2
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.support.odata_service", str(ROWS), str(LATENCY_SECONDS)]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page_rows", [1_000, 5_000])
@pytest.mark.parametrize("connections", [1, 4, 16])
def test_rows_a_second_at_200_ms(benchmark: BenchmarkFixture, url: str, page_rows: int, connections: int) -> None:
    columns = {"sku": "number", "quantity": "inventory", "price": "unitPrice", "name": "displayName"}
    options = ODataOptions.model_validate(
        {
            "url": url,
            "page_rows": page_rows,
            "connections": connections,
            "requests_per_minute": 60_000,
            "datasets": {"items": {"set": "Items", "columns": columns}},
        }
    )
    source = ODataSource("erp", options, clock=SystemClock(), breaker=MemoryBreaker())

    def read() -> int:
        with source.read("items") as reading:
            return sum(len(batch) for batch in reading)

    assert benchmark.pedantic(read, rounds=1, iterations=1) == ROWS
    benchmark.extra_info["rows_per_second"] = round(ROWS / benchmark.stats.stats.min)
    source.close()
