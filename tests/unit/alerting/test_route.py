"""The routing tree answers as Alertmanager's does, and can say why."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.alerting.route import explain, route
from tillwatch.config.schema import Route

TREE = Route(
    receiver="ops",
    group_wait=timedelta(seconds=5),
    routes=(
        Route(receiver="archive", matchers=('alertname=~".+"',), continue_=True),
        Route(
            receiver="oncall",
            matchers=('severity="critical"',),
            repeat_interval=timedelta(hours=1),
            routes=(Route(matchers=('site="chaoyang"',), group_wait=timedelta(0)),),
        ),
        Route(receiver="shops", matchers=('site!=""', 'site!="hq"')),
    ),
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["ops"]),
        ({"alertname": "A"}, ["archive"]),
        ({"alertname": "A", "severity": "critical"}, ["archive", "oncall"]),
        ({"alertname": "A", "site": "haidian"}, ["archive", "shops"]),
        ({"severity": "critical", "site": "haidian"}, ["oncall"]),
        ({"site": "hq"}, ["ops"]),
        ({"alertname": "门店离线", "site": "朝阳"}, ["archive", "shops"]),
    ],
)
def test_an_alert_goes_where_the_tree_says(labels: dict[str, str], receivers: list[str]) -> None:
    assert [routed.receiver for routed in route(labels, TREE)] == receivers


def test_what_a_node_does_not_say_it_has_from_its_parent() -> None:
    [deep] = route({"severity": "critical", "site": "chaoyang"}, TREE)
    assert (deep.receiver, deep.group_wait, deep.repeat_interval) == ("oncall", timedelta(0), timedelta(hours=1))
    assert deep.group_interval == timedelta(minutes=5)
    assert deep.path == ("root", '{severity="critical"}', '{site="chaoyang"}')


def test_explain_names_the_matcher_that_did_not_hold() -> None:
    told = [(visit.depth, visit.name, visit.matched, visit.reason) for visit in explain({"site": "hq"}, TREE)]
    assert told == [
        (0, "root", True, "takes it: nothing below matches"),
        (1, '{alertname=~".+"}', False, "alertname is ''"),
        (1, '{severity="critical"}', False, "severity is ''"),
        (1, '{site!="",site!="hq"}', False, "site is 'hq'"),
    ]


NAMES = ("alertname", "severity", "site")
VALUES = ("", "a", "b", "critical")


def trees(depth: int = 3) -> st.SearchStrategy[Route]:
    matcher = st.builds(
        lambda name, operator, value: f'{name}{operator}"{value}"',
        st.sampled_from(NAMES),
        st.sampled_from(("=", "!=", "=~", "!~")),
        st.sampled_from(VALUES),
    )
    children = st.just(()) if depth == 0 else st.lists(trees(depth - 1), max_size=3).map(tuple)
    return st.builds(
        Route,
        receiver=st.sampled_from(("", "x", "y")),
        matchers=st.lists(matcher, max_size=2).map(tuple),
        continue_=st.booleans(),
        routes=children,
    )


@given(tree=trees(), labels=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)))
def test_every_alert_goes_somewhere_and_explain_agrees_with_route(tree: Route, labels: dict[str, str]) -> None:
    tree = tree.model_copy(update={"receiver": tree.receiver or "root"})
    routed = route(labels, tree)
    assert routed
    assert all(one.receiver for one in routed)
    takers = [visit for visit in explain(labels, tree) if visit.matched and visit.reason.startswith("takes it")]
    assert [one.path[-1] for one in routed] == [visit.name for visit in takers]
