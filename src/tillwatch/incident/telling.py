"""Who is told about an incident, when, and why: group_wait, group_interval, repeat_interval. Pure.

The opening waits for group_wait, so that what breaks together is told together, and a blip is told to nobody. News in
an incident that is known waits for group_interval since the last notice; a raised severity and the end do not wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tillwatch.model.incident import Incident, IncidentState, Listener, TimelineEntry, Told
from tillwatch.model.notice import Notice, NoticeKind

#: The actor of what nobody did by hand.
SYSTEM = "tillwatch"


@dataclass(frozen=True, kw_only=True)
class Telling:
    """The incident with who has been told, the notices, what is taken back, and the reasons as timeline entries."""

    incident: Incident
    notices: tuple[Notice, ...] = ()
    entries: tuple[TimelineEntry, ...] = ()
    withdrawn: tuple[NoticeKind, ...] = ()


def entry(at: datetime, kind: str, *, actor: str = SYSTEM, **data: object) -> TimelineEntry:
    return TimelineEntry(at=at, kind=kind, actor=actor, data=data)


def tell(incident: Incident, listeners: Sequence[Listener], now: datetime, *, raised: bool, news: bool) -> Telling:
    """Tell every listener what it has to hear.

    1. One that knows nothing yet: the opening, after its group_wait, on channels that no other receiver covers.
    2. One whose opening still waits: nothing; the opening is worded when it is sent and will say all.
    3. Severity raised: an update, now.
    4. Other news: an update, group_interval after the last notice, unless one is waiting already.
    """
    told = {one.listener.receiver: one for one in incident.told}
    covered = {channel for one in incident.told for channel in one.listener.channels}
    notices: list[Notice] = []
    entries: list[TimelineEntry] = []
    for listener in _distinct(listeners):
        known = told.get(listener.receiver)
        if known is None:
            mine = replace(listener, channels=tuple(one for one in listener.channels if one not in covered))
            if not mine.channels:
                reason = "its channels are told already" if listener.channels else "it has no channel"
                entries.append(entry(now, "nobody_told", receiver=listener.receiver, reason=reason))
                continue
            covered |= set(mine.channels)
            at, reason = now + listener.group_wait, "first alert, after group_wait"
            known = Told(listener=mine, announce_at=at, last_at=at, remind_at=None)
            kind = NoticeKind.OPENED
        elif known.announce_at > now:
            # Reminders stopped while another incident explained this one; the opening that waits starts them again.
            remind_at = known.remind_at or _remind_at(incident, known.listener, known.announce_at)
            told[listener.receiver] = replace(known, remind_at=remind_at)
            continue
        elif not (raised or (news and known.last_at <= now)):
            continue
        elif raised:
            at, reason, kind = now, "severity raised", NoticeKind.UPDATED
        else:
            at = max(now, known.last_at + known.listener.group_interval)
            reason, kind = "news, after group_interval", NoticeKind.UPDATED
        told[listener.receiver] = replace(known, last_at=at, remind_at=_remind_at(incident, known.listener, at))
        notices.append(_notice(incident, kind, known.listener, at))
        entries.append(_notified(now, notices[-1], reason))
    return Telling(
        incident=replace(incident, told=tuple(told.values())), notices=tuple(notices), entries=tuple(entries)
    )


def remind(incident: Incident, now: datetime) -> Telling:
    """A reminder for each receiver whose repeat_interval is over; missed ones are made up for by one."""
    told: list[Told] = []
    notices: list[Notice] = []
    for one in incident.told:
        if one.remind_at is None or one.remind_at > now:
            told.append(one)
            continue
        number = one.reminders + 1
        told.append(replace(one, last_at=now, remind_at=now + one.listener.repeat_interval, reminders=number))
        notices.append(replace(_notice(incident, NoticeKind.REMINDER, one.listener, now), repeat=number))
    return Telling(
        incident=replace(incident, told=tuple(told)),
        notices=tuple(notices),
        entries=tuple(_notified(now, notice, "not acknowledged, after repeat_interval") for notice in notices),
    )


def all_over(incident: Incident, now: datetime) -> Telling:
    """The end. Who heard of the beginning hears of it; when nobody has yet, the opening is taken back."""
    pending = (NoticeKind.UPDATED, NoticeKind.REMINDER)
    quiet = replace(incident, told=tuple(replace(one, remind_at=None) for one in incident.told))
    if incident.told and not _somebody_knows(incident, now):
        reason = "over before anybody was told"
        return Telling(
            incident=quiet,
            entries=(entry(now, "notice_withdrawn", notice=NoticeKind.OPENED.value, reason=reason),),
            withdrawn=(NoticeKind.OPENED, *pending),
        )
    notices = tuple(_notice(incident, NoticeKind.RESOLVED, one.listener, now) for one in incident.told)
    return Telling(
        incident=quiet,
        notices=notices,
        entries=tuple(_notified(now, notice, "resolved") for notice in notices),
        withdrawn=pending,
    )


def hush(incident: Incident, now: datetime, reason: str) -> Telling:
    """Stop telling. When nobody knows yet, as if nobody was to be told; else without reminders from here on."""
    if incident.told and not _somebody_knows(incident, now):
        return Telling(
            incident=replace(incident, told=()),
            entries=(entry(now, "notice_withdrawn", notice=NoticeKind.OPENED.value, reason=reason),),
            withdrawn=(NoticeKind.OPENED, NoticeKind.UPDATED, NoticeKind.REMINDER),
        )
    # What waited is withdrawn, so it was not told: if the incident stands for itself again, that news is still due.
    told = tuple(replace(one, remind_at=None, last_at=min(one.last_at, now)) for one in incident.told)
    return Telling(incident=replace(incident, told=told), withdrawn=(NoticeKind.UPDATED, NoticeKind.REMINDER))


def _somebody_knows(incident: Incident, now: datetime) -> bool:
    return any(one.announce_at <= now for one in incident.told)


def _remind_at(incident: Incident, listener: Listener, at: datetime) -> datetime | None:
    return at + listener.repeat_interval if incident.state is IncidentState.OPEN else None


def _notice(incident: Incident, kind: NoticeKind, listener: Listener, at: datetime) -> Notice:
    return Notice(
        kind=kind,
        incident=incident.id,
        version=incident.version,
        receiver=listener.receiver,
        channels=listener.channels,
        not_before=at,
        priority=incident.severity.rank,
    )


def _notified(now: datetime, notice: Notice, reason: str) -> TimelineEntry:
    return entry(
        now,
        "notified",
        notice=notice.kind.value,
        receiver=notice.receiver,
        channels=list(notice.channels),
        not_before=notice.not_before.isoformat(),
        reason=reason,
    )


def _distinct(listeners: Sequence[Listener]) -> list[Listener]:
    """One for each receiver; of several routes to the same one the shortest wait counts."""
    chosen: dict[str, Listener] = {}
    for listener in listeners:
        other = chosen.get(listener.receiver)
        if other is None or listener.group_wait < other.group_wait:
            chosen[listener.receiver] = listener
    return list(chosen.values())
