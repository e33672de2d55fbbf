"""Readings of a validation take turns with everything else that asks the same database."""

import threading

import pytest
from tests.support.audits import FakeSource
from tests.support.validations import validated, validation

from tillwatch.audit.reading import Gate, Leftovers, SideFault
from tillwatch.audit.turns import QUERIES_PER_DATABASE, SHARED, Throttle
from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SourceUnavailable
from tillwatch.model.audit import Row
from tillwatch.validation.reading import Place, Reader

ROWS: list[Row] = [{"sku": "1"}, {"sku": "2"}, {"sku": "3"}]
REFERENCE = {"rule": "reference", "field": "sku", "to": {"dataset": "products"}}


def till() -> FakeSource:
    return FakeSource("till", {"stock": ROWS, "products": ROWS})


def reader(throttle: Throttle) -> Reader:
    clock, stop = ManualClock(), threading.Event()
    stop.set()
    gate = Gate(clock=clock, deadline=clock.monotonic() + 10, timeout_seconds=10, stop=stop)
    return Reader(gate=gate, leftovers=Leftovers(), name="stock", throttle=throttle)


def test_a_run_takes_one_place_for_each_dataset_it_reads_and_gives_it_back() -> None:
    source, busy = till(), []
    source.before = lambda _: busy.append(SHARED.busy())
    assert validated(validation(REFERENCE), source).broken == 0
    assert (busy, SHARED.busy()) == ([{"system till": 1}] * 2, {})


def test_a_reading_that_fails_gives_its_place_back() -> None:
    source = till()

    def fail(_: int) -> None:
        raise SourceUnavailable("gone", cause=Cause.TCP)

    source.before = fail
    assert "gone" in validated(validation(REFERENCE), source).reason
    assert SHARED.busy() == {}


def test_nothing_is_asked_of_a_database_that_answers_two_others() -> None:
    throttle, source = Throttle(), till()
    for _ in range(QUERIES_PER_DATABASE):
        throttle.take(("system till",))
    with pytest.raises(SideFault, match="stopped while waiting for a turn in system till;"):
        reader(throttle).by_key(Place(source=source, system="till", dataset="stock"), ("sku",), [], lambda _: None)
    assert (source.asked, throttle.busy()) == ([], {"system till": QUERIES_PER_DATABASE})
