"""A repair has limits in rows, in money and in batches, and loses every race on purpose."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.repairs import OrdersBench as Bench
from tests.support.repairs import lines_of, orders_audit, repair_node

from tillwatch.clock import ManualClock
from tillwatch.errors import ConfigError, UsageError
from tillwatch.store.db import Database

LINES = "lines: {system: till, dataset: lines}"
#: What somebody else made of an order in the ERP meanwhile.
THEIRS = tuple(replace(line, quantity=line.quantity + 7) for line in lines_of("CY-3"))


@pytest.fixture
def bench(orders_bench: Bench) -> Bench:
    return orders_bench


def limited(database: Database, clock: ManualClock, limit: str) -> Bench:
    return Bench(database, clock, orders_audit(repair=repair_node(f"{{{LINES}, {limit}}}")))


def test_a_row_that_changes_while_the_erp_plans_is_not_written(bench: Bench) -> None:
    """The before-image is theirs then: only a look that comes after the plan can tell."""
    plan = bench.plan()
    there = bench.erp.plan

    def raced(document: Any) -> Any:
        if document.reference == "CY-3":
            bench.erp.orders["CY-3"] = THEIRS
        return there(document)

    bench.erp.plan = raced  # type: ignore[method-assign]
    result = bench.apply(plan)
    assert [item.reason for item in result.skipped] == ["erp moved since the audit; run the audit again and plan anew"]
    assert (bench.erp.orders["CY-3"], bench.erp.sent) == (THEIRS, ["CY-2"])


def test_a_row_that_changes_between_the_look_and_the_write_is_not_written(bench: Bench) -> None:
    plan = bench.plan()
    number = iter(range(1, 100))
    held = bench.database.write

    def raced(job: Any) -> Any:
        # The journal is written after the last look: the second document's row changes under it.
        if job.__qualname__.startswith("Sender._open") and next(number) == 2:
            bench.erp.orders["CY-3"] = THEIRS
        return held(job)

    bench.database.write = raced  # type: ignore[method-assign]
    result = bench.apply(plan)
    assert [item.reason for item in result.failed] == ["order CY-3 is not as planned; plan again"]
    assert (bench.erp.orders["CY-3"], bench.erp.sent) == (THEIRS, ["CY-2"])


def test_more_money_at_risk_than_allowed_is_not_planned(sqlite_database: Database, clock: ManualClock) -> None:
    bench = limited(sqlite_database, clock, 'max_value: "10"')
    with pytest.raises(UsageError, match=r"puts 48\.50 at risk, more than max_value \(10\.00\)"):
        bench.plan()
    bench.runner.stop()


def test_as_much_money_as_allowed_is_planned(sqlite_database: Database, clock: ManualClock) -> None:
    bench = limited(sqlite_database, clock, 'max_value: "48.50"')
    assert len(bench.items(bench.plan())) == 2
    bench.runner.stop()


def test_a_limit_of_money_needs_to_know_the_money(sqlite_database: Database, clock: ManualClock) -> None:
    with pytest.raises(ConfigError, match="'max_value' needs the audit's 'value'"):
        Bench(sqlite_database, clock, orders_audit(value="", repair=repair_node(f"{{{LINES}, max_value: 10}}")))


def test_the_next_batch_starts_after_the_pause_when_the_last_one_holds(
    sqlite_database: Database, clock: ManualClock
) -> None:
    bench = limited(sqlite_database, clock, "batch: 1, pause: 7s")
    plan = bench.plan()
    began = clock.monotonic()
    assert bench.apply(plan).complete
    assert clock.monotonic() - began == pytest.approx(7)
    bench.runner.stop()


def test_a_batch_that_does_not_hold_is_the_last_one(sqlite_database: Database, clock: ManualClock) -> None:
    bench = limited(sqlite_database, clock, "batch: 1, pause: 7s")
    plan = bench.plan()
    sleep = clock.sleep

    def overwritten(seconds: float) -> None:
        # A rule of the ERP writes over what was sent, after it was read back.
        bench.erp.orders["CY-2"] = THEIRS
        sleep(seconds)

    clock.sleep = overwritten  # type: ignore[method-assign]
    result = bench.apply(plan)
    assert result.reason == (
        "1 of 1 documents of batch 1 do not hold (CY-2); no further batch is sent; run the audit again"
    )
    assert (bench.erp.sent, result.left_over, result.complete) == (["CY-2"], 1, False)
    bench.runner.stop()


def test_a_batch_that_cannot_be_looked_at_is_not_known_to_hold(sqlite_database: Database, clock: ManualClock) -> None:
    bench = limited(sqlite_database, clock, "batch: 1, pause: 7s")
    plan = bench.plan()
    sleep = clock.sleep

    def down(_: int) -> None:
        raise UsageError("away")

    def away(seconds: float) -> None:
        bench.erp.before = down
        sleep(seconds)

    clock.sleep = away  # type: ignore[method-assign]
    assert bench.apply(plan).reason.startswith("1 of 1 documents of batch 1 do not hold (CY-2)")
    assert bench.erp.sent == ["CY-2"]
    bench.runner.stop()


def test_a_repair_told_to_stop_does_not_wait_for_the_next_batch(sqlite_database: Database, clock: ManualClock) -> None:
    bench = limited(sqlite_database, clock, "batch: 1, pause: 1h")
    plan = bench.plan()
    asked = iter([False, False])
    result = bench.apply(plan, stop=lambda: next(asked, True))
    assert (result.reason, bench.erp.sent) == ("told to stop", ["CY-2"])
    bench.runner.stop()
