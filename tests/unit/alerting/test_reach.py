"""What matchers reach now: counted as one by one, whatever index helps."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.alerting.reach import LiveAlerts, Reach, Reached, matchers_for
from tillwatch.config.matcher import Matcher, Operator, matches_all, parse_matcher
from tillwatch.model.alert import AlertState, Episode

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def alert(number: int, incident: int | None = 1, state: AlertState = AlertState.FIRING, **labels: str) -> Episode:
    return Episode(
        id=number,
        fingerprint=f"{number:016x}",
        source="prometheus",
        labels=labels,
        annotations={},
        starts_at=NOW,
        state=state,
        ends_at=None,
        lease_until=None,
        updated_at=NOW,
        incident=incident,
    )


def test_an_incident_is_named_with_how_much_of_it_is_reached() -> None:
    alerts = LiveAlerts(
        [
            alert(1, 7, alertname="Down", site="cy"),
            alert(2, 7, alertname="Slow", site="cy"),
            alert(3, 8, alertname="Down", site="hd"),
            alert(4, None, alertname="Watchdog", site="cy"),
        ]
    )
    assert alerts.reach([parse_matcher('site="cy"')]) == Reach(
        alerts=3, incidents=(Reached(incident=7, matched=2, live=2),)
    )
    partly = alerts.reach([parse_matcher('alertname="Down"')])
    assert [(one.incident, one.is_whole) for one in partly.incidents] == [(7, False), (8, True)]


def test_what_is_over_is_not_reached_and_what_fell_silent_is() -> None:
    alerts = LiveAlerts([alert(1, 1, AlertState.RESOLVED, a="b"), alert(2, 1, AlertState.SILENT, a="b")])
    assert alerts.reach([parse_matcher('a="b"')]).alerts == 1


def test_a_label_that_is_not_there_is_the_empty_text() -> None:
    alerts = LiveAlerts([alert(1, site="cy"), alert(2)])
    assert alerts.reach([parse_matcher('site=""')]).alerts == 1


_labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), max_size=3)
_matcher = st.builds(
    Matcher, name=st.sampled_from("abcd"), operator=st.sampled_from(Operator), value=st.sampled_from(["", "x", "y|x"])
)


@given(st.lists(_labels, max_size=8), st.lists(_matcher, min_size=1, max_size=3))
def test_the_index_finds_exactly_what_trying_every_alert_finds(
    labels: list[dict[str, str]], matchers: list[Matcher]
) -> None:
    episodes = [alert(number, **one) for number, one in enumerate(labels)]
    expected = sum(matches_all(matchers, one) for one in labels)
    assert LiveAlerts(episodes).reach(matchers).alerts == expected


def test_the_matchers_of_an_incident_are_the_labels_its_alerts_share() -> None:
    one = alert(1, alertname="Down", site="cy", probe="a")
    assert [str(m) for m in matchers_for([one])] == ['alertname="Down"', 'probe="a"', 'site="cy"']
    other = alert(2, alertname="Down", site="cy", probe="b")
    assert [str(m) for m in matchers_for([one, other])] == ['alertname="Down"', 'site="cy"']
    assert matchers_for([]) == ()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8), min_size=1, max_size=4))
def test_the_matchers_of_an_incident_match_all_of_its_alerts_whatever_their_names(names: list[str]) -> None:
    episodes = [alert(number, alertname=name) for number, name in enumerate(names)]
    matchers = [parse_matcher(str(one)) for one in matchers_for(episodes)]
    assert LiveAlerts(episodes).reach(matchers).alerts == len(names)
