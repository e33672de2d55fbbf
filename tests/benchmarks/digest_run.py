"""Run as a program: one audit of ours between two databases, then `differences seconds peak_bytes strategy` on stdout.

python digest_run.py LEFT_URL LEFT_TABLE RIGHT_URL RIGHT_TABLE KEY COLUMN…
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tillwatch.audit import approach, plan
from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.config.secrets import Secret
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.options import SqlDataset

TYPES = {
    "qty": Field(type="decimal", scale=4),
    "price": Field(type="decimal", scale=4),
    "name": Field(type="text"),
    "at": Field(type="timestamp"),
}
ZONE = ZoneInfo("Asia/Shanghai")


def peak_bytes() -> int:
    """Of this program alone; the usual call counts what stood in memory before it was started, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def chosen(self: approach.Approach) -> plan.Choice:
    self.reason = {"en": "", "zh": ""}
    sides = self.task.sides.sources
    return plan.choose(
        self.task.declared, sides["left"], sides["right"], os.environ.get("TILLWATCH_BENCH_STRATEGY", "")
    )


def main(left_url: str, left: str, right_url: str, right: str, key: str, *columns: str) -> None:
    clock = SystemClock()
    started = clock.monotonic()
    sources = {}
    for system, url, table in (("left", left_url, left), ("right", right_url, right)):
        options = SqlOptions(
            url=Secret(url), timezone=ZONE, timeout_seconds=3600, datasets={"rows": SqlDataset(table=table)}
        )
        sources[system] = SqlSource(system, options, clock=clock, breaker=MemoryBreaker(), root=Path())
    spec = Audit(
        id="bench",
        left=Side(system="left", dataset="rows"),
        right=Side(system="right", dataset="rows"),
        key=(key,),
        fields={column: TYPES.get(column, Field(type="code", trim="none")) for column in columns},
        schedule="@every 60s",
        settle=timedelta(0),
        timeout=timedelta(hours=1),
    )
    # Without what a planned run asks beside: fingerprints for the next one, which cost a pass of their own.
    approach.Approach.choose = chosen  # type: ignore[method-assign]
    report = examine(
        Order(
            declared=declare(spec, ZONE),
            open=sources.__getitem__,  # type: ignore[arg-type]
            run=1,
            started_at=clock.now(),
            clock=clock,
        )
    )
    seconds = clock.monotonic() - started
    peak = peak_bytes()
    found = report.missing + report.extra + report.changed
    sys.stdout.write(f"{found} {seconds:.3f} {peak} {report.strategy} {report.verdict} {report.strategy_reason}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
