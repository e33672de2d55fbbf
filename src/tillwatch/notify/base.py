"""What a notifier is: it sends one worded message to one channel and says truthfully what became of it."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from tillwatch.model.channel import Allowance
from tillwatch.model.notice import NoticeKind

#: What a provider said is kept for the log, not archived.
MAX_DETAIL_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Link:
    """Something to open from a message: a runbook with its parameters filled in."""

    title: str
    url: str
    id: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One worded message. Its document is stored before the first send, so every retry is the same message."""

    #: Idempotency key: the same for every try of this message on this channel.
    key: str
    kind: NoticeKind
    channel: str
    receiver: str
    #: Who is meant, as people call them; empty for whoever reads the channel.
    person: str = ""
    #: How this channel calls that person: a user id, a mobile number, an address.
    mentions: tuple[str, ...] = ()
    #: `zh-CN` or `en`.
    locale: str
    title: str
    body: str
    #: critical | warning | info, empty for a message without an incident.
    severity: str = ""
    #: The incident's page; empty without an incident.
    url: str = ""
    #: Where one press acknowledges the incident; empty when there is nothing to acknowledge. Whoever has it may do it.
    ack_url: str = ""
    runbooks: tuple[Link, ...] = ()
    #: The incident as `incident show --json` prints it; None without an incident.
    incident: Mapping[str, Any] | None = None
    chain: str = ""
    #: When the message was worded.
    at: datetime
    #: True when an earlier try may have arrived. Not part of the stored document: it is a fact about this try.
    possible_repeat: bool = False

    def document(self) -> dict[str, Any]:
        """JSON values only; `Message.read` is the way back."""
        return {
            "key": self.key,
            "kind": self.kind.value,
            "channel": self.channel,
            "receiver": self.receiver,
            "person": self.person,
            "mentions": list(self.mentions),
            "locale": self.locale,
            "title": self.title,
            "body": self.body,
            "severity": self.severity,
            "url": self.url,
            "ack_url": self.ack_url,
            "runbooks": [
                {"id": link.id, "title": link.title, "url": link.url, "params": dict(link.params)}
                for link in self.runbooks
            ],
            "incident": self.incident,
            "chain": self.chain,
            "at": self.at.isoformat(),
        }

    @classmethod
    def read(cls, document: Mapping[str, Any], *, possible_repeat: bool) -> "Message":
        """A stored document back as the message it was."""
        rest = {name: document[name] for name in document if name not in {"kind", "runbooks", "at", "mentions"}}
        return cls(
            **rest,
            kind=NoticeKind(document["kind"]),
            mentions=tuple(document.get("mentions", ())),
            runbooks=tuple(Link(**link) for link in document["runbooks"]),
            at=datetime.fromisoformat(document["at"]),
            possible_repeat=possible_repeat,
        )


class Result(enum.StrEnum):
    DELIVERED = "delivered"
    #: The channel refused this message and would refuse it again.
    REJECTED = "rejected"
    #: It was handed over and no answer came back: it may have arrived.
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of one send."""

    result: Result
    #: The provider's own code: an HTTP status, an error code out of the body, or the name of the failure.
    code: str
    #: The provider's own words, shortened; never a secret.
    detail: str = ""
    seconds: float = 0.0


class Unlimited:
    """For channels whose service names no limit."""

    @property
    def allowance(self) -> Allowance | None:
        return None


class Notifier(Protocol):
    """One configured channel. Threads never share one: the worker sends one message of a channel at a time."""

    kind: ClassVar[str]
    Options: ClassVar[type[BaseModel]]
    #: How often a message whose fate is unknown may be sent again, marked as a possible repeat. A receiver that
    #: recognises the key may see it often; a person should see it twice at most.
    repeats_when_unknown: ClassVar[int]

    @property
    def allowance(self) -> Allowance | None:
        """How much its service takes; None when it names no limit."""
        ...

    def send(self, message: Message, *, key: str) -> Delivery:
        """Send once, within the channel's own timeout. Raises DeliveryError when it certainly did not arrive."""
        ...

    def describe(self) -> str:
        """Where it sends to, for people; without secrets."""
        ...

    def close(self) -> None: ...


REPEAT_MARK = {"en": "(may be a repeat) ", "zh": "（可能重复）"}


def scrub(text: str, secrets: Sequence[str]) -> str:
    """`text` on one printable line without any of `secrets`, cut to what the log keeps.

    A provider may answer with NUL or half a surrogate pair, which PostgreSQL does not store.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 1] + "…"
