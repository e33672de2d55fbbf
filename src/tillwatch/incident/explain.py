"""Who was told of an incident, who is next, when, and why: read off its state, without changing anything. Pure."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tillwatch.incident.climbing import named
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.ladder import next_step


class Quiet(enum.StrEnum):
    """Why nobody is told any more."""

    RESOLVED = "resolved"
    FOLDED = "folded"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    #: Every alert of it is silenced, or nobody has a channel; the timeline says which.
    NOBODY = "nobody"


class Kind(enum.StrEnum):
    """What comes next."""

    OPENING = "opening"
    REMINDER = "reminder"
    STEP = "step"
    ACKNOWLEDGEMENT_OVER = "acknowledgement_over"
    SNOOZE_OVER = "snooze_over"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recipient that has been told."""

    receiver: str
    person: str
    channels: tuple[str, ...]
    since: datetime
    last_at: datetime
    escalated: bool
    reminders: int


@dataclass(frozen=True, kw_only=True)
class Coming:
    """One thing that will happen by itself unless somebody acts first; whom it will mean as things stand now."""

    at: datetime
    kind: Kind
    receiver: str = ""
    person: str = ""
    channels: tuple[str, ...] = ()
    policy: str = ""
    step: int = 0
    #: `rota:primary`, `person:li` or `receiver:ops`.
    target: str = ""
    #: A word of `oncall.ladder.Why` for a step.
    why: str = ""
    #: It comes at the end of the quiet hours, and would come earlier without them.
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class Explanation:
    heard: tuple[Heard, ...]
    #: Soonest first.
    coming: tuple[Coming, ...]
    quiet: Quiet | None

    def document(self) -> dict[str, Any]:
        """JSON values, as `incident show --json` prints them under `explain`."""
        return {
            "told": [
                {
                    "receiver": one.receiver,
                    "person": one.person,
                    "channels": list(one.channels),
                    "since": one.since.isoformat(),
                    "last_at": one.last_at.isoformat(),
                    "by": "escalation" if one.escalated else "route",
                    "reminders": one.reminders,
                }
                for one in self.heard
            ],
            "next": [
                {
                    "at": one.at.isoformat(),
                    "kind": one.kind.value,
                    "receiver": one.receiver,
                    "person": one.person,
                    "channels": list(one.channels),
                    "policy": one.policy,
                    "step": one.step,
                    "target": one.target,
                    "why": one.why,
                    "held": "quiet_hours" if one.held else "",
                }
                for one in self.coming
            ],
            "quiet": self.quiet.value if self.quiet else "",
        }


def explain(incident: Incident, duty: Duty, now: datetime) -> Explanation:
    """Everything that is known now; a change of the chain directory or of the situation changes what comes."""
    heard = tuple(
        Heard(
            receiver=one.listener.receiver,
            person=one.person,
            channels=one.listener.channels,
            since=one.announce_at,
            last_at=min(one.last_at, now) if one.last_at > one.announce_at else one.announce_at,
            escalated=one.escalated,
            reminders=one.reminders,
        )
        for one in incident.told
        if one.listener.channels and one.announce_at <= now
    )
    quiet = _quiet(incident)
    coming = () if quiet in {Quiet.RESOLVED, Quiet.FOLDED} else tuple(sorted(_coming(incident, duty, now), key=_when))
    coming = tuple(replace(one, held=_is_held(one, incident, duty)) for one in coming)
    if quiet is None and not coming:
        quiet = Quiet.NOBODY
    return Explanation(heard=heard, coming=coming, quiet=quiet)


def _quiet(incident: Incident) -> Quiet | None:
    if incident.state is IncidentState.RESOLVED:
        return Quiet.RESOLVED
    if incident.parent is not None:
        return Quiet.FOLDED
    if incident.state is IncidentState.ACKNOWLEDGED:
        return Quiet.ACKNOWLEDGED
    return Quiet.SNOOZED if incident.snoozed_until is not None else None


def _coming(incident: Incident, duty: Duty, now: datetime) -> Iterator[Coming]:
    if incident.snoozed_until is not None:
        yield Coming(at=incident.snoozed_until, kind=Kind.SNOOZE_OVER)
    if incident.acknowledged_until is not None:
        yield Coming(at=incident.acknowledged_until, kind=Kind.ACKNOWLEDGEMENT_OVER)
    not_before = incident.snoozed_until or now
    for one in incident.told:
        listener = one.listener
        common = {"receiver": listener.receiver, "person": one.person, "channels": listener.channels}
        if one.announce_at > now and listener.channels:
            yield Coming(at=one.announce_at, kind=Kind.OPENING, **common)  # type: ignore[arg-type]
        elif one.remind_at is not None:
            at = max(one.remind_at, not_before)
            receiver = duty.receivers.get(listener.receiver)
            if listener.oncall and receiver is not None:
                turn = duty.on_call(listener.oncall, receiver.channels, at)
                common |= {"person": turn.person, "channels": turn.channels or listener.channels}
            yield Coming(at=at, kind=Kind.REMINDER, **common)  # type: ignore[arg-type]
    for climb in incident.climbs:
        if climb.next_at is None:
            continue
        at = max(climb.next_at, not_before)
        decision = next_step(replace(climb, next_at=at), duty.policies.get(climb.policy), at)
        if decision.target is None:
            continue
        known = duty.receivers.get(climb.receiver)
        recipient = duty.recipient(decision.target, known.channels if known else (), at)
        yield Coming(
            at=at,
            kind=Kind.STEP,
            receiver=climb.receiver,
            person=recipient.person,
            channels=recipient.channels,
            policy=climb.policy,
            step=decision.step,
            target=named(decision.target),
            why=decision.why.value,
        )


def _is_held(one: Coming, incident: Incident, duty: Duty) -> bool:
    """Whether it stands exactly at the end of quiet hours that a moment earlier would have held it."""
    before = one.at - timedelta(microseconds=1)
    notifies = one.kind in {Kind.OPENING, Kind.REMINDER, Kind.STEP}
    return notifies and duty.calendar.held(incident.severity, before) == one.at


def _when(one: Coming) -> tuple[datetime, str, str]:
    return one.at, one.receiver, one.person
