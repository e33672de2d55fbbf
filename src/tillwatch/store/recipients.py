"""Who has been told of an incident and who is next, as the documents that its row holds."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tillwatch.model.incident import Climb, Incident, IncidentState, Listener, Told


def next_at(incident: Incident) -> datetime | None:
    """When time alone changes something: nothing of a resolved incident, and of a folded one only its end."""
    if incident.state is IncidentState.RESOLVED:
        return None
    if incident.parent is not None or incident.settles_at is not None:
        # Nobody is called to what is over, if only it stays so.
        return incident.settles_at
    if incident.snoozed_until is not None:
        return incident.snoozed_until
    due = [incident.acknowledged_until] if incident.state is IncidentState.ACKNOWLEDGED else []
    due += [told.remind_at for told in incident.told]
    due += [climb.next_at for climb in incident.climbs]
    return min((at for at in due if at is not None), default=None)


def told_values(told: Told) -> dict[str, Any]:
    listener = told.listener
    return {
        "receiver": listener.receiver,
        "channels": list(listener.channels),
        "group_wait": listener.group_wait.total_seconds(),
        "group_interval": listener.group_interval.total_seconds(),
        "repeat_interval": listener.repeat_interval.total_seconds(),
        "oncall": listener.oncall,
        "escalation": listener.escalation,
        "person": told.person,
        "escalated": told.escalated,
        "announce_at": told.announce_at.isoformat(),
        "last_at": told.last_at.isoformat(),
        "remind_at": None if told.remind_at is None else told.remind_at.isoformat(),
        "reminders": told.reminders,
    }


def told(values: Mapping[str, Any]) -> Told:
    return Told(
        listener=Listener(
            receiver=values["receiver"],
            channels=tuple(values["channels"]),
            group_wait=timedelta(seconds=values["group_wait"]),
            group_interval=timedelta(seconds=values["group_interval"]),
            repeat_interval=timedelta(seconds=values["repeat_interval"]),
            oncall=values["oncall"],
            escalation=values["escalation"],
        ),
        person=values["person"],
        escalated=values["escalated"],
        announce_at=datetime.fromisoformat(values["announce_at"]),
        last_at=datetime.fromisoformat(values["last_at"]),
        remind_at=None if values["remind_at"] is None else datetime.fromisoformat(values["remind_at"]),
        reminders=values["reminders"],
    )


def climb_values(climb: Climb) -> dict[str, Any]:
    return {
        "receiver": climb.receiver,
        "policy": climb.policy,
        "step": climb.step,
        "round": climb.round,
        "taken": climb.taken,
        "next_at": None if climb.next_at is None else climb.next_at.isoformat(),
        "afterwards": climb.afterwards.total_seconds(),
    }


def climb(values: Mapping[str, Any]) -> Climb:
    return Climb(
        receiver=values["receiver"],
        policy=values["policy"],
        step=values["step"],
        round=values["round"],
        taken=values["taken"],
        next_at=None if values["next_at"] is None else datetime.fromisoformat(values["next_at"]),
        afterwards=timedelta(seconds=values["afterwards"]),
    )
