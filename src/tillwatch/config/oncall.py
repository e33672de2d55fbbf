"""What `alerts/oncall.yaml` declares: people, whose turn it is, and who is told when nobody answers."""

from datetime import date, datetime, timedelta
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, model_validator
from pydantic import Field as Key

from tillwatch.config.strict import Strict
from tillwatch.config.values import Duration, Hours, Id, Reference, Text, TimeOfDay

#: A policy that repeats more often than this only fills the log; after it the last step goes on for ever anyway.
MAX_REPEATS = 100
#: Nobody reads a chain of more steps, and the last of them would come hours too late.
MAX_STEPS = 20

#: `workday` and `holiday` follow the holidays of `alerts/calendar.yaml`; without them Saturday and Sunday are holidays.
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "workday", "holiday"]


T = TypeVar("T")


def _some(entries: tuple[T, ...]) -> tuple[T, ...]:
    """A list that may not be empty; judged after its entries, so that a wrong entry is not called a missing one."""
    if not entries:
        raise ValueError("expected at least 1 entry")
    return entries


class Person(Strict):
    """Somebody who can be told: a colleague, or a vendor's hotline."""

    id: Id
    name: Text = {}
    #: A vendor is called by an escalation; the pages mark it, so that nobody takes it for a colleague.
    vendor: bool = False
    #: The channels that reach this person, best first.
    channels: tuple[Reference, ...] = ()
    #: How a channel calls this person, by kind of channel: wecom_bot and wecom_app the user id, dingtalk the mobile
    #: number, feishu the open id, email the address.
    addresses: dict[Annotated[str, Key(min_length=1, max_length=32)], Annotated[str, Key(min_length=1)]] = {}


class Restriction(Strict):
    """Times at which a rotation holds. A span over midnight belongs to the day on which it begins."""

    days: tuple[Day, ...] = ()
    hours: Hours = ""


class Rotation(Strict):
    """One circle of people: the first member takes over on `start`, the next one a day or a week later."""

    every: Literal["daily", "weekly"] = "weekly"
    start: date
    handover: TimeOfDay = "09:00"
    members: Annotated[tuple[Reference, ...], AfterValidator(_some)]
    #: The rotation holds only then; always when there is none.
    restrictions: tuple[Restriction, ...] = ()


class Rota(Strict):
    """Whose turn it is. Of several rotations the first that holds counts."""

    id: Id
    name: Text = {}
    #: The chain's when not given. Hand-over is at this wall clock, also when daylight saving begins or ends.
    zone: ZoneInfo | None = None
    #: Says that it may be nobody's turn; without it `check` reports every gap.
    may_be_empty: bool = False
    rotations: Annotated[tuple[Rotation, ...], AfterValidator(_some)]


class Override(Strict):
    """Somebody else for a while; a later entry beats an earlier one. Times without an offset are in the rota's zone."""

    rota: Reference
    person: Reference
    from_: Annotated[datetime, Key(alias="from")]
    until: datetime


class Target(Strict):
    """Exactly one of the three."""

    person: Reference = ""
    rota: Reference = ""
    receiver: Reference = ""

    @model_validator(mode="after")
    def _one(self) -> "Target":
        if sum(map(bool, (self.person, self.rota, self.receiver))) != 1:
            raise ValueError("name exactly one of person, rota and receiver")
        return self


class Step(Strict):
    """Tell the target, then wait so long for an acknowledgement before the next step."""

    notify: Target
    wait_for_ack: Annotated[Duration, Key(ge=timedelta(seconds=1), le=timedelta(days=7))] = timedelta(minutes=10)


class Escalation(Strict):
    """Steps that are taken one after the other until somebody acknowledges."""

    id: Id
    name: Text = {}
    steps: Annotated[tuple[Step, ...], AfterValidator(_some), Key(max_length=MAX_STEPS)]
    #: How often all steps are taken again; after that the last one goes on at the route's repeat_interval.
    repeat: Annotated[int, Key(ge=0, le=MAX_REPEATS)] = 2
