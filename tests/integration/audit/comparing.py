"""Run as a program: compares two sides of wide rows and prints what was found and how much memory it took.

    python comparing.py ROWS

Prints `rows differences base_bytes peak_bytes`; nothing but the comparison holds rows.
"""

import resource
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.model.audit import Row
from tillwatch.sources.base import BATCH_ROWS, Capabilities, Reading, Tail

#: Makes a row about half a kilobyte, so that few rows are much data.
NAME = "商品名称很长" * 25
#: Every so many rows one is changed on the right.
STEP = 1000


class Rows:
    """`count` rows made up as they are read, in an order that is not the key's."""

    kind = "made-up"
    capabilities = Capabilities()

    def __init__(self, system: str, count: int) -> None:
        self.id, self._count = system, count

    def read(self, *_: object, **__: object) -> Reading:
        return Reading(self._batches(), lambda: Tail(rows=self._count), lambda: None)

    def _batches(self) -> Iterator[list[Row]]:
        # A prime step visits every number once.
        step = 7_919 if self.id == "erp" else 104_729
        for start in range(0, self._count, BATCH_ROWS):
            numbers = (number * step % self._count for number in range(start, min(start + BATCH_ROWS, self._count)))
            yield [self._row(number) for number in numbers]

    def _row(self, number: int) -> Row:
        wrong = self.id == "till" and number % STEP == 0
        return {"sku": f"{number:010d}", "quantity": Decimal(number + wrong), "name": NAME + str(number)}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(count: int) -> None:
    spec = Audit(
        id="stock",
        left=Side(system="erp", dataset="stock"),
        right=Side(system="till", dataset="stock"),
        key=("sku",),
        fields={"quantity": Field(type="decimal", scale=4), "name": Field(type="text")},
        schedule="@every 60s",
        settle=timedelta(0),
        timeout=timedelta(hours=1),
    )
    base = peak_bytes()
    clock: Any = SystemClock()
    report = examine(
        Order(
            declared=declare(spec, ZoneInfo("Asia/Shanghai")),
            open=lambda system: Rows(system, count),  # type: ignore[arg-type,return-value]
            run=1,
            started_at=datetime(2026, 11, 24, tzinfo=UTC),
            clock=clock,
        )
    )
    sys.stdout.write(f"{report.left.rows + report.right.rows} {report.changed} {base} {peak_bytes()}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
