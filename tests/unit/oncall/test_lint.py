"""What would leave an incident untold although every name is right."""

from dataclasses import replace
from datetime import UTC, date, datetime

from tests.support.people import people, routed

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import (
    Escalation,
    Override,
    Person,
    Receiver,
    Restriction,
    Rota,
    Rotation,
    Route,
    Step,
    Target,
)
from tillwatch.oncall.lint import problems

NOW = datetime(2026, 9, 24, 2, 0, tzinfo=UTC)


def said(config: ChainConfig) -> list[str]:
    return [problem.message for problem in problems(config, NOW)]


def office(may_be_empty: bool) -> Rota:
    hours = (Restriction(days=("sun",), hours="09:00-18:00"),)
    rotation = Rotation(start=date(2026, 1, 1), members=("li",), restrictions=hours)
    return Rota(id="primary", may_be_empty=may_be_empty, rotations=(rotation,))


def test_a_chain_whose_people_can_all_be_told_has_no_problem() -> None:
    assert said(people()) == []


def test_the_hours_that_are_nobodys_are_named_and_counted() -> None:
    [message] = said(replace(people(), rotas=(office(False),)))
    assert message == (
        "rota 'primary': nobody is on call 2026-09-24 10:00 to 09-27 09:00, 2026-09-27 18:00 to 10-04 09:00, "
        "2026-10-04 18:00 to 10-11 09:00 and 2 more within 30 days; add a rotation, or say may_be_empty: true"
    )
    assert said(replace(people(), rotas=(office(True),))) == []


def test_a_person_that_only_a_group_robot_could_call_needs_an_address_there() -> None:
    config = people()
    wang = Person(id="wang", addresses={"dingtalk": "13800000000"})
    [message] = said(replace(config, people=(config.people[0], wang, config.people[2])))
    assert message == "person 'wang': no channel reaches them: group speak to a group; add addresses.wecom_bot"


def test_a_person_nobody_ever_calls_needs_no_channel() -> None:
    config = people()
    assert said(replace(config, people=(*config.people, Person(id="intern")))) == []


def test_a_step_that_can_reach_nobody_is_named() -> None:
    config = people()
    silent = Receiver(id="oncall", escalation="default")
    boss = Person(id="boss")
    found = said(
        replace(config, people=(*config.people[:2], boss), receivers=(config.receivers[0], silent, config.receivers[2]))
    )
    assert "escalation 'default': step 2 reaches nobody: neither its target nor receiver 'oncall' has channels" in found
    assert "person 'boss': can be called, and has no channel" in found


def test_a_policy_without_a_receiver_and_one_behind_another_receiver_are_never_taken() -> None:
    config = people()
    other = Escalation(id="other", steps=(Step(notify=Target(receiver="oncall")),))
    receivers = (*config.receivers, Receiver(id="late", channels=("inbox",), escalation="other"))
    assert said(replace(config, escalations=(*config.escalations, other), receivers=receivers)) == [
        "escalation 'other': step 1: the escalation of receiver 'oncall' is not taken from here; name its steps"
    ]
    assert said(replace(config, escalations=(*config.escalations, Escalation(id="x", steps=other.steps[:1]))))[0] == (
        "escalation 'x': no receiver uses it; its steps are never taken"
    )


def test_an_override_that_ends_before_it_begins_is_no_override() -> None:
    wrong = Override(rota="primary", person="li", from_=NOW, until=NOW)
    assert said(replace(people(), overrides=(wrong,))) == ["override 1 of rota 'primary' ends before it begins"]


def test_a_receiver_whose_people_have_no_channels_reaches_nobody() -> None:
    config = people()
    alone = Receiver(id="alone", oncall="primary")
    bare = tuple(one.model_copy(update={"channels": ()}) for one in config.people)
    found = said(replace(config, people=bare, receivers=(*config.receivers, alone)))
    assert (
        "receiver 'alone': nobody of rota 'primary' has a channel, and it has none of its own; it reaches nobody"
        in found
    )


def test_a_route_behind_one_that_takes_all_of_it_is_never_reached() -> None:
    tree = Route(
        receiver="ops",
        routes=(
            Route(matchers=('site="chaoyang"',), receiver="ops"),
            Route(matchers=('site="chaoyang"', 'severity="critical"'), receiver="oncall"),
        ),
    )
    assert said(routed(people(), tree)) == [
        'route {site="chaoyang", severity="critical"} is never reached: {site="chaoyang"} before it takes all of it'
    ]
    going_on = Route(receiver="ops", routes=(tree.routes[0].model_copy(update={"continue_": True}), tree.routes[1]))
    assert said(routed(people(), going_on)) == []
