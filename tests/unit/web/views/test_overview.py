"""The sentence and the matrix: never calm while something is unknown."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.web_night import calm_world, night_world
from tests.support.web_world import World

from tillwatch.clock import ManualClock
from tillwatch.model.audit import Verdict
from tillwatch.model.incident import Component, Severity
from tillwatch.model.probe import Outcome, ProbeStatus
from tillwatch.web.views.levels import Level
from tillwatch.web.views.overview import Overview, overview
from tillwatch.web.views.places import affected_shops, hub, shops


def _look(world: World) -> Overview:
    return overview(world.config, world.states, world.latest_audits(), world.open_incidents(), world.clock.now())


def _probe(world: World, probe: str, **changes: object) -> None:
    state = world.states[probe]
    assert state.last is not None
    outcome = changes.pop("outcome", state.last.outcome)
    world.states[probe] = replace(state, last=replace(state.last, outcome=outcome), **changes)  # type: ignore[arg-type]


def test_all_is_well_only_when_every_check_says_so(calm_chain: World) -> None:
    found = _look(calm_chain).sentence
    assert (found.level, found.key, found.shops, found.hub) == (Level.OK, "sentence.ok_hub", 2, "erp")


def test_an_open_incident_comes_first_and_the_worst_one_speaks(bad_night: World) -> None:
    found = _look(bad_night).sentence
    assert found.incident is not None
    assert (found.incident.id, found.n, found.affected) == (3, 2, ("chaoyang", "haidian"))


def test_an_incident_folded_under_another_neither_speaks_nor_counts(bad_night: World) -> None:
    bad_night.known[4] = replace(bad_night.known[4], parent=3)
    assert _look(bad_night).sentence.n == 1


def test_an_info_incident_is_not_shouted(bad_night: World) -> None:
    bad_night.known = {5: replace(bad_night.known[5], severity=Severity.INFO)}
    assert _look(bad_night).sentence.level is Level.NOTICE


def test_a_failing_check_without_an_incident_is_still_told(calm_chain: World) -> None:
    _probe(calm_chain, "erp-tcp", status=ProbeStatus.FAILING, outcome=Outcome.FAILED)
    found = _look(calm_chain).sentence
    assert (found.level, found.key, found.n) == (Level.CRITICAL, "sentence.failing", 1)


def test_a_board_that_nobody_feeds_is_not_green(calm_chain: World) -> None:
    calm_chain.clock.advance(7 * 24 * 3600)
    found = _look(calm_chain)
    assert (found.sentence.level, found.sentence.key) == (Level.UNKNOWN, "sentence.blind")
    assert {check.word for check in found.checks} == {"stale"}


def test_one_silent_check_keeps_the_chain_from_being_called_fine(calm_chain: World) -> None:
    state = calm_chain.states["erp-login"]
    assert state.last is not None
    old = replace(state.last, started_at=state.last.started_at - timedelta(minutes=10))
    calm_chain.states["erp-login"] = replace(state, last=old)
    found = _look(calm_chain).sentence
    assert (found.level, found.key, found.n) == (Level.UNKNOWN, "sentence.unknown", 1)


def test_a_check_that_has_not_reported_yet_is_pending_not_fine(calm_chain: World) -> None:
    del calm_chain.states["erp-login"]
    found = _look(calm_chain).sentence
    assert (found.level, found.key, found.n) == (Level.PENDING, "sentence.pending", 1)


def test_a_fresh_start_says_that_it_starts(calm_chain: World) -> None:
    calm_chain.states, calm_chain.reports = {}, {}
    assert _look(calm_chain).sentence.key == "sentence.starting"


def test_one_failure_below_the_threshold_is_a_notice(calm_chain: World) -> None:
    _probe(calm_chain, "erp-tcp", outcome=Outcome.FAILED, failures_in_a_row=1)
    check = next(item for item in _look(calm_chain).checks if item.id == "erp-tcp")
    assert (check.level, check.word, check.n, check.of) == (Level.NOTICE, "wobbling", 1, 3)
    assert _look(calm_chain).sentence.level is Level.OK


@pytest.mark.parametrize(
    ("verdict", "level", "word"),
    [
        (Verdict.CLEAN, Level.OK, "clean"),
        (Verdict.DRIFT, Level.CRITICAL, "drift"),
        (Verdict.INCONCLUSIVE, Level.UNKNOWN, "inconclusive"),
        (Verdict.FAILED, Level.UNKNOWN, "failed"),
    ],
)
def test_an_audit_without_a_verdict_is_unknown_not_fine(
    calm_chain: World, verdict: Verdict, level: Level, word: str
) -> None:
    run = next(number for number, report in calm_chain.reports.items() if report.audit == "orders-chaoyang")
    calm_chain.reports[run] = replace(calm_chain.reports[run], verdict=verdict)
    check = next(item for item in _look(calm_chain).checks if item.id == "orders-chaoyang")
    assert (check.level, check.word) == (level, word)


def test_an_audit_that_should_have_run_twice_since_is_stale(calm_chain: World) -> None:
    calm_chain.clock.advance(2 * 3600)
    check = next(item for item in _look(calm_chain).checks if item.id == "orders-chaoyang")
    assert (check.level, check.word) == (Level.UNKNOWN, "stale")


def test_sites_are_sorted_worst_first(bad_night: World) -> None:
    assert [row.site for row in _look(bad_night).rows] == ["hq", "chaoyang", "haidian"]
    assert [row.level for row in _look(bad_night).rows] == [Level.CRITICAL, Level.CRITICAL, Level.OK]


def test_the_hub_is_what_most_sites_exchange_documents_with(calm_chain: World) -> None:
    assert hub(calm_chain.config) == "erp"
    assert shops(calm_chain.config) == ("chaoyang", "haidian")


@pytest.mark.parametrize(
    ("component", "affected"),
    [
        ("system:erp", ("chaoyang", "haidian")),
        ("system:till-chaoyang", ("chaoyang",)),
        ("interface:orders-haidian", ("haidian",)),
        ("host:hq-server", ()),
        ("site:chaoyang", ("chaoyang",)),
        ("site:hq", ()),
        ("chain:demo", ("chaoyang", "haidian")),
        ("system:left-the-config", ()),
    ],
)
def test_affected_shops_follow_the_topology(calm_chain: World, component: str, affected: tuple[str, ...]) -> None:
    assert affected_shops(calm_chain.config, Component.parse(component)) == affected


@given(st.data())
def test_the_sentence_is_only_calm_when_nothing_is_wrong_or_unknown(data: st.DataObject) -> None:
    world = data.draw(st.sampled_from([calm_world, night_world]))(ManualClock())
    for probe in list(world.states):
        match data.draw(st.sampled_from(["keep", "drop", "fail", "unknown", "old"])):
            case "drop":
                del world.states[probe]
            case "fail":
                _probe(world, probe, status=ProbeStatus.FAILING, outcome=Outcome.FAILED)
            case "unknown":
                _probe(world, probe, outcome=Outcome.UNKNOWN)
            case "old":
                last = world.states[probe].last
                assert last is not None
                old = replace(last, started_at=last.started_at - timedelta(days=1))
                world.states[probe] = replace(world.states[probe], last=old)
    found = _look(world)
    calm = found.sentence.level is Level.OK
    fine = all(check.level in (Level.OK, Level.NOTICE) for check in found.checks) and not world.open_incidents()
    assert calm is fine
