"""Numbers that are counted from the store, not as things happen: what waits for people, what is refused."""

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.metrics import Metrics
from tillwatch.store import breakers, runs
from tillwatch.store.db import Database


def read_successfully(metrics: Metrics, clock: Clock) -> None:
    """The chain directory was read without an error, now."""
    metrics.set("tillwatch_config_last_reload_successful", 1)
    metrics.set("tillwatch_config_last_reload_timestamp_seconds", clock.now().timestamp())


def show(database: Database, config: ChainConfig, metrics: Metrics) -> None:
    """Every series is set every time, so that a zero is a zero and not a series that is missing."""
    with database.read() as connection:
        waiting = runs.waiting(connection)
        refused = {breaker.system for breaker in breakers.list_open(connection)}
    for state, count in waiting.items():
        metrics.set("tillwatch_runbook_runs_waiting", count, state=state.value)
    for system in config.systems:
        metrics.set("tillwatch_source_breaker_open", system.id in refused, system=system.id)
