"""Two threads that are asked together: what one refuses must not be taken for the answer to the next question."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import cast

import pytest

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.pair import Pair
from tillwatch.audit.reading import Gate, Leftovers, Sides
from tillwatch.clock import SystemClock


class _Sides:
    leftovers = Leftovers()

    def refuse_hanging(self, todo: object) -> None:
        """Nothing hangs."""


@contextmanager
def pair() -> Iterator[Pair]:
    clock = SystemClock()
    gate = Gate(clock=clock, deadline=clock.monotonic() + 60, timeout_seconds=60, stop=Event())
    with Pair(cast("Sides", _Sides()), gate) as made:
        yield made


def test_an_answer_that_comes_after_the_other_side_refused_is_forgotten() -> None:
    late = Event()

    def left() -> str:
        late.wait(60)
        return "stale"

    def right() -> str:
        raise Refused("no")

    with pair() as both:
        with pytest.raises(Refused):
            both.ask("first", {"left": left, "right": right})
        late.set()
        assert both.ask("second", {"left": lambda: 1, "right": lambda: 2}) == {"left": 1, "right": 2}
