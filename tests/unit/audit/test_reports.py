"""Reports to the business: at their time, once, in both languages, and never about what has not happened."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.audits import FakeSource, FakeSources, chain, stock, stock_audit

from tillwatch.audit.reports import LATEST_AFTER, send_due
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Channel, Report, Thresholds
from tillwatch.metrics import Metrics
from tillwatch.model.notice import DeliveryRecord
from tillwatch.store import outbox
from tillwatch.store.db import Database

#: Nine in Shanghai every day.
REPORT = Report(schedule="0 9 * * *", channels=("mail", "ops"))
NINE = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


class Bench:
    def __init__(self, database: Database, clock: ManualClock, report: Report = REPORT, **declared: object) -> None:
        self.database, self.clock = database, clock
        self.left = FakeSource("erp", {"stock": stock(("001", "1", "1"), ("002", "2", "2"))})
        self.right = FakeSource("till", {"stock": stock(("001", "1", "1"), ("002", "2", "2"))})
        spec = stock_audit(name={"en": "Stock", "zh": "库存对账"}, report=report, **declared)
        channels = (Channel(id="mail", kind="email"), Channel(id="ops", kind="webhook"))
        self.config = replace(chain(spec), channels=channels)
        self.runner = AuditRunner(
            self.config, FakeSources(self.left, self.right), database=database, clock=clock, metrics=Metrics()
        )

    def at(self, instant: datetime) -> int:
        self.clock.advance((instant - self.clock.now()).total_seconds())
        return send_due(self.database, self.config, self.clock.now())

    def sent(self) -> list[DeliveryRecord]:
        with self.database.read() as connection:
            return list(reversed(outbox.latest(connection, 100)))


@pytest.fixture
def bench(sqlite_database: Database, clock: ManualClock) -> Iterator[Bench]:
    bench = Bench(sqlite_database, clock)
    yield bench
    bench.runner.stop()


def test_it_is_sent_at_its_time_to_each_channel_and_only_once(bench: Bench) -> None:
    bench.runner.run("stock")
    assert bench.at(NINE - timedelta(seconds=1)) == 0
    assert bench.at(NINE) == 2
    assert bench.at(NINE + timedelta(hours=3)) == 0
    assert [one.channel for one in bench.sent()] == ["mail", "ops"]
    assert bench.at(NINE + timedelta(days=1)) == 2


def test_after_an_outage_it_is_made_up_for_unless_the_next_is_near(bench: Bench) -> None:
    bench.runner.run("stock")
    assert bench.at(NINE + timedelta(hours=5)) == 2
    assert timedelta(days=1) >= LATEST_AFTER


def test_an_audit_that_had_not_run_by_then_has_nothing_to_report(bench: Bench) -> None:
    assert bench.at(NINE) == 0
    bench.clock.advance(60)
    bench.runner.run("stock")
    assert bench.at(NINE + timedelta(minutes=5)) == 0, "it ran for the first time after nine"


def test_a_clean_audit_says_so_in_both_languages(bench: Bench) -> None:
    bench.clock.advance(3600)
    bench.runner.run("stock")
    bench.at(NINE)
    text = bench.sent()[0].text
    assert text["zh"].splitlines()[0] == "对账报告：库存对账"
    assert "两边 2 行全部一致" in text["zh"]
    assert "1 runs since 2026-11-24 09:00: 1 clean, 0 with drift" in text["en"]
    assert "/audits/runs/1" in text["en"]


def test_drift_is_told_with_its_money_and_what_has_lasted_longest(bench: Bench) -> None:
    bench.clock.advance(3600)
    bench.right.datasets["stock"] = stock(("001", "1", "1"))
    bench.runner.run("stock")
    bench.clock.advance(3600)
    bench.right.datasets["stock"] = stock(("001", "5", "1"))
    bench.runner.run("stock")
    bench.at(NINE)
    english = bench.sent()[0].text["en"]
    assert "2 rows differ (1 missing, 0 extra, 1 changed)" in english
    assert "Longest known: 002 (2026-11-24 12:00); 001 (2026-11-24 13:00)" in english


def test_an_audit_that_gives_no_answer_says_why(bench: Bench) -> None:
    bench.clock.advance(3600)
    bench.right.datasets.clear()
    bench.runner.run("stock")
    bench.at(NINE)
    assert "no answer. " in bench.sent()[0].text["en"]


def test_a_report_that_is_too_late_is_not_sent_and_the_next_one_is(
    sqlite_database: Database, clock: ManualClock
) -> None:
    weekly = Bench(sqlite_database, clock, Report(schedule="0 9 * * 3", channels=("mail",)))
    weekly.runner.run("stock")
    assert weekly.at(NINE + LATEST_AFTER + timedelta(seconds=1)) == 0
    assert weekly.sent() == []
    assert weekly.at(NINE + timedelta(days=7)) == 1
    weekly.runner.stop()


def test_a_report_is_sent_to_the_last_instant_at_which_it_is_not_too_late(
    sqlite_database: Database, clock: ManualClock
) -> None:
    weekly = Bench(sqlite_database, clock, Report(schedule="0 9 * * 3", channels=("mail",)))
    weekly.runner.run("stock")
    assert weekly.at(NINE + LATEST_AFTER) == 1
    weekly.runner.stop()


def test_it_names_the_owner_and_says_when_drift_is_within_thresholds(
    sqlite_database: Database, clock: ManualClock
) -> None:
    owned = Bench(sqlite_database, clock, owner="财务部", thresholds=Thresholds(rows=1))
    owned.clock.advance(3600)
    owned.right.datasets["stock"] = stock(("001", "1", "1"))
    owned.runner.run("stock")
    owned.at(NINE)
    text = owned.sent()[0].text
    owned.runner.stop()
    assert "That is within the thresholds of this audit." in text["en"]
    assert "Owner: 财务部" in text["en"]
    assert "在本项对账的允许范围内。" in text["zh"]
    assert "负责人：财务部" in text["zh"]
