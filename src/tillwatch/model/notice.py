"""What people are to be told, before anybody has worded it, and what became of it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class NoticeKind(enum.StrEnum):
    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    #: Nobody has acknowledged; somebody else is told, or the same people again.
    ESCALATED = "escalated"
    #: A text of its own: a runbook step, a test of a channel.
    MESSAGE = "message"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing to tell one receiver through its channels. Told once per channel, however often it is enqueued."""

    kind: NoticeKind
    #: None only for a message that belongs to no incident.
    incident: int | None
    #: The incident's version this speaks of.
    version: int = 0
    receiver: str = ""
    #: Who is meant, an id of a person; empty for whoever reads the channels.
    person: str = ""
    channels: tuple[str, ...]
    not_before: datetime
    #: 0 leaves first: the severity's rank. A new critical incident never queues behind a storm of warnings.
    priority: int = 1
    #: Number of the reminder or of the step of an escalation, from 1; 0 for everything else.
    repeat: int = 0
    #: For `message` only: what to say, by language (`en`, `zh`); the first line is the title.
    text: Mapping[str, str] = field(default_factory=dict)
    #: For `message` only: what makes it unique, for example `run:12:tell-shop`.
    origin: str = ""

    def key(self, channel: str) -> str:
        """The idempotency key of this notice on one channel."""
        if self.kind is NoticeKind.MESSAGE:
            return f"{self.origin}:{channel}"
        repeat = f":{self.repeat}" if self.repeat else ""
        person = f":{self.person}" if self.person else ""
        return f"{self.incident}:{self.kind}:{self.version}{repeat}:{channel}{person}"


class DeliveryState(enum.StrEnum):
    PENDING = "pending"
    #: Leased by a worker that is sending it now, or died while it did.
    SENDING = "sending"
    DELIVERED = "delivered"
    #: The channel said no, or it was too old to be worth sending.
    REJECTED = "rejected"
    #: Nobody can tell whether it arrived, and repeating it further would only be noise.
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in {DeliveryState.PENDING, DeliveryState.SENDING}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One time we handed the message to the channel, or tried to."""

    number: int
    at: datetime
    #: delivered | rejected | retry | unknown
    result: str
    #: The provider's own code: an HTTP status, an error code out of the body, or the name of the failure.
    code: str
    detail: str
    seconds: float
    possible_repeat: bool


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """One message on one channel: what the delivery log shows."""

    id: int
    key: str
    kind: NoticeKind
    incident: int | None
    version: int
    repeat: int
    receiver: str
    channel: str
    person: str = ""
    #: 0 leaves first.
    priority: int = 1
    state: DeliveryState
    created_at: datetime
    not_before: datetime
    finished_at: datetime | None
    #: True once a worker died, or an answer was lost, between sending and knowing: it may arrive twice.
    possible_repeat: bool
    text: Mapping[str, str]
    #: The worded message, fixed before the first send so that a retry is the same message. None until then.
    payload: Mapping[str, object] | None
    attempts: int
    #: How many of the attempts ended without anybody knowing whether the message arrived.
    unknown_results: int
    code: str
    detail: str
    #: Rises with every claim; a worker whose lease was taken over can no longer write a result.
    epoch: int
    lease_until: datetime | None = None
    log: tuple[Attempt, ...] = ()
