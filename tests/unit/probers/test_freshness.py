"""Is data still arriving?"""

from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.probers.fakes import FakeSource

from tillwatch.errors import Cause, SchemaMismatch
from tillwatch.model.audit import Row
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK
from tillwatch.probers.freshness import FreshnessOptions, Lag, judge, lag_seconds, read_lag

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PLAIN = FreshnessOptions(dataset="synced", max_age=timedelta(minutes=15))
WAITING = FreshnessOptions(dataset="synced", waiting="orders", max_age=timedelta(minutes=15))


def ago(**age: float) -> datetime:
    return NOW - timedelta(**age)


def rows(*times: datetime | None) -> list[Row]:
    return [{"changed_at": time} for time in times]


@pytest.mark.parametrize(("minutes", "stale"), [(15, False), (15.1, True)])
def test_data_is_stale_only_beyond_its_limit(minutes: float, stale: bool) -> None:
    finding = judge(Lag(newest=ago(minutes=minutes)), PLAIN, NOW)
    assert (finding.outcome is Outcome.FAILED) is stale
    if stale:
        assert finding.cause is Cause.DATA
        assert finding.message == "the newest document of 'synced' is 15m6s old, more than 15m"
        assert finding.message_zh == "synced 最新单据已有 15m6s，超过 15m"


def test_nothing_at_all_is_stale_and_says_how_far_back_we_looked() -> None:
    finding = judge(Lag(newest=None), PLAIN, NOW)
    assert (finding.outcome, finding.cause) == (Outcome.FAILED, Cause.DATA)
    assert "no document of 'synced' in the last 7 days" in finding.message
    assert lag_seconds(Lag(newest=None), PLAIN, NOW) is None


def test_a_closed_shop_is_not_stale_while_nothing_waits() -> None:
    lag = Lag(newest=ago(hours=9), oldest_waiting=None)
    assert judge(lag, WAITING, NOW) is OK
    assert lag_seconds(lag, WAITING, NOW) == 0.0


def test_a_document_that_waits_too_long_is_a_backlog() -> None:
    lag = Lag(newest=ago(hours=9), oldest_waiting=ago(minutes=20))
    finding = judge(lag, WAITING, NOW)
    assert (finding.outcome, finding.cause) == (Outcome.FAILED, Cause.BACKLOG)
    assert finding.message == "a document of 'orders' has waited 20m to be synced, more than 15m"
    assert lag_seconds(lag, WAITING, NOW) == 1200.0


def test_a_document_from_the_future_means_clocks_that_disagree() -> None:
    finding = judge(Lag(newest=NOW + timedelta(hours=8)), PLAIN, NOW)
    assert (finding.outcome, finding.cause) == (Outcome.DEGRADED, Cause.DATA)
    assert "8h in the future; compare the clocks" in finding.message


def test_only_fresh_rows_are_read_when_there_are_some() -> None:
    source = FakeSource({"synced": rows(ago(days=2), ago(minutes=3), ago(minutes=9))})
    assert read_lag(source, PLAIN, NOW) == Lag(newest=ago(minutes=3))
    assert source.asked == [("synced", ago(minutes=15))]


def test_without_a_fresh_row_we_look_a_week_back_to_name_the_age() -> None:
    source = FakeSource({"synced": rows(ago(days=30), ago(days=2))})
    assert read_lag(source, PLAIN, NOW) == Lag(newest=ago(days=2))
    assert source.asked == [("synced", ago(minutes=15)), ("synced", ago(days=7))]


def test_the_oldest_document_after_the_newest_arrival_is_what_waits() -> None:
    source = FakeSource(
        {"synced": rows(ago(minutes=40)), "orders": rows(ago(minutes=50), ago(minutes=30), ago(minutes=5))}
    )
    assert read_lag(source, WAITING, NOW) == Lag(newest=ago(minutes=40), oldest_waiting=ago(minutes=30))


def test_when_nothing_ever_arrived_the_oldest_order_waits() -> None:
    source = FakeSource({"synced": [], "orders": rows(ago(minutes=30), ago(minutes=5))})
    assert read_lag(source, WAITING, NOW) == Lag(newest=None, oldest_waiting=ago(minutes=30))


def test_a_source_that_cannot_filter_is_read_whole_and_filtered_here() -> None:
    source = FakeSource({"synced": rows(ago(days=2), ago(minutes=3), None)}, since=False)
    assert read_lag(source, PLAIN, NOW) == Lag(newest=ago(minutes=3))
    assert source.asked == [("synced", None)]


def test_a_field_that_is_no_time_is_named() -> None:
    source = FakeSource({"synced": [{"changed_at": "yesterday"}]}, since=False)
    with pytest.raises(
        SchemaMismatch, match="field 'changed_at' of dataset 'synced' in system 'erp' holds 'yesterday'"
    ):
        read_lag(source, PLAIN, NOW)
