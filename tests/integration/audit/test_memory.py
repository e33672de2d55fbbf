"""Memory is bounded by the spill, not by the data: 250 MB of rows pass through a process that may not grow by as much."""

import os
import subprocess
import sys
from pathlib import Path

from tillwatch.audit.spill import CACHE_KIB

ROOT = Path(__file__).parents[3]
ROWS = 250_000
#: Three page caches at most, and as much again for batches, differences and the interpreter's own growth.
ALLOWED_BYTES = 2 * 3 * CACHE_KIB * 1024


def test_a_comparison_holds_only_a_bounded_part_of_the_rows_in_memory() -> None:
    program = str(Path(__file__).with_name("comparing.py"))
    ended = subprocess.run(
        [sys.executable, program, str(ROWS)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    rows, changed, base, peak = (int(number) for number in ended.stdout.split())
    assert (rows, changed) == (2 * ROWS, ROWS // 1000)
    data = 2 * ROWS * 500
    assert data > ALLOWED_BYTES
    assert peak - base < ALLOWED_BYTES
