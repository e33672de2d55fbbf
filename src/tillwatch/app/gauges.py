"""Numbers that are counted from the store, not as things happen: what waits for people, what is refused."""

from datetime import datetime

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.metrics import Metrics
from tillwatch.notify.desk import DEAD_FOR
from tillwatch.store import breakers, channels, proofs, queues, runs
from tillwatch.store.db import Database


def read_successfully(metrics: Metrics, clock: Clock) -> None:
    """The chain directory was read without an error, now."""
    metrics.set("tillwatch_config_last_reload_successful", 1)
    metrics.set("tillwatch_config_last_reload_success_timestamp_seconds", clock.now().timestamp())


def show(database: Database, config: ChainConfig, metrics: Metrics, now: datetime) -> None:
    """Every series is set every time, so that a zero is a zero and not a series that is missing."""
    with database.read() as connection:
        waiting = runs.waiting(connection)
        verified = proofs.oldest_verified(connection)
        gates = channels.gates(connection)
        waiting_for = queues.queues(connection, now, dead_since=now - DEAD_FOR)
        refused = {breaker.system for breaker in breakers.list_open(connection)}
    for state, count in waiting.items():
        metrics.set("tillwatch_runbook_runs_waiting", count, state=state.value)
    for system in config.systems:
        metrics.set("tillwatch_source_breaker_open", system.id in refused, system=system.id)
    for audit in config.audits:
        # One that was never proven has no series: nothing is known, not even for how long.
        if audit.id in verified:
            seconds = (now - verified[audit.id]).total_seconds()
            metrics.set("tillwatch_audit_oldest_verified_seconds", seconds, audit=audit.id)
    for channel in config.channels:
        gate, queue = gates.get(channel.id), waiting_for.get(channel.id, queues.Queue())
        metrics.set("tillwatch_channel_open", gate is not None and gate.opened_at is not None, channel=channel.id)
        metrics.set("tillwatch_channel_waiting", queue.waiting, channel=channel.id)
        metrics.set("tillwatch_dead_letters", queue.dead, channel=channel.id)
