"""What `alerts/routes.yaml` declares: who is told, and which jobs report themselves."""

from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field as Key
from pydantic import model_validator

from tillwatch.config.strict import Strict
from tillwatch.config.values import CronText, Duration, Every, Id, LabelName, MatcherText, Reference, Text


class Route(Strict):
    """One node of the routing tree; what a child does not say it takes from its parent."""

    receiver: Reference = ""
    matchers: tuple[MatcherText, ...] = ()
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    continue_: Annotated[bool, Key(alias="continue")] = False
    routes: tuple["Route", ...] = ()


class Receiver(Strict):
    """Who is told: channels, whoever is on call, the steps of an escalation policy, or all of them."""

    id: Id
    name: Text = {}
    channels: tuple[Reference, ...] = ()
    #: A rota: the person on call is told through their own channels, and called by name in `channels`.
    oncall: Reference = ""
    #: A policy of alerts/oncall.yaml; its steps are taken until somebody acknowledges.
    escalation: Reference = ""


class Heartbeat(Strict):
    """A job that reports itself with POST /hooks/heartbeat/ID; its silence is the alert."""

    id: Id
    name: Text = {}
    #: How often it reports, or when it does: one of the two.
    every: Every | None = None
    schedule: CronText | None = None
    #: Of the schedule; the chain's when not given.
    zone: ZoneInfo | None = None
    #: How late it may be before it counts as missing.
    grace: Duration = timedelta(minutes=1)
    system: Reference = ""
    interface: Reference = ""
    site: Reference = ""

    @model_validator(mode="after")
    def _is_due_somehow(self) -> "Heartbeat":
        if (self.every is None) == (self.schedule is None):
            raise ValueError("a heartbeat has either every, for example 1h, or schedule, for example 0 2 * * *")
        return self


class Inhibition(Strict):
    """While an alert fires that the source matchers match, those that the target matchers match are told to nobody.

    Both must agree on the labels in `equal`; a label that neither has counts as agreed. Alertmanager's rule.
    """

    id: Id
    name: Text = {}
    source_matchers: Annotated[tuple[MatcherText, ...], Key(min_length=1)]
    target_matchers: Annotated[tuple[MatcherText, ...], Key(min_length=1)]
    equal: tuple[LabelName, ...] = ()


class Maintenance(Strict):
    """A silence that comes again and again: from every instant of `schedule`, for `duration`."""

    id: Id
    name: Text = {}
    matchers: Annotated[tuple[MatcherText, ...], Key(min_length=1)]
    schedule: CronText
    duration: Annotated[Duration, Key(ge=timedelta(minutes=1), le=timedelta(days=7))]
    #: The chain's when not given.
    zone: ZoneInfo | None = None
    comment: str = ""
