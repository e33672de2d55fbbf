"""Run by the interpreter of reladiff's own environment: one comparison, then `rows_found seconds peak_bytes` on stdout.

Always by its hashes: two tables in one database, which it would join there, stand for two servers. Its results stay
unsorted: sorting them fails where a column is NULL.

python peer_reladiff.py LEFT_URL LEFT_TABLE RIGHT_URL RIGHT_TABLE KEY COLUMN…
"""

import sys
import time
from pathlib import Path

import reladiff


def peak_bytes() -> int:
    """Of this program alone; the usual call counts what stood in memory before it was started, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main(left_url: str, left: str, right_url: str, right: str, key: str, *columns: str) -> None:
    started = time.perf_counter()
    one = reladiff.connect_to_table(left_url, left, key, extra_columns=columns)
    other = reladiff.connect_to_table(right_url, right, key, extra_columns=columns)
    keys = {
        row[0]
        for _, row in reladiff.diff_tables(
            one,
            other,
            algorithm=reladiff.Algorithm.HASHDIFF,
            threaded=True,
            max_threadpool_size=4,
            skip_sort_results=True,
        )
    }
    seconds = time.perf_counter() - started
    peak = peak_bytes()
    sys.stdout.write(f"{len(keys)} {seconds:.3f} {peak}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
