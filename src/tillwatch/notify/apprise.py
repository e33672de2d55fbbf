"""Channel kind `apprise`: some 170 services by one URL each. Its answers are read with care.

Apprise retries blindly and calls a read timeout a failure, so its retries are off and ours decide. For several services
it takes HTTP 200 as success without reading the answer's own error code: such a delivery is logged as `unconfirmed`.
"""

import logging
import re
from datetime import timedelta
from typing import Annotated, ClassVar

import apprise
from apprise.result import AppriseResultStatus
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import DeliveryError
from tillwatch.model.text import language_of
from tillwatch.notify.base import REPEAT_MARK, Delivery, Message, Result, Unlimited, scrub

#: Services whose answer Apprise 2.2 does not read: HTTP 200 with an error code inside counts as success there.
ANSWER_NOT_READ = frozenset({"wecombot", "dingtalk", "feishu", "lark", "schan"})
#: Limits of the services in UTF-8 bytes, where Apprise counts characters. What is longer is cut here, visibly.
MAX_BODY_BYTES = {"wecombot": 2_048, "wechat": 2_048, "dingtalk": 20_000, "feishu": 20_000, "lark": 20_000}

_RETRY_IN_URL = re.compile(r"[?&](retry|wait)=", re.IGNORECASE)
_STATUS = re.compile(r"error\s*=\s*(\d{3})\b")
_AGAIN_STATUSES = {408, 425, 429}
#: Of the words of `requests` for a failure before anything was sent.
_NOT_CONNECTED = ("NewConnectionError", "Connection refused", "Name or service not known", "ConnectTimeoutError")
_NOT_CONNECTED_TOO = ("Failed to resolve", "No route to host", "Network is unreachable", "NameResolutionError")
_MIN_SECRET_CHARACTERS = 6
_TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


def _known_service(value: Secret) -> Secret:
    if _RETRY_IN_URL.search(value):
        raise ValueError("remove retry= and wait= from the URL; tillwatch tries again by itself and knows when not to")
    if _instantiate(value, timeout_seconds=10.0) is None:
        raise ValueError("not a service URL Apprise knows, or it lacks a part; see Apprise's page of that service")
    return value


# Only Apprise's debug lines say whether anything was sent, and they hold tokens: they are captured call by call and
# scrubbed, and go nowhere else.
_apprise_log = logging.getLogger("apprise")
_apprise_log.setLevel(logging.DEBUG)
_apprise_log.propagate = False
_apprise_log.addHandler(logging.NullHandler())


class AppriseOptions(Strict):
    url: Annotated[Secret, AfterValidator(_known_service)]
    #: The whole send; Apprise itself waits 4 s for a connection and 4 s for an answer.
    timeout: Annotated[Duration, Key(ge=timedelta(seconds=1), le=timedelta(seconds=60))] = timedelta(seconds=15)


def _instantiate(url: str, *, timeout_seconds: float) -> apprise.NotifyBase | None:
    asset = apprise.AppriseAsset(
        app_id="tillwatch",
        app_desc="tillwatch",
        service_timeout=timeout_seconds,
        default_service_retry=0,
        http_redirects=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        plugin_paths=[],
    )
    return apprise.Apprise.instantiate(str(url), asset=asset, suppress_exceptions=True)


