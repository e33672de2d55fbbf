"""Channel kind `webhook`: one versioned JSON document by HTTP POST, with an Idempotency-Key.

    {"version": "1", "key", "possible_repeat", "kind": "opened|updated|resolved|reminder|message", "channel",
     "receiver", "locale", "chain", "title", "body", "severity", "url", "runbooks": [{"id", "title", "url", "params"}],
     "incident": {…as `incident show --json`…} | null, "at"}

The header `Idempotency-Key` holds `key`; a receiver that has seen it answers 2xx and does nothing. 2xx is delivered;
408, 425, 429 and 5xx are tried again (Retry-After is honoured); any other answer is final. When the request was sent
and no answer came back the outcome is unknown and it is sent again under the same key with `possible_repeat` true.
"""

from datetime import timedelta
from typing import Annotated, ClassVar

import httpx
import orjson
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Duration, Strict
from tillwatch.notify.base import Delivery, Message, Result, Unlimited
from tillwatch.notify.exchange import Exchange

DOCUMENT_VERSION = "1"

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


class Webhook(Unlimited):
    """Posts the document. Redirects are not followed: a moved receiver is a configuration error, not a detour."""

    kind: ClassVar[str] = "webhook"
    Options: ClassVar[type[BaseModel]] = WebhookOptions
    repeats_when_unknown: ClassVar[int] = 1_000

    def __init__(self, options: WebhookOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._exchange = Exchange(
            clock=clock, timeout_seconds=options.timeout.total_seconds(), secrets=_secrets(options)
        )

    def describe(self) -> str:
        url = httpx.URL(str(self._options.url))
        return f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rpartition('@')[2]}/…"

    def close(self) -> None:
        self._exchange.close()

    def send(self, message: Message, *, key: str) -> Delivery:
        """See the module. The answer's body is kept for the log, scrubbed of the channel's secrets."""
        started = self._clock.monotonic()
        document = {"version": DOCUMENT_VERSION, **message.document(), "possible_repeat": message.possible_repeat}
        headers = {**self._options.headers, "Content-Type": "application/json", "Idempotency-Key": key}
        answer = self._exchange.post(str(self._options.url), orjson.dumps(document), headers, started=started)
        if isinstance(answer, Delivery):
            return answer
        if answer.is_success:
            return self._exchange.delivery(Result.DELIVERED, str(answer.status), answer.body or answer.reason, started)
        words = answer.body or answer.reason
        if answer.is_redirect:
            words = "the receiver moved; put its final address into the channel's url"
        return self._exchange.delivery(Result.REJECTED, str(answer.status), words, started)


#: Shorter pieces of a URL are ordinary words; blanking them would make the log unreadable.
_MIN_SECRET_CHARACTERS = 8


def _secrets(options: WebhookOptions) -> list[str]:
    url = httpx.URL(str(options.url))
    secret_parts = [url.path.rpartition("/")[2], url.query.decode("ascii", "replace"), url.password, url.username]
    parts = [part for part in secret_parts if len(part) >= _MIN_SECRET_CHARACTERS]
    return [str(options.url), *options.headers.values(), *parts]
