"""The "nightly report job" that went wrong: keeps every core busy. `… -m tillwatch.lab.report_job --seconds 120`.

It can do no lasting harm: it ends by itself, its memory is capped, it runs at low priority, and its workers end with
it. A runbook knows it by this module's name in its arguments.
"""

import argparse
import os

from tillwatch.clock import Clock, SystemClock

#: No story needs longer; whatever is asked for, the job ends then.
MAX_SECONDS = 600.0
MAX_MEMORY_MB = 256
#: Lowest priority but one: the host is saturated, yet the monitor itself still runs.
NICENESS = 15
#: Between two looks at the clock; some milliseconds of work.
_ROUNDS_PER_LOOK = 20_000


def spin(clock: Clock, until: float, parent: int | None) -> int:
    """Burn one core until the monotonic time `until`, or until the parent is gone; returns the looks at the clock."""
    looks = 0
    while clock.monotonic() < until and (parent is None or os.getppid() == parent):
        value = 1
        for number in range(_ROUNDS_PER_LOOK):
            value = (value * 31 + number) % 1_000_003
        looks += 1
    return looks


def main() -> None:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.report_job", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--memory-mb", type=int, default=32)
    arguments = parser.parse_args()
    clock = SystemClock()
    until = clock.monotonic() + min(max(arguments.seconds, 0.0), MAX_SECONDS)
    ballast = bytearray(min(max(arguments.memory_mb, 0), MAX_MEMORY_MB) * 1_048_576)
    os.nice(NICENESS)
    parent = os.getpid()
    for _ in range(max(arguments.workers, 1) - 1):
        if os.fork() == 0:
            spin(clock, until, parent)
            os._exit(0)
    spin(clock, until, None)
    del ballast


if __name__ == "__main__":
    main()
