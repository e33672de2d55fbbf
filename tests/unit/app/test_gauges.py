"""What is counted from the store and shown on /metrics."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection
from tests.support.audits import FakeSource, FakeSources, chain, stock_audit

from tillwatch.app import gauges
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Channel
from tillwatch.metrics import Metrics
from tillwatch.model.channel import Gate
from tillwatch.model.notice import DeliveryState, Notice, NoticeKind
from tillwatch.store import channels, outbox
from tillwatch.store.breakers import StoredBreaker
from tillwatch.store.db import Database


def test_every_series_is_there_at_zero_and_a_refused_login_shows(database: Database, clock: ManualClock) -> None:
    metrics, config = Metrics(), chain()
    gauges.show(database, config, metrics, clock.now())
    assert metrics.value("tillwatch_runbook_runs_waiting", state="waiting_approval") == 0
    system = config.systems[0].id
    assert metrics.value("tillwatch_source_breaker_open", system=system) == 0
    StoredBreaker(database, clock=clock).refused(system, "digest", "wrong password")
    gauges.show(database, config, metrics, clock.now())
    assert metrics.value("tillwatch_source_breaker_open", system=system) == 1


def test_a_reading_of_the_chain_directory_is_shown_with_its_time(clock: ManualClock) -> None:
    metrics = Metrics()
    gauges.read_successfully(metrics, clock)
    assert metrics.value("tillwatch_config_last_reload_successful") == 1
    assert metrics.value("tillwatch_config_last_reload_success_timestamp_seconds") == clock.now().timestamp()


def test_an_audit_says_how_long_ago_all_of_it_was_looked_at_once_it_was_proven(
    database: Database, clock: ManualClock
) -> None:
    metrics, config = Metrics(), chain(stock_audit())
    gauges.show(database, config, metrics, clock.now())
    assert metrics.value("tillwatch_audit_oldest_verified_seconds", audit="stock") is None
    sources = FakeSources(FakeSource("erp", {"stock": []}), FakeSource("till", {"stock": []}))
    AuditRunner(config, sources, database=database, clock=clock, metrics=metrics).run("stock")
    clock.jump(90)
    gauges.show(database, config, metrics, clock.now())
    assert metrics.value("tillwatch_audit_oldest_verified_seconds", audit="stock") == 90


def test_a_channel_that_was_left_alone_shows_with_what_waits_for_it(database: Database, clock: ManualClock) -> None:
    metrics, config, now = Metrics(), replace(chain(), channels=(Channel(id="ops", kind="webhook"),)), clock.now()
    notice = Notice(kind=NoticeKind.OPENED, incident=1, version=1, receiver="ops", channels=("ops",), not_before=now)

    def names() -> list[float | None]:
        gauges.show(database, config, metrics, clock.now())
        shown = ("tillwatch_channel_open", "tillwatch_channel_waiting", "tillwatch_dead_letters")
        return [metrics.value(name, channel="ops") for name in shown]

    assert names() == [0, 0, 0]
    database.write(lambda connection: outbox.enqueue(connection, notice, now))
    database.write(lambda connection: channels.save(connection, Gate(channel="ops", failures=3, opened_at=now)))
    assert names() == [1, 1, 0]

    def give_up(connection: Connection) -> None:
        [record] = outbox.claim(connection, "w", now, timedelta(minutes=1), 1)
        outbox.close(connection, record, now, DeliveryState.REJECTED, "expired", "too old")

    database.write(give_up)
    assert names() == [1, 0, 1]
