"""One step of an escalation turned into notices: whom it means now, through which channels, and what is next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tillwatch.config.schema import Escalation, Target
from tillwatch.model.incident import Climb, Incident, Listener, TimelineEntry, Told
from tillwatch.model.notice import Notice, NoticeKind
from tillwatch.oncall.duty import Duty, Recipient
from tillwatch.oncall.ladder import Decision, Why, next_step

#: The actor of what nobody did by hand.
SYSTEM = "tillwatch"


@dataclass(frozen=True, kw_only=True)
class Climbed:
    """Where the escalation stands after its step, everybody told so far, and what follows."""

    climb: Climb
    told: tuple[Told, ...]
    notices: tuple[Notice, ...] = ()
    entries: tuple[TimelineEntry, ...] = ()


def entry(at: datetime, kind: str, *, actor: str = SYSTEM, **data: object) -> TimelineEntry:
    return TimelineEntry(at=at, kind=kind, actor=actor, data=data)


def notice(incident: Incident, kind: NoticeKind, one: Told, at: datetime) -> Notice:
    return Notice(
        kind=kind,
        incident=incident.id,
        version=incident.version,
        receiver=one.listener.receiver,
        person=one.person,
        channels=one.listener.channels,
        not_before=at,
        priority=incident.severity.rank,
    )


def climb(
    incident: Incident, told: Sequence[Told], one: Climb, listener: Listener, *, now: datetime, at: datetime, duty: Duty
) -> Climbed:
    """Take the step that is due at `at`, decided at `now`.

    A step that reaches nobody (an empty rota, no channel) is not waited for: the next one is taken at once, until one
    reaches somebody or all were tried.
    """
    policy = duty.policies.get(one.policy)
    entries: list[TimelineEntry] = []
    for _ in policy.steps if policy else (None,):
        decision = next_step(one, policy, at)
        if policy is None:
            entries.append(entry(now, "escalation_ended", receiver=one.receiver, policy=one.policy))
        if decision.target is None or policy is None:
            return Climbed(climb=decision.climb, told=tuple(told), entries=tuple(entries))
        recipient = duty.recipient(decision.target, listener.channels, at)
        held = duty.calendar.held(incident.severity, decision.climb.next_at or at)
        decision = replace(decision, climb=replace(decision.climb, next_at=held))
        if recipient.channels:
            return _reached(incident, told, decision, recipient, listener, policy, entries, now=now, at=at)
        entries.append(_facts(now, "step_in_vain", decision, policy, recipient))
        # Nobody was told, so the next step is still part of what came before it.
        one = replace(decision.climb, next_at=at, taken=one.taken)
    return Climbed(climb=decision.climb, told=tuple(told), entries=tuple(entries))


def _reached(
    incident: Incident,
    told: Sequence[Told],
    decision: Decision,
    recipient: Recipient,
    listener: Listener,
    policy: Escalation,
    entries: Sequence[TimelineEntry],
    *,
    now: datetime,
    at: datetime,
) -> Climbed:
    """The first step is part of the opening: whom the opening tells anyway is not told twice."""
    opening = decision.why is Why.BEGINS
    covered = covered_by(told) if opening else set()
    channels = tuple(one for one in recipient.channels if (recipient.person, one) not in covered)
    fact = _facts(now, "escalated", decision, policy, recipient, channels=channels, at=at)
    if not channels:
        return Climbed(climb=decision.climb, told=tuple(told), entries=(*entries, fact))
    mine = next((one for one in told if one.escalated and _same(one, listener, recipient)), None)
    known = Told(
        listener=replace(listener, channels=channels),
        person=recipient.person,
        escalated=True,
        announce_at=mine.announce_at if mine else at,
        last_at=at,
        remind_at=None,
    )
    kind = NoticeKind.OPENED if opening else NoticeKind.ESCALATED
    message = replace(notice(incident, kind, known, at), repeat=0 if opening else decision.climb.taken)
    others = tuple(one for one in told if one is not mine)
    return Climbed(climb=decision.climb, told=(*others, known), notices=(message,), entries=(*entries, fact))


def covered_by(told: Sequence[Told]) -> set[tuple[str, str]]:
    """Every (person, channel) that is told already."""
    return {(one.person, channel) for one in told for channel in one.listener.channels}


def _same(one: Told, listener: Listener, recipient: Recipient) -> bool:
    return one.listener.receiver == listener.receiver and one.person == recipient.person


def named(target: Target) -> str:
    """`rota:primary`, `person:li` or `receiver:ops`."""
    kind = next(name for name in ("person", "rota", "receiver") if getattr(target, name))
    return f"{kind}:{getattr(target, kind)}"


def _facts(
    now: datetime,
    kind: str,
    decision: Decision,
    policy: Escalation,
    recipient: Recipient,
    *,
    channels: Sequence[str] = (),
    at: datetime | None = None,
) -> TimelineEntry:
    assert decision.target is not None
    return entry(
        now,
        kind,
        policy=policy.id,
        step=decision.step,
        steps=len(policy.steps),
        round=decision.climb.round,
        target=named(decision.target),
        person=recipient.person,
        channels=list(channels),
        not_before=at.isoformat() if at else "",
        reason=decision.why.value,
        turn=recipient.turn.why.value if recipient.turn else "",
        next_at=decision.climb.next_at.isoformat() if decision.climb.next_at else "",
    )
