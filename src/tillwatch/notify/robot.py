"""Chat robots that answer HTTP 200 to everything: the code in the body decides, and only its zero is a delivery."""

import abc
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import DeliveryError
from tillwatch.model.channel import Allowance
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import language_of
from tillwatch.notify.base import REPEAT_MARK, Delivery, Message, Result
from tillwatch.notify.exchange import Exchange

#: After "too many messages" the services count by the minute; asking sooner only counts again.
RATE_LIMITED_SECONDS = 60.0
#: What all three services take from one robot; more is refused, and refusals may prolong the wait.
MESSAGES_A_MINUTE = 20

_MORE = {"en": "… {n} more lines", "zh": "……另有 {n} 行"}
#: Characters that would turn text into links, mentions or headings in the services' markdown, which has no escapes.
_ADDRESS = re.compile(r"(https?://[^\s<>\[\]`]+)")
_MARKDOWN = str.maketrans({"<": "＜", ">": "＞", "[": "［", "]": "］", "`": "ˋ", "#": "＃", "*": "＊"})


def _https(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("not a web address; write for example https://HOST")
    return value.rstrip("/")


#: Whoever has to be called by name; a longer list is `all`.
Mentions = Annotated[tuple[Annotated[str, Key(pattern=r"^[A-Za-z0-9_.@+-]{1,64}$")], ...], Key(max_length=20)]


#: A declared address that looks different is not sent: in the services' markup it could call everybody.
_MENTION = re.compile(r"[A-Za-z0-9_.@+-]{1,64}", re.ASCII)


def called(declared: Sequence[str], message: Message) -> tuple[str, ...]:
    """Whom a message calls by name: the channel's own list, and the person it is meant for."""
    extra = [one for one in message.mentions if _MENTION.fullmatch(one)]
    # News of the end is no reason to call anybody.
    return tuple(declared) if message.kind is NoticeKind.RESOLVED else tuple(dict.fromkeys((*declared, *extra)))


class RobotOptions(Strict):
    """What all robots share. `url` is only for a proxy of the service, or its other region."""

    url: Annotated[str, AfterValidator(_https)]
    timeout: Annotated[Duration, Key(ge=timedelta(seconds=1), le=timedelta(seconds=60))] = timedelta(seconds=10)
    #: What the service takes in a minute; of more, one digest is made. The services' own limit by default.
    per_minute: Annotated[int, Key(ge=2, le=10_000)] = MESSAGES_A_MINUTE


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request of a robot: where, and the JSON to send."""

    url: str
    document: Mapping[str, object]


class Robot(abc.ABC):
    """One configured robot; a subclass knows its service."""

    kind: ClassVar[str]
    Options: ClassVar[type[BaseModel]]
    #: A person should see a message twice at most.
    repeats_when_unknown: ClassVar[int] = 1
    #: The keys of the answer's body that hold the code (the first that is there counts) and the words.
    codes: ClassVar[tuple[str, ...]]
    words: ClassVar[str]
    #: Codes for "too many messages" and "busy": the same message may pass later. Any other code is a refusal.
    rate_limited: ClassVar[frozenset[int]]
    busy: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, options: RobotOptions, *, clock: Clock, secrets: Sequence[str], limit_bytes: int) -> None:
        """`limit_bytes` is for the text and the names it calls, in UTF-8."""
        self._address = options.url
        self._allowance = Allowance.within(options.per_minute)
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._exchange = Exchange(clock=clock, timeout_seconds=options.timeout.total_seconds(), secrets=secrets)

    @abc.abstractmethod
    def call(self, message: Message, *, text: str) -> Call:
        """The request that says `text`: title and body, inert and short enough."""

    def text_of(self, message: Message) -> str:
        """What is said, short enough to leave room for the names it calls."""
        return body_of(message, self._limit_bytes - len(self.calling(message).encode()))

    def calling(self, message: Message) -> str:  # noqa: ARG002 - some services call people outside the text
        """What stands behind the text so that people are called by name."""
        return ""

    @property
    def allowance(self) -> Allowance | None:
        return self._allowance

    def describe(self) -> str:
        return f"{self.kind} at {self._address.partition('://')[2]}"

    def close(self) -> None:
        self._exchange.close()

    def send(self, message: Message, *, key: str) -> Delivery:  # noqa: ARG002 - these services know no keys
        """One call. Raises DeliveryError when the service asks to come back later."""
        started = self._clock.monotonic()
        call = self.call(message, text=self.text_of(message))
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = self._exchange.post(call.url, orjson.dumps(call.document), headers, started=started)
        if isinstance(answer, Delivery):
            return answer
        if not answer.is_success:
            words = answer.body or answer.reason
            return self._exchange.delivery(Result.REJECTED, str(answer.status), words, started)
        return self._judge(answer.body, started)

    def judged(self, found: Mapping[str, Any], delivery: Delivery) -> Delivery:  # noqa: ARG002 - most say no more
        """What the rest of an answer makes of a code that was read."""
        return delivery

    def _judge(self, body: str, started: float) -> Delivery:
        found = as_document(body)
        code = next((found[name] for name in self.codes if isinstance(found.get(name), int)), None)
        if code is None:
            # It took the request and said something else: whether the message stands in the chat, nobody can tell.
            return self._exchange.delivery(Result.UNKNOWN, "no code", body, started)
        words = str(found.get(self.words, ""))
        if code == 0:
            return self.judged(found, self._exchange.delivery(Result.DELIVERED, "0", words, started))
        if code in self.rate_limited | self.busy:
            wait = RATE_LIMITED_SECONDS if code in self.rate_limited else None
            raise DeliveryError(
                self._exchange.say(f"{code}: {words}"), retryable=True, code=str(code), retry_after_seconds=wait
            )
        return self._exchange.delivery(Result.REJECTED, str(code), words, started)


def as_document(body: str) -> Mapping[str, Any]:
    """An answer's JSON object; empty for anything else."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def body_of(message: Message, limit_bytes: int) -> str:
    """Title and body as inert text of at most `limit_bytes`: first lines, a count, and the last line or two.

    Our texts end with the ways to acknowledge and to the whole: whatever is cut, these stay.
    """
    language = language_of(message.locale)
    mark = REPEAT_MARK[language] if message.possible_repeat else ""
    lines = [f"{mark}{message.title}", *message.body.splitlines()]
    tail = 2 if message.ack_url else 1
    return fit([inert(line) for line in lines if line.strip()], limit_bytes, _MORE[language], tail=tail)


def inert(line: str) -> str:
    """Without what the services' markdown would act on; addresses stay as they are, or they would lead nowhere."""
    parts = _ADDRESS.split(line.encode(errors="replace").decode())
    return "".join(part if number % 2 else part.translate(_MARKDOWN) for number, part in enumerate(parts))


def fit(lines: list[str], limit_bytes: int, more: str, *, tail: int = 1) -> str:
    """`lines` joined within `limit_bytes` as they stand in the request; cut between lines, inside one if it must.

    The last `tail` lines stay whole while that is possible.
    """
    whole = "\n".join(lines)
    if size_bytes(whole) <= limit_bytes or not lines:
        return whole
    for end in range(min(tail, len(lines) - 1), 0, -1):
        ends = lines[-end:]
        for kept in range(len(lines) - 1 - end, 0, -1):
            text = "\n".join([*lines[:kept], more.format(n=len(lines) - end - kept), *ends])
            if size_bytes(text) <= limit_bytes:
                return text
    last = lines[-1] if len(lines) > 1 else ""
    if not last:
        return shortened(lines[0], limit_bytes)
    room = limit_bytes - size_bytes("\n")
    first = shortened(lines[0], max(room // 2, room - size_bytes(last)))
    return f"{first}\n{shortened(last, room - size_bytes(first))}"


def size_bytes(text: str) -> int:
    """Bytes inside a JSON document: UTF-8, with quotes and line breaks escaped."""
    return len(orjson.dumps(text)) - 2


def shortened(text: str, limit_bytes: int) -> str:
    """As many whole characters as fit, and a mark when some did not."""
    if size_bytes(text) <= limit_bytes:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size_bytes(text[:middle] + "…") <= limit_bytes else (low, middle - 1)
    return text[:low] + "…"
