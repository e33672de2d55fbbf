"""What people order about an incident, and what time undoes of it: (incident, order, now) → Outcome. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tillwatch.errors import RefusedError, UsageError
from tillwatch.incident import telling
from tillwatch.incident.state import Outcome, Setting, resolved
from tillwatch.incident.telling import NAGGING, entry
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.oncall.duty import NOBODY, Duty

#: A note longer than this is a file.
MAX_NOTE_CHARACTERS = 10_000
#: Whoever is on it for longer than this is not on it; acknowledge again, or for good.
MAX_AWAY = timedelta(days=7)


def acknowledge(incident: Incident, actor: str, now: datetime, *, until: datetime | None = None) -> Outcome:
    """Somebody is on it: no more reminders, every escalation stands still; until `until`, or for good.

    The same acknowledgement a second time changes nothing; another end replaces the first. Raises RefusedError when
    resolved, UsageError for an end that has passed or is too far away.
    """
    _must_be_open(incident, "acknowledged")
    _must_be_soon(until, now)
    if incident.state is IncidentState.ACKNOWLEDGED and incident.acknowledged_until == until:
        return Outcome(incident=incident)
    acknowledged = replace(
        telling.paused(incident),
        state=IncidentState.ACKNOWLEDGED,
        acknowledged_at=incident.acknowledged_at or now,
        acknowledged_by=actor,
        acknowledged_until=until,
        snoozed_until=None,
        version=incident.version + 1,
    )
    data = {"until": until.isoformat()} if until else {}
    return Outcome(
        incident=acknowledged,
        entries=(entry(now, "acknowledged", actor=actor, **data),),
        withdrawn=NAGGING,
    )


def unacknowledge(incident: Incident, actor: str, reason: str, now: datetime) -> Outcome:
    """Give it back: whoever is next is told at once. Raises RefusedError when nobody has acknowledged it."""
    _must_be_open(incident, "given back")
    if incident.state is not IncidentState.ACKNOWLEDGED:
        raise RefusedError(f"incident {incident.id} is not acknowledged; there is nothing to give back")
    given = _given_back(incident, now)
    return Outcome(incident=given, entries=(entry(now, "unacknowledged", actor=actor, reason=reason.strip()),))


def snooze(incident: Incident, actor: str, until: datetime, reason: str, now: datetime) -> Outcome:
    """Quiet until `until`, though nobody is on it; only a raised severity breaks it.

    Raises RefusedError when it is resolved or acknowledged, UsageError for an end that has passed or is too far away.
    """
    _must_be_open(incident, "snoozed")
    _must_be_soon(until, now)
    if incident.state is IncidentState.ACKNOWLEDGED:
        raise RefusedError(f"incident {incident.id} is acknowledged; that is quiet already")
    quiet = replace(incident, snoozed_until=until, version=incident.version + 1)
    fact = entry(now, "snoozed", actor=actor, until=until.isoformat(), reason=reason.strip())
    return Outcome(incident=quiet, entries=(fact,), withdrawn=NAGGING)


def on_time(incident: Incident, setting: Setting) -> Outcome:
    """What time alone has changed by now.

    0. It flapped and has been quiet for long enough: resolved.
    1. A snooze is over: whoever has to hear what happened meanwhile hears it.
    2. An acknowledgement has run out: the escalation goes on.
    3. Reminders and steps that are due.
    """
    now = setting.now
    held = incident.settles_at if setting.calm and incident.state is not IncidentState.RESOLVED else None
    if held is not None and held <= now:
        reason = "every alert was ended by its own source, and nothing came back"
        return resolved(incident, setting.ever, [], now, actor=telling.SYSTEM, reason=reason)
    if incident.state is IncidentState.RESOLVED or incident.parent is not None or incident.settles_at is not None:
        return Outcome(incident=incident)
    done = Outcome(incident=incident)
    if incident.snoozed_until is not None:
        if incident.snoozed_until > now:
            return done
        awake = replace(incident, snoozed_until=None, version=incident.version + 1)
        told = telling.tell(awake, setting.listeners, now, raised=False, news=False, duty=setting.duty)
        done = Outcome(incident=told.incident, entries=(entry(now, "snooze_over"), *told.entries), notices=told.notices)
    elif incident.state is IncidentState.ACKNOWLEDGED:
        if incident.acknowledged_until is None or incident.acknowledged_until > now:
            return done
        over = entry(now, "acknowledgement_over", by=incident.acknowledged_by)
        done = Outcome(incident=_given_back(incident, now), entries=(over,))
    return _then(done, remind(done.incident, now, duty=setting.duty))


def remind(incident: Incident, now: datetime, *, duty: Duty = NOBODY) -> Outcome:
    """Tell again those whose time has come. Nobody is reminded of what is acknowledged, folded or resolved."""
    if incident.state is not IncidentState.OPEN or incident.parent is not None or incident.snoozed_until is not None:
        return Outcome(incident=incident)
    told = telling.remind(incident, now, duty=duty)
    return Outcome(incident=told.incident, entries=told.entries, notices=told.notices)


def revive(incident: Incident, setting: Setting) -> Outcome:
    """After a start: an incident that waits for nobody, because what is declared has changed, is told anew."""
    told = telling.tell(incident, setting.listeners, setting.now, raised=False, news=True, duty=setting.duty)
    return Outcome(incident=told.incident, entries=told.entries, notices=told.notices, withdrawn=told.withdrawn)


def assign(incident: Incident, actor: str, assignee: str, now: datetime) -> Outcome:
    """Say who works on it. Raises RefusedError when resolved, UsageError when nobody is named."""
    _must_be_open(incident, "assigned")
    if not assignee.strip():
        raise UsageError("nobody is named; say to whom the incident is assigned")
    assigned = replace(incident, assigned_to=assignee.strip(), version=incident.version + 1)
    return Outcome(incident=assigned, entries=(entry(now, "assigned", actor=actor, assignee=assignee.strip()),))


def note(incident: Incident, actor: str, text: str, now: datetime) -> Outcome:
    """Write something down; possible at any time, also after the end. UsageError when empty or far too long."""
    if not text.strip():
        raise UsageError("the note is empty")
    if len(text) > MAX_NOTE_CHARACTERS:
        raise UsageError(f"the note has {len(text)} characters; at most {MAX_NOTE_CHARACTERS}")
    return Outcome(incident=incident, entries=(entry(now, "note", actor=actor, text=text.strip()),))


def resolve(
    incident: Incident, firing: Sequence[str], actor: str, reason: str, now: datetime, *, ever: int = 0
) -> Outcome:
    """Close by hand what can never close by evidence, because its sources are gone. `firing` are names of alerts.

    Raises RefusedError while anything fires (only its own source ends it, and drift only a clean re-check) and when
    it is resolved already; UsageError without a reason.
    """
    _must_be_open(incident, "resolved")
    if not reason.strip():
        raise UsageError("a reason is needed to resolve an incident by hand")
    if firing:
        raise RefusedError(
            f"incident {incident.id} cannot be resolved by hand while alerts fire ({', '.join(firing)}); it resolves "
            "by itself when their checks succeed again: mend the cause, then run the check or the audit"
        )
    return resolved(incident, ever, [], now, actor=actor, reason=reason.strip())


def _must_be_open(incident: Incident, verb: str) -> None:
    if incident.state is IncidentState.RESOLVED:
        raise RefusedError(f"incident {incident.id} is resolved and cannot be {verb} any more; a note can be added")


def _must_be_soon(until: datetime | None, now: datetime) -> None:
    if until is not None and until <= now:
        raise UsageError("the end has passed already; name a later one")
    if until is not None and until - now > MAX_AWAY:
        raise UsageError(f"that is more than {MAX_AWAY.days} days; whoever is away for longer is not on it")


def _given_back(incident: Incident, now: datetime) -> Incident:
    opened = replace(
        incident,
        state=IncidentState.OPEN,
        acknowledged_by="",
        acknowledged_until=None,
        version=incident.version + 1,
    )
    # Under another incident it stays quiet; when it stands for itself again it is told.
    return opened if opened.parent is not None else telling.nagging(opened, now)


def _then(first: Outcome, second: Outcome) -> Outcome:
    return replace(
        second,
        entries=(*first.entries, *second.entries),
        notices=(*first.notices, *second.notices),
        withdrawn=(*first.withdrawn, *second.withdrawn),
    )