class AppriseNotifier(Unlimited):
    """One Apprise URL. The object lives as long as the channel, so that Apprise's own throttle works."""

    kind: ClassVar[str] = "apprise"
    Options: ClassVar[type[BaseModel]] = AppriseOptions
    repeats_when_unknown: ClassVar[int] = 1

    def __init__(self, options: AppriseOptions, *, clock: Clock) -> None:
        service = _instantiate(options.url, timeout_seconds=options.timeout.total_seconds())
        if service is None:
            raise DeliveryError("not a service URL Apprise knows", retryable=False, code="url")
        self._clock = clock
        self._service = service
        self._schema = options.url.partition("://")[0].lower()
        self._secrets = _secrets(options.url)
        self._apprise = apprise.Apprise(asset=service.asset)
        self._apprise.add(service)

    def describe(self) -> str:
        unread = "; its answers are not read, deliveries stay unconfirmed" if self._schema in ANSWER_NOT_READ else ""
        return f"{self._service.service_name} ({self._schema}){unread}"

    def close(self) -> None:
        """Apprise keeps nothing open between sends."""

    def send(self, message: Message, *, key: str) -> Delivery:  # noqa: ARG002 - the services have no field for a key
        """Send once. A refusal with a client error is final; a failure after sending is unknown, never a failure."""
        started = self._clock.monotonic()
        title, body = self._words(message)
        outcome = self._apprise.notify(
            body=body,
            title=title,
            notify_type=_TYPES.get(message.severity, "info") if message.kind != "resolved" else "success",
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
            log_level=logging.DEBUG,
        )
        entries = list(outcome.logs())
        lines = [entry.message for entry in entries]
        telling = " ".join(entry.message for entry in entries if _is_telling(entry.level, entry.message))
        words = scrub(telling or outcome.status.name, self._secrets)
        seconds = self._clock.monotonic() - started
        if outcome.status is AppriseResultStatus.SUCCESS:
            code = "unconfirmed" if self._schema in ANSWER_NOT_READ else "accepted"
            return Delivery(result=Result.DELIVERED, code=code, detail=self._accepted(), seconds=seconds)
        if outcome.status is AppriseResultStatus.TIMEOUT:
            return Delivery(result=Result.UNKNOWN, code="timeout", detail=words, seconds=seconds)
        return self._failure(lines, words, seconds)

    def _accepted(self) -> str:
        if self._schema in ANSWER_NOT_READ:
            return f"{self._service.service_name} answered HTTP 200; its own error code is not read by this adapter"
        return f"{self._service.service_name} accepted it"

    def _failure(self, lines: list[str], words: str, seconds: float) -> Delivery:
        log = " ".join(lines)
        if status := _STATUS.search(log):
            code = int(status[1])
            if code in _AGAIN_STATUSES or code >= 500:
                raise DeliveryError(words, retryable=True, code=str(code))
            return Delivery(result=Result.REJECTED, code=str(code), detail=words, seconds=seconds)
        if any(sign in log for sign in (*_NOT_CONNECTED, *_NOT_CONNECTED_TOO)) and len(self._service) == 1:
            raise DeliveryError(words, retryable=True, code="connect")
        # The connection broke after the request went out, or one of several targets failed: it may have arrived.
        return Delivery(result=Result.UNKNOWN, code="failed", detail=words, seconds=seconds)

    def _words(self, message: Message) -> tuple[str, str]:
        mark = REPEAT_MARK[language_of(message.locale)] if message.possible_repeat else ""
        title = mark + message.title
        room = MAX_BODY_BYTES.get(self._schema, self._service.body_maxlen)
        room -= len(title.encode()) + _JOIN_BYTES
        links = [one for one in (message.ack_url, message.url) if one]
        if len(message.body.encode()) <= room and all(one in message.body for one in links):
            return title, message.body
        # The ways to the incident stay, whatever is cut above them.
        tail = "".join(f"\n{one}" for one in links)
        kept = "\n".join(line for line in message.body.split("\n") if not any(one in line for one in links))
        return title, fit(kept, room - len(tail.encode())) + tail


#: Apprise joins title and body itself where a service has no title.
_JOIN_BYTES = 4


def fit(text: str, max_bytes: int) -> str:
    """`text` in at most `max_bytes` of UTF-8, cut between characters and marked with `…` when something is missing."""
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    mark = "…".encode()
    return encoded[: max(0, max_bytes - len(mark))].decode("utf-8", "ignore") + "…"


def _secrets(url: str) -> list[str]:
    """Every part of the URL that could be a token, and the URL: Apprise masks them in some of its messages only."""
    return [url, *(part for part in re.split(r"[:/?&=@#+%]+", url) if len(part) >= _MIN_SECRET_CHARACTERS)]


def _is_telling(level: str, line: str) -> bool:
    """Warnings, and the debug line that holds the reason for them; the other debug lines repeat what we sent."""
    return level in {"WARNING", "ERROR", "CRITICAL"} or line.startswith("Socket Exception")
