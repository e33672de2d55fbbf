"""Audits of data that is written all the time: nothing in flight is called drift, nothing wrong is overlooked."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.audits import ZONE, stock_audit
from tests.support.traffic import SECONDS, START, Traffic, TrafficSource

from tillwatch.audit.declare import declare
from tillwatch.audit.examine import Order, examine
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Field
from tillwatch.model.audit import AuditReport, Verdict

SEEDS = range(5)
#: The sync needs two seconds at most.
SETTLE = timedelta(seconds=3)
#: When the audit begins: the traffic is in full swing.
BEGIN = 20.0


def audited(
    traffic: Traffic,
    *,
    changed_by: str = "",
    settle: timedelta = SETTLE,
    lag: float = 0.0,
    dated: Collection[str] = (),
) -> AuditReport:
    """`dated` names the sides that can be asked what changed since."""
    clock = ManualClock(START)
    clock.advance(BEGIN)
    spec = stock_audit(fields={"quantity": Field(type="integer")}, settle=settle, changed_by=changed_by)
    sides = {
        "erp": TrafficSource(traffic, "left", clock, dated="left" in dated),
        "till": TrafficSource(traffic, "right", clock, dated="right" in dated),
    }
    report = examine(
        Order(
            declared=declare(spec, ZONE),
            open=sides.__getitem__,  # type: ignore[arg-type]
            run=1,
            started_at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
            clock=clock,
            measured_lag=lag,
        )
    )
    assert clock.monotonic() < SECONDS, "the audit outlasted the traffic"
    return report


@pytest.mark.parametrize("changed_by", ["changed_at", ""])
@pytest.mark.parametrize("seed", SEEDS)
def test_of_live_traffic_exactly_what_is_wrong_is_confirmed(seed: int, changed_by: str) -> None:
    traffic = Traffic(seed)
    assert traffic.writes / SECONDS > 100
    assert len(traffic.planted) == 20
    report = audited(traffic, changed_by=changed_by)
    assert {row.key["sku"] for row in report.differences} == traffic.planted
    assert (report.verdict, report.unsettled, report.late) == (Verdict.DRIFT, 0, 0)
    # The test would prove nothing if little had been in flight.
    suspects, cleared = report.evidence["suspects"], report.evidence["cleared"]
    assert isinstance(suspects, int)
    assert isinstance(cleared, int)
    assert suspects > 100
    assert cleared > 80


@pytest.mark.parametrize("changed_by", ["changed_at", ""])
@pytest.mark.parametrize("seed", range(2))
def test_a_sync_slower_than_the_window_lags_and_loses_nothing(seed: int, changed_by: str) -> None:
    report = audited(Traffic(seed, lag=(5.0, 7.0), wrong=False), changed_by=changed_by)
    assert (report.verdict, report.differences, report.unsettled) == (Verdict.SYNC_LAG, (), 0)
    assert report.late > 50
    assert report.evidence["late_keys"]


def test_what_is_lost_is_found_although_the_sync_is_slower_than_the_window() -> None:
    traffic = Traffic(0, lag=(5.0, 7.0))
    report = audited(traffic, changed_by="changed_at")
    assert {row.key["sku"] for row in report.differences} == traffic.planted
    assert report.verdict is Verdict.DRIFT
    assert report.late > 50


@pytest.mark.parametrize("seed", range(2))
def test_a_sync_that_stands_still_is_told_from_loss_by_the_change_column(seed: int) -> None:
    report = audited(Traffic(seed, stalled=14.0, wrong=False), changed_by="changed_at")
    assert (report.verdict, report.differences) == (Verdict.SYNC_LAG, ())
    assert report.late > 300


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sync_that_stands_still_is_told_from_loss_without_a_change_column_too(seed: int) -> None:
    report = audited(Traffic(seed, stalled=14.0, wrong=False), dated=("left", "right"))
    assert (report.verdict, report.differences) == (Verdict.SYNC_LAG, ())
    assert report.late > 300


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_lost_before_the_sync_stood_still_is_found_without_a_change_column_too(seed: int) -> None:
    traffic = Traffic(seed, stalled=19.0)
    report = audited(traffic, dated=("left", "right"))
    confirmed = {row.key["sku"] for row in report.differences}
    lost_before = {key for key in traffic.planted if key.startswith(("Q", "L")) and traffic.state("left", key, 99.0)}
    assert lost_before <= confirmed <= traffic.planted
    assert report.verdict is Verdict.DRIFT
    assert report.late > 100


@pytest.mark.parametrize("seed", range(2))
def test_while_the_sync_works_sides_that_can_tell_their_changes_excuse_nothing(seed: int) -> None:
    traffic = Traffic(seed)
    report = audited(traffic, dated=("left", "right"))
    assert {row.key["sku"] for row in report.differences} == traffic.planted
    assert (report.verdict, report.unsettled, report.late) == (Verdict.DRIFT, 0, 0)


def test_what_is_older_than_everything_that_arrived_is_lost_although_the_sync_stands_still() -> None:
    traffic = Traffic(0, stalled=14.0)
    confirmed = {row.key["sku"] for row in audited(traffic, changed_by="changed_at").differences}
    assert confirmed < traffic.planted
    assert len([key for key in confirmed if key.startswith(("Q", "L"))]) == len(confirmed) >= 10


def test_a_measured_lag_widens_the_window_so_that_a_slow_sync_no_longer_lags() -> None:
    report = audited(Traffic(1, lag=(3.0, 4.0), wrong=False), lag=4.0)
    assert (report.verdict, report.late) == (Verdict.CLEAN, 0)
    settle = report.evidence["settle"]
    assert isinstance(settle, dict)
    assert (settle["window_seconds"], settle["strength"]) == (6.0, "weak")


def test_the_measured_lag_is_the_syncs_not_that_of_rows_that_are_written_again() -> None:
    lag = audited(Traffic(2)).evidence["lag"]
    assert isinstance(lag, dict)
    assert lag["rows"] > 80
    # Rows need one to two seconds; they are looked at every fourth of a window.
    assert 1.0 < lag["p99"] <= 2.0 + 3.0 / 4
