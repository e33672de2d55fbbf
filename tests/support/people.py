"""A chain with people, for tests of who is told: li and wang take turns, the vendor is called last."""

from dataclasses import replace
from datetime import date, timedelta

from tests.support.incidents import chain
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import (
    Channel,
    Escalation,
    Person,
    Receiver,
    Rota,
    Rotation,
    Route,
    Step,
    Target,
)

TEN_MINUTES = timedelta(minutes=10)


def people() -> ChainConfig:
    """Route everything to `ops`, what is critical to `oncall`, which climbs rota, boss, vendor."""
    base = chain()
    steps = (
        Step(notify=Target(rota="primary"), wait_for_ack=TEN_MINUTES),
        Step(notify=Target(person="boss"), wait_for_ack=TEN_MINUTES),
        Step(notify=Target(receiver="vendor"), wait_for_ack=TEN_MINUTES),
    )
    return replace(
        base,
        channels=(
            *base.channels,
            Channel(id="group", kind="wecom_bot"),
            Channel(id="li-phone", kind="webhook"),
            Channel(id="boss-phone", kind="webhook"),
            Channel(id="vendor-mail", kind="email"),
        ),
        people=(
            Person(
                id="li", name={"en": "Li Na", "zh": "李娜"}, channels=("li-phone",), addresses={"wecom_bot": "lina"}
            ),
            Person(id="wang", name={"en": "Wang Wei", "zh": "王伟"}, addresses={"wecom_bot": "wangwei"}),
            Person(id="boss", name={"en": "Boss", "zh": "主管"}, channels=("boss-phone",)),
        ),
        rotas=(
            Rota(
                id="primary",
                rotations=(Rotation(every="daily", start=date(2026, 1, 2), members=("li", "wang")),),
            ),
        ),
        escalations=(Escalation(id="default", steps=steps, repeat=0),),
        receivers=(
            Receiver(id="ops", channels=("inbox",)),
            Receiver(id="oncall", channels=("group",), escalation="default"),
            Receiver(id="vendor", channels=("vendor-mail",)),
        ),
        route=base.route,
    )


def routed(config: ChainConfig, route: Route) -> ChainConfig:
    return replace(config, route=route)
