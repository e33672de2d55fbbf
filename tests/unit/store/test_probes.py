"""What is remembered of a probe comes back as it was."""

from dataclasses import replace
from datetime import timedelta

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause
from tillwatch.model.probe import Measurement, Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.store.db import Database
from tillwatch.store.probes import forget, history, load_states, save_result


def result(clock: ManualClock, number: int = 0) -> ProbeResult:
    return ProbeResult(
        probe="erp-tcp",
        outcome=Outcome.FAILED,
        started_at=clock.now() + timedelta(seconds=number, microseconds=7),
        seconds=0.25,
        cause=Cause.TCP,
        message="连接被拒绝 connection refused",
        phases={"dns": 0.001, "connect": 0.2},
        measurements=(Measurement(name="probe_success", value=0.0, labels={"ip": "4"}),),
        log=("resolving", "connecting"),
        evidence={"address": "127.0.0.1:8000"},
    )


def state(last: ProbeResult) -> ProbeState:
    return ProbeState(
        probe="erp-tcp",
        status=ProbeStatus.FAILING,
        failures_in_a_row=3,
        since=last.started_at,
        last=last,
        alert_labels={"alertname": "InterfaceDown", "system": "erp"},
        alert_since=last.started_at,
    )


def test_a_result_and_its_state_come_back_exactly(database: Database, clock: ManualClock) -> None:
    stored = result(clock)
    database.write(lambda connection: save_result(connection, state(stored), stored))
    with database.read() as connection:
        assert load_states(connection) == {"erp-tcp": state(stored)}
        assert history(connection, "erp-tcp", 10) == [stored]


def test_a_probe_that_never_ran_has_no_state(database: Database) -> None:
    with database.read() as connection:
        assert load_states(connection) == {}
        assert history(connection, "erp-tcp", 10) == []


def test_only_the_newest_results_of_each_probe_are_kept(database: Database, clock: ManualClock) -> None:
    other = replace(result(clock), probe="other")
    database.write(lambda connection: save_result(connection, replace(state(other), probe="other"), other, keep=3))
    for number in range(6):
        one = result(clock, number)
        database.write(lambda connection, one=one: save_result(connection, state(one), one, keep=3))
    with database.read() as connection:
        assert history(connection, "erp-tcp", 10) == [result(clock, number) for number in (5, 4, 3)]
        assert history(connection, "other", 10) == [other]


def test_a_removed_probe_is_forgotten_whole(database: Database, clock: ManualClock) -> None:
    stored = result(clock)
    database.write(lambda connection: save_result(connection, state(stored), stored))
    database.write(lambda connection: forget(connection, "erp-tcp"))
    with database.read() as connection:
        assert load_states(connection) == {}
        assert history(connection, "erp-tcp", 10) == []
