"""One HTTP exchange with a channel's service: what certainly did not arrive, what may have, and what was answered."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

from tillwatch.clock import Clock
from tillwatch.errors import DeliveryError
from tillwatch.notify.base import Delivery, Result, scrub

#: More of an answer is of no use to anybody; the rest is not read.
MAX_ANSWER_BYTES = 65_536
#: A longer wait than this is taken as this: the outbox decides when a message is too old.
MAX_RETRY_AFTER_SECONDS = 3_600.0

_AGAIN_STATUSES = {408, 425, 429, 500, 502, 503, 504, 507, 508, 520, 521, 522, 523, 524, 529}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the service said, with a status that is not an error which may pass."""

    status: int
    body: str
    reason: str
    is_redirect: bool = False

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


@dataclass(kw_only=True)
class Exchange:
    """Posts and reads within `timeout_seconds` in all; redirects are not followed, they are a wrong address."""

    clock: Clock
    timeout_seconds: float
    #: Never in a log or an error.
    secrets: Sequence[str]
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            timeout=httpx.Timeout(self.timeout_seconds), follow_redirects=False, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def post(self, url: str, content: bytes, headers: Mapping[str, str], *, started: float) -> Answer | Delivery:
        """The answer, or a delivery whose outcome nobody knows.

        Raises DeliveryError when the message certainly did not arrive, or was refused in a way that may pass.
        """
        return self._exchanged(self._client.build_request("POST", url, content=content, headers=dict(headers)), started)

    def get(self, url: str, *, started: float) -> Answer | Delivery:
        """As `post`, for a question that may be asked twice."""
        return self._exchanged(self._client.build_request("GET", url), started)

    def _exchanged(self, request: httpx.Request, started: float) -> Answer | Delivery:
        try:
            with closing(self._client.send(request, stream=True)) as response:
                body = self._read(response, started)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise DeliveryError(self.say(f"cannot connect: {error}"), retryable=True, code="connect") from error
        except httpx.UnsupportedProtocol as error:
            raise DeliveryError(self.say(str(error)), retryable=False, code="url") from error
        except httpx.TimeoutException:
            wait = f"no answer within {self.timeout_seconds:g} s; it may have arrived"
            return self.delivery(Result.UNKNOWN, "timeout", wait, started)
        except httpx.TransportError as error:
            return self.delivery(Result.UNKNOWN, "broken", f"{type(error).__name__}: {error}", started)
        if response.status_code in _AGAIN_STATUSES:
            raise DeliveryError(
                self.say(f"HTTP {response.status_code}: {body or response.reason_phrase}"),
                retryable=True,
                code=str(response.status_code),
                retry_after_seconds=retry_after_seconds(response.headers.get("Retry-After", ""), self.clock.now()),
            )
        return Answer(
            status=response.status_code, body=body, reason=response.reason_phrase, is_redirect=response.is_redirect
        )

    def _read(self, response: httpx.Response, started: float) -> str:
        """At most MAX_ANSWER_BYTES, and never longer than the timeout in all: a dripping server is no excuse."""
        content = b""
        for chunk in response.iter_raw():
            content += chunk
            if len(content) >= MAX_ANSWER_BYTES or self.clock.monotonic() - started > self.timeout_seconds:
                break
        return content[:MAX_ANSWER_BYTES].decode("utf-8", "replace")

    def delivery(self, result: Result, code: str, detail: str, started: float) -> Delivery:
        seconds = self.clock.monotonic() - started
        return Delivery(result=result, code=code, detail=self.say(detail), seconds=seconds)

    def say(self, text: str) -> str:
        return scrub(text, self.secrets)


def retry_after_seconds(header: str, now: datetime) -> float | None:
    """Seconds to wait as a Retry-After header asks, in either of its forms; None when it says nothing useful."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        wanted = parsedate_to_datetime(text)
    except ValueError:
        return None
    if wanted.tzinfo is None:
        return None
    return min(max(0.0, (wanted - now).total_seconds()), MAX_RETRY_AFTER_SECONDS)
