"""What is counted from the store and shown on /metrics."""

from tests.support.audits import FakeSource, FakeSources, chain, stock_audit

from tillwatch.app import gauges
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.metrics import Metrics
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
