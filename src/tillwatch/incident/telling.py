"""Who is told about an incident, when, and why: the rhythm of a route, the person on call, the escalation. Pure.

The opening waits for group_wait, so that what breaks together is told together, and a blip is told to nobody. News in
an incident that is known waits for group_interval since the last notice; a raised severity and the end do not wait.
What is not critical waits for the end of the quiet hours, whatever it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tillwatch.incident.climbing import SYSTEM as SYSTEM
from tillwatch.incident.climbing import climb, covered_by, notice
from tillwatch.incident.climbing import entry as entry
from tillwatch.model.incident import Climb, Incident, IncidentState, Listener, TimelineEntry, Told
from tillwatch.model.notice import Notice, NoticeKind
from tillwatch.oncall.duty import NOBODY, Duty, Recipient
from tillwatch.oncall.rota import OnCall

#: What nobody needs any more once somebody is on it, or it is over.
NAGGING = (NoticeKind.REMINDER, NoticeKind.ESCALATED)


@dataclass(frozen=True, kw_only=True)
class Telling:
    """The incident with who has been told, the notices, what is taken back, and the reasons as timeline entries."""

    incident: Incident
    notices: tuple[Notice, ...] = ()
    entries: tuple[TimelineEntry, ...] = ()
    withdrawn: tuple[NoticeKind, ...] = ()


class _Book:
    """What one decision changes, while it is being made."""

    def __init__(self, incident: Incident, now: datetime, duty: Duty) -> None:
        self.incident, self.now, self.duty = incident, now, duty
        self.told = list(incident.told)
        self.climbs = {one.receiver: one for one in incident.climbs}
        self.notices: list[Notice] = []
        self.entries: list[TimelineEntry] = []
        self.withdrawn: list[NoticeKind] = []

    def telling(self) -> Telling:
        return Telling(
            incident=replace(self.incident, told=tuple(self.told), climbs=tuple(self.climbs.values())),
            notices=tuple(self.notices),
            entries=tuple(self.entries),
            withdrawn=tuple(dict.fromkeys(self.withdrawn)),
        )

    def held(self, at: datetime) -> datetime:
        return self.duty.calendar.held(self.incident.severity, at)

    def remind_at(self, listener: Listener, at: datetime) -> datetime | None:
        is_open = self.incident.state is IncidentState.OPEN
        return self.held(at + listener.repeat_interval) if is_open and listener.channels else None

    def primary(self, receiver: str) -> Told | None:
        """The recipient that the route itself chose last; those that an escalation added do not count."""
        mine = [one for one in self.told if one.listener.receiver == receiver and not one.escalated]
        return mine[-1] if mine else None

    def put(self, before: Told, after: Told) -> None:
        self.told[self.told.index(before)] = after

    def send(
        self, kind: NoticeKind, one: Told, at: datetime, reason: str, *, repeat: int = 0, due: datetime | None = None
    ) -> None:
        """`due`: when it would have gone out but for the quiet hours."""
        if one.listener.channels:
            self.notices.append(replace(notice(self.incident, kind, one, at), repeat=repeat))
            held = "quiet_hours" if due is not None and at > due else ""
            self.entries.append(_notified(self.now, self.notices[-1], reason, held=held))

    def climb(self, one: Climb, at: datetime) -> None:
        """Take the step of an escalation that is due at `at`."""
        known = self.primary(one.receiver)
        if known is None:
            self.climbs.pop(one.receiver)
            return
        receiver = self.duty.receivers.get(one.receiver)
        shared = replace(known.listener, channels=receiver.channels if receiver else known.listener.channels)
        done = climb(self.incident, self.told, one, shared, now=self.now, at=at, duty=self.duty)
        self.climbs[one.receiver] = done.climb
        self.told = list(done.told)
        self.notices += done.notices
        self.entries += done.entries


def tell(
    incident: Incident,
    listeners: Sequence[Listener],
    now: datetime,
    *,
    raised: bool,
    news: bool,
    duty: Duty = NOBODY,
) -> Telling:
    """Tell every listener what it has to hear.

    1. One that knows nothing yet: the opening, after its group_wait, to whom no other receiver tells it; the first
       step of its escalation with it.
    2. One whose opening still waits: nothing; the opening is worded when it is sent and will say all.
    3. Severity raised: an update, now, also to those an escalation has told; openings that sleep wake up.
    4. Other news: an update, group_interval after the last notice, unless one is waiting already.
    """
    book = _Book(incident, now, duty)
    if raised:
        _wake(book)
    if incident.snoozed_until is not None:
        if not raised:
            return book.telling()
        book.incident = replace(incident, snoozed_until=None)
    for listener in _distinct(listeners):
        known = book.primary(listener.receiver)
        if known is None:
            _announce(book, listener)
        elif known.announce_at > now:
            # Reminders stopped while another incident explained this one; the opening that waits starts them again.
            due = known.remind_at or book.remind_at(known.listener, known.announce_at)
            book.put(known, replace(known, remind_at=due))
        elif raised or (news and known.last_at <= now):
            due = now if raised else max(now, known.last_at + known.listener.group_interval)
            at = book.held(due)
            after = replace(known, last_at=at, remind_at=book.remind_at(known.listener, at))
            book.put(known, after)
            reason = "severity raised" if raised else "news, after group_interval"
            book.send(NoticeKind.UPDATED, after, at, reason, due=due)
    if raised:
        for one in [one for one in book.told if one.escalated and one.announce_at <= now]:
            book.send(NoticeKind.UPDATED, one, now, "severity raised")
    _resume(book)
    return book.telling()


def remind(incident: Incident, now: datetime, *, duty: Duty = NOBODY) -> Telling:
    """What is due: reminders, to whoever is on call now, and steps of escalations; missed ones are made up for by one.

    What falls due in the quiet hours, because they were declared meanwhile, is put off to their end.
    """
    book = _Book(incident, now, duty)
    for one in incident.told:
        if one.remind_at is not None and one.remind_at <= now:
            if book.held(now) > now:
                book.put(one, replace(one, remind_at=book.held(now)))
            else:
                _remind(book, one)
    for rise in incident.climbs:
        if rise.next_at is not None and rise.next_at <= now:
            if book.held(now) > now:
                book.climbs[rise.receiver] = replace(rise, next_at=book.held(now))
            else:
                book.climb(rise, now)
    return book.telling()


def all_over(incident: Incident, now: datetime) -> Telling:
    """The end. Who heard of the beginning hears of it; when nobody has yet, the opening is taken back."""
    pending = (NoticeKind.UPDATED, *NAGGING)
    quiet = paused(incident)
    if incident.told and not _somebody_knows(incident, now):
        reason = "over before anybody was told"
        return Telling(
            incident=quiet,
            entries=(entry(now, "notice_withdrawn", notice=NoticeKind.OPENED.value, reason=reason),),
            withdrawn=(NoticeKind.OPENED, *pending),
        )
    heard: set[tuple[str, str]] = set()
    notices: list[Notice] = []
    for one in incident.told:
        channels = tuple(channel for channel in one.listener.channels if (one.person, channel) not in heard)
        heard |= {(one.person, channel) for channel in channels}
        if channels:
            notices.append(replace(notice(incident, NoticeKind.RESOLVED, one, now), channels=channels))
    return Telling(
        incident=quiet,
        notices=tuple(notices),
        entries=tuple(_notified(now, one, "resolved") for one in notices),
        withdrawn=pending,
    )


def hush(incident: Incident, now: datetime, reason: str) -> Telling:
    """Stop telling. When nobody knows yet, as if nobody was to be told; else without reminders from here on."""
    if incident.told and not _somebody_knows(incident, now):
        return Telling(
            incident=replace(incident, told=(), climbs=()),
            entries=(entry(now, "notice_withdrawn", notice=NoticeKind.OPENED.value, reason=reason),),
            withdrawn=(NoticeKind.OPENED, NoticeKind.UPDATED, *NAGGING),
        )
    # What waited is withdrawn, so it was not told: if the incident stands for itself again, that news is still due.
    told = tuple(replace(one, last_at=min(one.last_at, now)) for one in incident.told)
    return Telling(incident=paused(replace(incident, told=told)), withdrawn=(NoticeKind.UPDATED, *NAGGING))


def paused(incident: Incident) -> Incident:
    """Without reminders and with every escalation standing still."""
    return replace(
        incident,
        told=tuple(replace(one, remind_at=None) for one in incident.told),
        climbs=tuple(replace(one, next_at=None) for one in incident.climbs),
    )


def nagging(incident: Incident, now: datetime) -> Incident:
    """Nobody is on it any more: every escalation goes on where it stood, who has none is reminded at once."""
    climbing = {one.receiver for one in incident.climbs}
    return replace(
        incident,
        climbs=tuple(replace(one, next_at=now) for one in incident.climbs),
        told=tuple(
            one
            if one.escalated or one.listener.receiver in climbing or not one.listener.channels
            else replace(one, remind_at=max(now, one.announce_at))
            for one in incident.told
        ),
    )


def _announce(book: _Book, listener: Listener) -> None:
    """The opening to a receiver that knows nothing: its channels, the person on call, the first step."""
    soon = book.now + listener.group_wait
    at = book.held(soon)
    recipient = Recipient(person="", channels=listener.channels)
    if listener.oncall:
        recipient = book.duty.on_call(listener.oncall, listener.channels, at)
        if recipient.turn and not recipient.person:
            book.entries.append(_nobody(book.now, recipient.turn, at))
    covered = covered_by(book.told)
    mine = replace(
        listener, channels=tuple(one for one in recipient.channels if (recipient.person, one) not in covered)
    )
    climbs = listener.escalation in book.duty.policies
    if not mine.channels and not climbs:
        reason = "its channels are told already" if recipient.channels else "it has no channel"
        book.entries.append(entry(book.now, "nobody_told", receiver=listener.receiver, reason=reason))
        return
    known = Told(listener=mine, person=recipient.person, announce_at=at, last_at=at, remind_at=book.remind_at(mine, at))
    book.told.append(known)
    book.send(NoticeKind.OPENED, known, at, "first alert, after group_wait", due=soon)
    if climbs:
        rise = Climb(
            receiver=listener.receiver, policy=listener.escalation, next_at=None, afterwards=listener.repeat_interval
        )
        book.climbs[listener.receiver] = rise
        # Somebody who is on it already need not be woken; the escalation begins when they give it back.
        if book.incident.state is IncidentState.OPEN:
            book.climb(replace(rise, next_at=at), at)


def _remind(book: _Book, one: Told) -> None:
    """Again, or to the next person when the turn has passed on meanwhile."""
    number = one.reminders + 1
    receiver = book.duty.receivers.get(one.listener.receiver)
    if one.listener.oncall and receiver is not None:
        recipient = book.duty.on_call(one.listener.oncall, receiver.channels, book.now)
        if recipient.person != one.person and recipient.channels:
            book.put(one, replace(one, remind_at=None))
            one = replace(one, person=recipient.person, listener=replace(one.listener, channels=recipient.channels))
            book.told.append(one)
    due = book.remind_at(one.listener, book.now)
    book.put(one, replace(one, last_at=book.now, remind_at=due, reminders=number))
    book.send(NoticeKind.REMINDER, one, book.now, "not acknowledged, after repeat_interval", repeat=number)


def _wake(book: _Book) -> None:
    """Severity rose: an opening that waits for the end of the quiet hours is told as if the incident were new."""
    if any(one.announce_at > book.now + one.listener.group_wait for one in book.told if not one.escalated):
        waiting = {one.listener.receiver for one in book.told if not one.escalated and one.announce_at > book.now}
        book.told = [one for one in book.told if one.listener.receiver not in waiting]
        book.climbs = {name: one for name, one in book.climbs.items() if name not in waiting}
        book.withdrawn += [NoticeKind.OPENED, NoticeKind.ESCALATED]
    for name, one in book.climbs.items():
        policy = book.duty.policies.get(one.policy)
        if one.next_at is not None and policy is not None:
            # Held by the quiet hours, which do not count any more.
            step = policy.steps[min(max(one.step - 1, 0), len(policy.steps) - 1)]
            book.climbs[name] = replace(one, next_at=min(one.next_at, book.now + step.wait_for_ack))


def _resume(book: _Book) -> None:
    """What stood still while another incident or a silence covered this one goes on."""
    if book.incident.state is IncidentState.OPEN and book.incident.parent is None:
        for name, one in book.climbs.items():
            if one.next_at is None and one.policy in book.duty.policies:
                book.climbs[name] = replace(one, next_at=book.held(book.now))


def _nobody(now: datetime, turn: OnCall, at: datetime) -> TimelineEntry:
    return entry(now, "nobody_oncall", rota=turn.rota, reason=turn.why.value, not_before=at.isoformat())


def _somebody_knows(incident: Incident, now: datetime) -> bool:
    return any(one.announce_at <= now for one in incident.told)


def _notified(now: datetime, one: Notice, reason: str, *, held: str = "") -> TimelineEntry:
    return entry(
        now,
        "notified",
        notice=one.kind.value,
        receiver=one.receiver,
        person=one.person,
        channels=list(one.channels),
        not_before=one.not_before.isoformat(),
        reason=reason,
        held=held,
    )


def _distinct(listeners: Sequence[Listener]) -> list[Listener]:
    """One for each receiver; of several routes to the same one the shortest wait counts."""
    chosen: dict[str, Listener] = {}
    for listener in listeners:
        other = chosen.get(listener.receiver)
        if other is None or listener.group_wait < other.group_wait:
            chosen[listener.receiver] = listener
    return list(chosen.values())
