"""The report job keeps a core busy, and only for as long as it may."""

import os

from tillwatch.clock import ManualClock
from tillwatch.lab import report_job


class TickingClock(ManualClock):
    """Each look at the clock takes a second."""

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


def test_it_ends_when_its_time_is_over() -> None:
    assert report_job.spin(TickingClock(), until=5.0, parent=None) == 4


def test_a_worker_ends_with_its_parent() -> None:
    assert report_job.spin(ManualClock(), until=5.0, parent=os.getpid()) == 0
