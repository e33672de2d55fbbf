"""Virtual time."""

from tillwatch.clock import ManualClock


def test_sleeping_moves_wall_and_monotonic_time_together() -> None:
    clock = ManualClock()
    before = clock.now()
    clock.sleep(30)
    assert ((clock.now() - before).total_seconds(), clock.monotonic()) == (30.0, 30.0)


def test_a_stepped_wall_clock_leaves_monotonic_time_alone() -> None:
    clock = ManualClock()
    before = clock.now()
    clock.jump(-7200)
    assert ((clock.now() - before).total_seconds(), clock.monotonic()) == (-7200.0, 0.0)
