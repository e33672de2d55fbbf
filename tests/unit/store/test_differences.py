"""Differences keep the day they were first seen while they last, and large reports are stored part by part."""

from datetime import datetime, timedelta

import pytest
from tests.support.audits import FakeSource, FakeSources, chain, stock, stock_audit

from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import DifferenceKind, Row, SignOff
from tillwatch.store import audits, differences, signoffs
from tillwatch.store.db import Database


class Bench:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self.left = FakeSource("erp", {"stock": stock(("001", "1", "1"), ("002", "2", "2"))})
        self.right = FakeSource("till", {"stock": []})
        self.runner = AuditRunner(
            chain(stock_audit()), FakeSources(self.left, self.right), database=database, clock=clock, metrics=Metrics()
        )

    def run(self, right: list[Row]) -> dict[str, datetime | None]:
        """Since when each key has differed, as the store has it after one more run."""
        self.clock.advance(3600)
        self.right.datasets["stock"] = right
        self.last = self.runner.run("stock").run
        with self.database.read() as connection:
            return {one.key["sku"]: one.first_seen for one in differences.of_run(connection, self.last)}


@pytest.fixture
def bench(database: Database, clock: ManualClock) -> Bench:
    return Bench(database, clock)


def test_a_difference_keeps_its_first_day_while_it_lasts_even_when_its_values_change(bench: Bench) -> None:
    first = bench.run([])["002"]
    assert first is not None
    assert bench.run(stock(("002", "9", "2"))) == {"001": first, "002": first}
    later = bench.run(stock(("002", "2", "2")))
    assert later == {"001": first}
    again = bench.run([])
    assert again["001"] == first
    assert again["002"] == first + timedelta(hours=3), "it was equal in between"


def test_a_run_without_an_answer_does_not_make_old_differences_new(bench: Bench) -> None:
    first = bench.run([])["001"]
    del bench.right.datasets["stock"]
    bench.runner.run("stock")
    assert bench.run([])["001"] == first


def test_a_clean_run_in_between_does(bench: Bench) -> None:
    first = bench.run([])["001"]
    assert bench.run(stock(("001", "1", "1"), ("002", "2", "2"))) == {}
    assert bench.run([])["001"] != first


def test_a_large_report_is_stored_in_parts_and_comes_back_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MAX_IN_ONE_WRITE", 10)
    bench.left.datasets["stock"] = stock(*((f"{number:03}", "1", "1") for number in range(25)))
    assert list(bench.run([])) == [f"{number:03}" for number in range(25)]


def test_parts_of_a_run_that_never_finishes_go_with_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MAX_IN_ONE_WRITE", 10)
    bench.left.datasets["stock"] = stock(*((f"{number:03}", "1", "1") for number in range(25)))

    def broken(*_arguments: object, **_options: object) -> bool:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(audits, "finish", broken)
        with pytest.raises(StoreError):
            bench.runner.run("stock")
    bench.clock.advance(3600)
    bench.runner.give_up_dead()
    with bench.database.read() as connection:
        assert differences.page(connection, 1) == []


def test_differences_are_counted_by_kind_and_field(bench: Bench) -> None:
    bench.run(stock(("001", "7", "1"), ("003", "1", "1")))
    with bench.database.read() as connection:
        counts = differences.by_field(connection, bench.last)
    assert counts == {
        (DifferenceKind.MISSING, ""): 1,
        (DifferenceKind.EXTRA, ""): 1,
        (DifferenceKind.CHANGED, ""): 1,
        (DifferenceKind.CHANGED, "quantity"): 1,
    }


def test_a_sign_off_is_kept_with_its_name_reason_and_time(bench: Bench) -> None:
    bench.run([])
    signed = bench.runner.sign_off(bench.last, " 李会计 ", "counted again, booked tomorrow")
    assert signed == SignOff(
        run=bench.last, actor="李会计", reason="counted again, booked tomorrow", at=bench.clock.now()
    )
    with bench.database.read() as connection:
        assert signoffs.of_runs(connection, [bench.last, 99]) == {bench.last: [signed]}


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("li", "  "), ("li", "x" * 5000)])
def test_a_sign_off_needs_a_name_and_a_reason_of_sane_length(bench: Bench, actor: str, reason: str) -> None:
    bench.run([])
    with pytest.raises(UsageError):
        bench.runner.sign_off(bench.last, actor, reason)
    with pytest.raises(UsageError, match="there is no audit run 77"):
        bench.runner.sign_off(77, "li", "why")
