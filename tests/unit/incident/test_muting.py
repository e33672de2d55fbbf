"""Declared inhibition: Alertmanager's rule, and nobody waits for ever because something else was broken."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.incidents import GROUP_WAIT, Router, alert, chain

from tillwatch.config.matcher import matches_all, parse_matcher
from tillwatch.config.schema import Inhibition, Maintenance
from tillwatch.incident.muting import Muting, Rule
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.labels import fingerprint
from tillwatch.store.db import Database

LINE_DOWN = Inhibition(
    id="line",
    source_matchers=('alertname="LineDown"',),
    target_matchers=('severity=~"warning|info"',),
    equal=("site",),
)


def episode(number: int, state: AlertState = AlertState.FIRING, **labels: str) -> Episode:
    return Episode(
        id=number,
        fingerprint=fingerprint(labels),
        source="prometheus",
        labels=labels,
        annotations={},
        starts_at=datetime(2026, 11, 24, tzinfo=UTC),
        state=state,
        ends_at=None,
        lease_until=None,
        updated_at=datetime(2026, 11, 24, tzinfo=UTC),
        incident=None,
    )


def muted(target: Episode, *firing: Episode, rule: Inhibition = LINE_DOWN) -> bool:
    muting = Muting.of((), [Rule(rule)], [*firing, target])
    return muting.mutes(target.labels, target.fingerprint)


SLOW = episode(1, alertname="Slow", severity="warning", site="chaoyang")
LINE = episode(2, alertname="LineDown", severity="critical", site="chaoyang")


def test_while_the_cause_fires_what_it_explains_is_not_told() -> None:
    assert muted(SLOW, LINE)
    assert not muted(SLOW)


def test_both_must_agree_on_the_equal_labels() -> None:
    elsewhere = episode(3, alertname="LineDown", severity="critical", site="haidian")
    assert not muted(SLOW, elsewhere)


def test_a_label_that_neither_has_counts_as_agreed_and_one_that_only_one_has_does_not() -> None:
    nowhere = episode(4, alertname="LineDown", severity="critical")
    assert muted(episode(5, alertname="Slow", severity="warning"), nowhere)
    assert not muted(SLOW, nowhere)


@pytest.mark.parametrize("state", [AlertState.SILENT, AlertState.RESOLVED])
def test_a_cause_that_does_not_surely_fire_explains_nothing(state: AlertState) -> None:
    assert not muted(SLOW, replace(LINE, state=state))


def test_two_of_a_kind_do_not_mute_each_other() -> None:
    rule = Inhibition(id="one", source_matchers=('team="pos"',), target_matchers=('team="pos"',))
    one, other = episode(6, alertname="A", team="pos"), episode(7, alertname="B", team="pos")
    assert not muted(one, other, rule=rule)


LABELS = st.fixed_dictionaries(
    {"alertname": st.sampled_from(["LineDown", "Slow", "Full"])},
    optional={"site": st.sampled_from(["a", "b"]), "severity": st.sampled_from(["critical", "warning"])},
)


@given(
    alerts=st.lists(LABELS, min_size=1, max_size=6, unique_by=lambda labels: fingerprint(labels)),
    source=st.sampled_from(['alertname="LineDown"', 'alertname=~"LineDown|Full"', 'severity="critical"']),
    target=st.sampled_from(['severity="warning"', 'alertname!="Slow"', 'site="a"']),
    equal=st.sampled_from([(), ("site",), ("site", "severity")]),
)
def test_the_indexed_answer_is_the_one_of_comparing_every_pair(
    alerts: list[dict[str, str]], source: str, target: str, equal: tuple[str, ...]
) -> None:
    rule = Inhibition(id="one", source_matchers=(source,), target_matchers=(target,), equal=equal)
    firing = [episode(number, **labels) for number, labels in enumerate(alerts)]
    left, right = [parse_matcher(source)], [parse_matcher(target)]
    muting = Muting.of((), [Rule(rule)], firing)
    for one in firing:
        both = matches_all(left, one.labels) and matches_all(right, one.labels)
        expected = matches_all(right, one.labels) and any(
            matches_all(left, other.labels)
            and not (both and matches_all(right, other.labels))
            and all(other.labels.get(name, "") == one.labels.get(name, "") for name in equal)
            for other in firing
            if other is not one
        )
        assert muting.mutes(one.labels, one.fingerprint) is expected


@pytest.fixture
def declared(sqlite_database: Database, make_router: Callable[..., Router]) -> Router:
    window = Maintenance(id="backup", matchers=('system="erp"',), schedule="0 11 * * *", duration="30m")  # type: ignore[arg-type]
    config = replace(chain(), inhibitions=(LINE_DOWN,), maintenance=(window,))
    return make_router(sqlite_database, config=config)


def line_down(router: Router, *, over: bool = False) -> None:
    now = router.clock.now()
    router.fire(
        alert("LineDown", now, severity="critical", site="chaoyang", host="router", ends_at=now if over else None)
    )


def slow(router: Router) -> None:
    router.fire(alert("Slow", router.clock.now(), site="chaoyang", host="pos-1"))


def test_an_explained_alert_opens_an_incident_that_is_told_when_its_cause_is_over(declared: Router) -> None:
    line_down(declared)
    slow(declared)
    assert declared.outbox(2) == []
    assert "inhibited" in declared.kinds(2)
    declared.clock.advance(600)
    line_down(declared, over=True)
    assert [kind for kind, *_ in declared.outbox(2)] == ["opened"]


def test_a_cause_that_comes_within_group_wait_takes_the_opening_back(declared: Router) -> None:
    slow(declared)
    declared.clock.advance(GROUP_WAIT.total_seconds() / 2)
    line_down(declared)
    assert declared.outbox(1) == [("opened", "inbox", "cancelled")]


def test_a_maintenance_window_mutes_and_its_end_tells_what_still_fires(declared: Router) -> None:
    declared.fire(alert("SyncStale", declared.clock.now(), system="erp"))
    assert declared.outbox(1) == [], "it is 11:00 in Shanghai"
    declared.clock.advance(29 * 60)
    declared.desk.tick(declared.clock.now())
    assert declared.outbox(1) == []
    declared.clock.advance(61)
    declared.desk.tick(declared.clock.now())
    assert [kind for kind, *_ in declared.outbox(1)] == ["opened"]
