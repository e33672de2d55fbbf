"""Everything declared about whom to tell and when, as one value: people, rotas, policies and the calendar."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Escalation, Person, Receiver, Target
from tillwatch.oncall.calendar import NO_CALENDAR, StoreCalendar
from tillwatch.oncall.rota import OnCall, Schedule, Why


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """Somebody, or with `person` empty nobody in particular, and the channels through which they are told."""

    person: str
    channels: tuple[str, ...]
    #: Whose turn it was, for a recipient that a rota chose.
    turn: OnCall | None = None


@dataclass(frozen=True, kw_only=True)
class Duty:
    """A chain's people and times. The default is a chain that declares none."""

    people: Mapping[str, Person] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    policies: Mapping[str, Escalation] = field(default_factory=dict)
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    calendar: StoreCalendar = NO_CALENDAR

    @classmethod
    def of(cls, config: ChainConfig) -> "Duty":
        schedules = {
            rota.id: Schedule(
                rota=rota,
                overrides=tuple(one for one in config.overrides if one.rota == rota.id),
                zone=rota.zone or config.chain.timezone,
                holidays=config.calendar.holidays,
            )
            for rota in config.rotas
        }
        return cls(
            people={one.id: one for one in config.people},
            schedules=schedules,
            policies={one.id: one for one in config.escalations},
            receivers={one.id: one for one in config.receivers},
            calendar=StoreCalendar.of(config),
        )

    def who(self, rota: str, at: datetime) -> OnCall:
        """Whose turn it is; nobody's in a rota that has left the chain directory."""
        schedule = self.schedules.get(rota)
        return schedule.who(at) if schedule else OnCall(rota=rota, person="", why=Why.NOT_BEGUN)

    def on_call(self, rota: str, shared: tuple[str, ...], at: datetime) -> Recipient:
        """The person on call: in the shared channels, where they are called by name, and in their own.

        When it is nobody's turn the shared channels are told all the same.
        """
        turn = self.who(rota, at)
        own = self._channels(turn.person)
        return Recipient(person=turn.person, channels=tuple(dict.fromkeys((*shared, *own))), turn=turn)

    def recipient(self, target: Target, shared: tuple[str, ...], at: datetime) -> Recipient:
        """Whom a step of a policy means at `at`. A person without channels is called by name in the shared ones."""
        if target.rota:
            turn = self.who(target.rota, at)
            return Recipient(person=turn.person, channels=self._channels(turn.person) or shared, turn=turn)
        if target.person:
            return Recipient(person=target.person, channels=self._channels(target.person) or shared)
        receiver = self.receivers.get(target.receiver)
        channels = receiver.channels if receiver else ()
        if receiver is not None and receiver.oncall:
            return self.on_call(receiver.oncall, channels, at)
        return Recipient(person="", channels=channels)

    def _channels(self, person: str) -> tuple[str, ...]:
        known = self.people.get(person)
        return known.channels if known else ()


#: A chain that declares nobody.
NOBODY = Duty()
