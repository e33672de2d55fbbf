"""Channel kind `webhook`: one versioned JSON document by HTTP POST, with an Idempotency-Key.

    {"version": "1", "key", "possible_repeat", "kind": "opened|updated|resolved|reminder|message", "channel",
     "receiver", "locale", "chain", "title", "body", "severity", "url", "runbooks": [{"id", "title", "url", "params"}],
     "incident": {…as `incident show --json`…} | null, "at"}

The header `Idempotency-Key` holds `key`; a receiver that has seen it answers 2xx and does nothing. 2xx is delivered;
408, 425, 429 and 5xx are tried again (Retry-After is honoured); any other answer is final. When the request was sent
and no answer came back the outcome is unknown and it is sent again under the same key with `possible_repeat` true.
"""

import email.utils
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

import httpx
import orjson
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import DeliveryError
from tillwatch.notify.base import Delivery, Message, Result, scrub

DOCUMENT_VERSION = "1"
#: More of an answer is of no use to anybody; the rest is not read.
MAX_ANSWER_BYTES = 65_536
#: A longer wait than this is taken as this: the outbox decides when a message is too old.
MAX_RETRY_AFTER_SECONDS = 3_600.0

_AGAIN_STATUSES = {408, 425, 429, 500, 502, 503, 504, 507, 508, 520, 521, 522, 523, 524, 529}
_RESERVED_HEADERS = {"content-type", "content-length", "host", "idempotency-key", "transfer-encoding"}


def _http_url(value: Secret) -> Secret:
    try:
        url = httpx.URL(str(value))
    except httpx.InvalidURL as error:
        raise ValueError("not a URL; write for example https://HOST/PATH") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("not a web address; write for example https://HOST/PATH")
    return value


def _free_headers(value: dict[str, Secret]) -> dict[str, Secret]:
    for name in value:
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"header '{name}' is set by tillwatch; remove it")
    return value


class WebhookOptions(Strict):
    """`url` may hold a secret; so may any header."""

    url: Annotated[Secret, AfterValidator(_http_url)]
    headers: Annotated[dict[str, Secret], AfterValidator(_free_headers)] = Key(default_factory=dict)
    timeout: Annotated[Duration, Key(ge=timedelta(seconds=1), le=timedelta(seconds=60))] = timedelta(seconds=10)


class Webhook:
    """Posts the document. Redirects are not followed: a moved receiver is a configuration error, not a detour."""

    kind: ClassVar[str] = "webhook"
    Options: ClassVar[type[BaseModel]] = WebhookOptions
    repeats_when_unknown: ClassVar[int] = 1_000

    def __init__(self, options: WebhookOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._timeout_seconds = options.timeout.total_seconds()
        self._client = httpx.Client(
            timeout=httpx.Timeout(self._timeout_seconds), follow_redirects=False, trust_env=False
        )

    def describe(self) -> str:
        url = httpx.URL(str(self._options.url))
        return f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rpartition('@')[2]}/…"

    def close(self) -> None:
        self._client.close()

    def send(self, message: Message, *, key: str) -> Delivery:
        """See the module. The answer's body is kept for the log, scrubbed of the channel's secrets."""
        started = self._clock.monotonic()
        document = {"version": DOCUMENT_VERSION, **message.document(), "possible_repeat": message.possible_repeat}
        headers = {**self._options.headers, "Content-Type": "application/json", "Idempotency-Key": key}
        try:
            with self._client.stream(
                "POST", str(self._options.url), content=orjson.dumps(document), headers=headers
            ) as response:
                body = self._read(response, started)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise DeliveryError(self._say(f"cannot connect: {error}"), retryable=True, code="connect") from error
        except httpx.UnsupportedProtocol as error:
            raise DeliveryError(self._say(str(error)), retryable=False, code="url") from error
        except httpx.TimeoutException:
            wait = f"no answer within {self._timeout_seconds:g} s; it may have arrived"
            return self._delivery(Result.UNKNOWN, "timeout", wait, started)
        except httpx.TransportError as error:
            return self._delivery(Result.UNKNOWN, "broken", f"{type(error).__name__}: {error}", started)
        return self._judge(response, body, started)

    def _read(self, response: httpx.Response, started: float) -> str:
        """At most MAX_ANSWER_BYTES, and never longer than the timeout in all: a dripping server is no excuse."""
        content = b""
        for chunk in response.iter_raw():
            content += chunk
            if len(content) >= MAX_ANSWER_BYTES or self._clock.monotonic() - started > self._timeout_seconds:
                break
        return content[:MAX_ANSWER_BYTES].decode("utf-8", "replace")

    def _judge(self, response: httpx.Response, body: str, started: float) -> Delivery:
        code, words = str(response.status_code), body or response.reason_phrase
        if response.is_success:
            return self._delivery(Result.DELIVERED, code, words, started)
        if response.status_code in _AGAIN_STATUSES:
            again = retry_after_seconds(response.headers.get("Retry-After", ""), self._clock.now())
            raise DeliveryError(
                self._say(f"HTTP {code}: {words}"), retryable=True, code=code, retry_after_seconds=again
            )
        if response.is_redirect:
            words = "the receiver moved; put its final address into the channel's url"
        return self._delivery(Result.REJECTED, code, words, started)

    def _delivery(self, result: Result, code: str, detail: str, started: float) -> Delivery:
        seconds = self._clock.monotonic() - started
        return Delivery(result=result, code=code, detail=self._say(detail), seconds=seconds)

    def _say(self, text: str) -> str:
        url = httpx.URL(str(self._options.url))
        secret_parts = [url.path.rpartition("/")[2], url.query.decode("ascii", "replace"), url.password, url.username]
        parts = [part for part in secret_parts if len(part) >= _MIN_SECRET_CHARACTERS]
        return scrub(text, [str(self._options.url), *self._options.headers.values(), *parts])


#: Shorter pieces of a URL are ordinary words; blanking them would make the log unreadable.
_MIN_SECRET_CHARACTERS = 8


def retry_after_seconds(header: str, now: datetime) -> float | None:
    """Seconds to wait as a Retry-After header asks, in either of its forms; None when it says nothing useful."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        wanted = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if wanted.tzinfo is None:
        return None
    return min(max(0.0, (wanted - now).total_seconds()), MAX_RETRY_AFTER_SECONDS)
