"""A runbook starts by itself only when it says so, nobody is on it, and the calendar allows it; and only once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.support.runbook_chain import Bench, markdown

from tillwatch.config.schema import Window
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Component, Incident, IncidentState, RunbookLink, Severity
from tillwatch.oncall.calendar import NO_CALENDAR, StoreCalendar
from tillwatch.runbook.automatic import ACTOR, TURN, AutomaticRuns, Decision, decide
from tillwatch.store import alerts, incidents, runs

NOW = datetime(2026, 11, 11, 2, 0, tzinfo=UTC)
LIVE = [{"alertname": "InterfaceDown", "system": "erp"}]
FREEZE = Window(id="double-eleven", hours="00:00-23:59", automatic_runs=False, matchers=('system="erp"',))
FROZEN = replace(NO_CALENDAR, windows=(FREEZE,), zone=ZoneInfo("Asia/Shanghai"))


def incident(**more: object) -> Incident:
    values: dict[str, object] = {
        "id": 1,
        "component": Component.parse("system:erp"),
        "state": IncidentState.OPEN,
        "severity": Severity.CRITICAL,
        "title": "down",
        "opened_at": NOW,
        "runbooks": (RunbookLink(id="by-hand", url="/"), RunbookLink(id="restart", url="/")),
    }
    return Incident(**{**values, **more})  # type: ignore[arg-type]


def decided(about: Incident, *, has_run: bool = False, calendar: StoreCalendar = NO_CALENDAR) -> Decision:
    return decide(about, automatic={"restart"}, live=LIVE, has_run=has_run, calendar=calendar, now=NOW)


def test_the_first_suggested_runbook_that_may_start_by_itself_does() -> None:
    assert decided(incident()) == Decision(runbook="restart", start=True)


@pytest.mark.parametrize(
    "more",
    [
        {"state": IncidentState.ACKNOWLEDGED},
        {"state": IncidentState.RESOLVED},
        {"parent": 7},
        {"snoozed_until": NOW + timedelta(hours=1)},
        {"settles_at": NOW + timedelta(minutes=1)},
        {"runbooks": (RunbookLink(id="by-hand", url="/"),)},
    ],
)
def test_nothing_starts_where_somebody_is_on_it_or_nothing_is_to_be_done(more: dict[str, object]) -> None:
    assert not decided(incident(**more)).start


def test_nothing_starts_a_second_time() -> None:
    assert not decided(incident(), has_run=True).start


def test_the_calendar_forbids_and_is_named() -> None:
    assert decided(incident(), calendar=FROZEN) == Decision(runbook="restart", held_by=("double-eleven",))


def test_a_window_about_something_else_forbids_nothing() -> None:
    other = replace(FROZEN, windows=(FREEZE.model_copy(update={"matchers": ('system="till"',)}),))
    assert decided(incident(), calendar=other).start


STEP = """
id: a
do: test.set
with: {name: a, value: new}
verify: {do: test.is, with: {name: a, value: new}}
undo: {do: test.set, with: {name: a, value: old}, verify: {do: test.is, with: {name: a, value: old}}}
"""


def opened(it: Bench, *links: str) -> None:
    """An open incident with a live alert that suggests these runbooks."""
    now = it.clock.now()
    about = incident(opened_at=now, runbooks=tuple(RunbookLink(id=id, url="/") for id in links))
    live = Episode(
        id=1,
        fingerprint="f",
        source="probe",
        labels=LIVE[0],
        annotations={},
        starts_at=now,
        state=AlertState.FIRING,
        ends_at=None,
        lease_until=None,
        updated_at=now,
        incident=1,
    )
    it.database.write(lambda connection: incidents.add(connection, [about]))
    it.database.write(lambda connection: alerts.add(connection, "probe", [live]))


def automatic(it: Bench, owner: str = "one") -> AutomaticRuns:
    return AutomaticRuns(it.desk, it.desk._config, database=it.database, clock=it.clock, owner=owner)


def started(it: Bench) -> list[tuple[str, str, int | None]]:
    with it.database.read() as connection:
        return [(run.runbook, run.requested_by, run.incident) for run in runs.listed(connection)]


def test_it_starts_once_for_an_incident_whatever_process_looks(bench: Callable[..., Bench]) -> None:
    it = bench(markdown(STEP).replace("\nlock:", "\nautomatic: true\nlock:", 1))
    opened(it, "test")
    assert automatic(it).round() == 1
    assert automatic(it, "other").round() == 0
    it.clock.advance(TURN.total_seconds() + 1)
    assert automatic(it, "other").round() == 0, "there is a run already"
    assert started(it) == [("test", ACTOR, 1)]


def test_one_that_does_not_say_so_is_left_to_people(bench: Callable[..., Bench]) -> None:
    it = bench(markdown(STEP))
    opened(it, "test")
    assert automatic(it).round() == 0
    assert started(it) == []


def test_what_refuses_to_start_is_said_once_and_left_to_people(bench: Callable[..., Bench]) -> None:
    it = bench(markdown(STEP).replace("\nlock:", "\nautomatic: true\nlock:", 1))
    opened(it, "test")
    looks = automatic(it)
    it.desk.start("test", {}, actor="ann")
    for _ in range(3):
        assert looks.round() == 0
        it.clock.advance(TURN.total_seconds() + 1)
    with it.database.read() as connection:
        kinds = [entry.kind for entry in incidents.timeline(connection, 1)]
    assert kinds == ["automatic_refused"]
