"""Acknowledging by the link of a message: reading shows, only an order acts, and each link works once.

A link is bound to its message (so to a person, or to a channel when nobody is named), to its incident and to what was
known when the message was worded. It ends when somebody is on it, when the incident is over, when it expires, and when
something happened of which a newer message tells: a raised severity, or an incident that was given back.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from tillwatch.config.declared import ChainConfig
from tillwatch.errors import RefusedError, TillwatchError
from tillwatch.incident.desk import IncidentDesk
from tillwatch.model.ack import LINK_LASTS, AckLink, Signed, bound, read
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.notice import DeliveryRecord, NoticeKind
from tillwatch.model.text import language_of, pick
from tillwatch.store import incidents, links, outbox
from tillwatch.store.db import Database

#: The name of the key in the store.
KEY = "ack-link"
#: What makes an older message misleading; each of these sends a newer one.
WATERSHEDS = frozenset({"severity_raised", "unacknowledged", "acknowledgement_over"})
MAX_NAME_CHARACTERS = 64

_BY_CHANNEL: Mapping[str, str] = {"en": "{who} (channel {channel})", "zh": "{who}（渠道 {channel}）"}
_SOMEBODY: Mapping[str, str] = {"en": "somebody", "zh": "有人"}


class AckState(enum.StrEnum):
    READY = "ready"
    USED = "used"
    #: Somebody else is on it.
    TAKEN = "taken"
    RESOLVED = "resolved"
    OUTDATED = "outdated"
    EXPIRED = "expired"
    #: Not signed by this installation, or damaged.
    FOREIGN = "foreign"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a link leads to. Nothing about any incident is in it when the link is not ours."""

    state: AckState
    incident: Incident | None = None
    #: Who acknowledges by it; empty when the message named nobody.
    person: str = ""
    channel: str = ""
    expires_at: datetime | None = None
    used: links.Use | None = None
    #: When the newer thing happened that made it outdated.
    since: datetime | None = None
    #: True when the order was refused because the incident has changed since it was shown.
    moved: bool = False
    #: False when an order was given and changed nothing.
    done: bool = False


class _Refused(TillwatchError):
    """Undoes the transaction of an order that came too late."""

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened.state.value)
        self.opened = opened


def judge(
    link: Signed,
    *,
    incident: Incident,
    use: links.Use | None,
    watershed: datetime | None,
    now: datetime,
) -> AckState:
    """What a link of ours is good for now. `watershed` is the last one after its message was worded."""
    if use is not None:
        return AckState.USED
    if incident.state is IncidentState.RESOLVED:
        return AckState.RESOLVED
    if link.expires_at <= now:
        return AckState.EXPIRED
    if incident.state is IncidentState.ACKNOWLEDGED:
        return AckState.TAKEN
    return AckState.OUTDATED if watershed is not None else AckState.READY


class AckLinks:
    """Makes links, shows what they lead to, and acknowledges by them."""

    def __init__(self, config: ChainConfig, *, database: Database, desk: IncidentDesk, secret: bytes) -> None:
        self._config = config
        self._database = database
        self._desk = desk
        self._secret = secret

    def open(self, token: str, now: datetime) -> Opened:
        """Changes nothing, however often it is called."""
        link = read(token, self._secret)
        if link is None:
            return Opened(state=AckState.FOREIGN)
        with self._database.read() as connection:
            return self._opened(connection, link, now)

    def acknowledge(self, token: str, *, seen: int, name: str, now: datetime) -> Opened:
        """Acknowledge, once, what was shown at version `seen`; `done` says whether this call did it.

        `name` is what somebody typed whom the message did not name.
        """
        link = read(token, self._secret)
        if link is None:
            return Opened(state=AckState.FOREIGN)
        with self._database.read() as connection:
            before = self._opened(connection, link, now)
        if before.state is not AckState.READY:
            return before
        actor = self._actor(before, name)

        def first(connection: Connection, incident: Incident, at: datetime) -> None:
            current = self._opened(connection, link, at)
            if current.state is not AckState.READY:
                raise _Refused(current)
            if incident.version != seen:
                raise _Refused(replace(current, moved=True))
            if not links.use(connection, link.message, incident=incident.id, actor=actor, now=at):
                raise _Refused(replace(current, state=AckState.USED))

        try:
            self._desk.acknowledge(link.incident, actor, first=first)
        except _Refused as refused:
            return refused.opened
        except RefusedError:
            return self.open(token, now)
        return replace(self.open(token, now), done=True)

    def _opened(self, connection: Connection, link: Signed, now: datetime) -> Opened:
        try:
            record = outbox.get(connection, link.message)
        except LookupError:
            return Opened(state=AckState.FOREIGN)
        if record.incident != link.incident or bound(record.key) != link.bound:
            return Opened(state=AckState.FOREIGN)
        incident = incidents.get(connection, link.incident)
        use = links.used(connection, link.message)
        watershed = incidents.last_of(connection, incident.id, WATERSHEDS, since=link.expires_at - LINK_LASTS)
        return Opened(
            state=judge(link, incident=incident, use=use, watershed=watershed, now=now),
            incident=incident,
            person=self._person(record),
            channel=self._channel(record),
            expires_at=link.expires_at,
            used=use,
            since=watershed,
        )

    def _person(self, record: DeliveryRecord) -> str:
        known = next((one for one in self._config.people if one.id == record.person), None)
        return pick(known.name, self._config.chain.locale, known.id) if known else record.person

    def _channel(self, record: DeliveryRecord) -> str:
        known = next((one for one in self._config.channels if one.id == record.channel), None)
        return pick(known.name, self._config.chain.locale, known.id) if known else record.channel

    def _actor(self, opened: Opened, name: str) -> str:
        """The person the message was for; else what was typed, with the channel it came from."""
        if opened.person:
            return opened.person
        language = language_of(self._config.chain.locale)
        who = name.strip()[:MAX_NAME_CHARACTERS] or _SOMEBODY[language]
        return _BY_CHANNEL[language].format(who=who, channel=opened.channel)


def signer(secret: bytes) -> Callable[[DeliveryRecord, Mapping[str, object], datetime], str]:
    """For the wording of messages: the token of a message, empty when there is nothing to acknowledge."""

    def sign(record: DeliveryRecord, incident: Mapping[str, object], now: datetime) -> str:
        if record.kind is NoticeKind.RESOLVED or incident["state"] != IncidentState.OPEN.value:
            return ""
        return AckLink(
            message=record.id,
            key=record.key,
            incident=int(str(incident["incident"])),
            version=int(str(incident["version"])),
            expires_at=now + LINK_LASTS,
        ).sign(secret)

    return sign
