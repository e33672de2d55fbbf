"""HTTP to a business system: one client, the request budget, and a cause for everything that goes wrong.

It never retries; who knows that a call is a read may (`budget.retrying`).
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceError, SourceUnavailable
from tillwatch.sources.budget import Budget

#: A page of 1000 wide rows is about 1 MB; more than this is not an answer to what we ask.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: Connections a system may hold open for us.
MAX_CONNECTIONS = 4
_MAX_EXCERPT_CHARACTERS = 200


class AnswerLost(SourceUnavailable):
    """The request was sent and no answer came back: it may or may not have been executed."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


class Transport:
    """Gets and posts JSON at one system. Safe for several threads."""

    def __init__(
        self,
        system: str,
        *,
        clock: Clock,
        budget: Budget,
        timeout_seconds: float,
        connect_timeout_seconds: float,
        max_connections: int = MAX_CONNECTIONS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._system = system
        self._clock = clock
        self._budget = budget
        self._timeout_seconds = timeout_seconds
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=connect_timeout_seconds),
            limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=5.0),
            # A proxy meant for the outside must not see calls inside the chain.
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer with any status below 500 except 429. Raises SourceUnavailable or AnswerLost, with a cause."""
        return self._answer("POST", url, body, {"Content-Type": "application/json", **(headers or {})})

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """As `post`, with 501 among the answers. Messages leave out the query, which is long and may hold a key."""
        return self._answer("GET", url, None, headers or {})

    def _answer(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self._budget.take()
        place = url.partition("?")[0]
        try:
            with self._client.stream(method, url, content=body, headers=headers) as response:
                content = self._bounded(response, place)
        except httpx.HTTPError as error:
            raise self._failure(error, place) from None
        answer = Answer(status=response.status_code, body=content, headers=response.headers)
        if method == "GET" and answer.status == httpx.codes.NOT_IMPLEMENTED:
            # Asking again changes nothing; what to ask instead is for the caller to know.
            return answer
        if answer.status == httpx.codes.TOO_MANY_REQUESTS or answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._unavailable(answer, place)
        return answer

    def close(self) -> None:
        self._client.close()

    def _bounded(self, response: httpx.Response, url: str) -> bytes:
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise SourceError(
                    f"system {self._system!r}: {url} answered more than {MAX_ANSWER_BYTES} bytes; is the url right?"
                )
            pieces.append(piece)
        return b"".join(pieces)

    def _failure(self, error: httpx.HTTPError, url: str) -> SourceUnavailable:
        place = f"system {self._system!r} at {url}"
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return SourceUnavailable(f"{place}: no connection in time; is it up and reachable?", cause=Cause.TIMEOUT)
        if isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol):
            cause = _connect_cause(error)
            return SourceUnavailable(f"{place}: cannot connect ({error}); {_CONNECT_ADVICE[cause]}", cause=cause)
        if isinstance(error, httpx.TimeoutException):
            return AnswerLost(
                f"{place}: no answer in {self._timeout_seconds:g} s; it hangs or is overloaded", cause=Cause.TIMEOUT
            )
        return AnswerLost(f"{place}: the connection broke ({error}); did it crash or restart?", cause=Cause.TCP)

    def _unavailable(self, answer: Answer, url: str) -> SourceUnavailable:
        after_seconds = retry_after_seconds(answer.headers.get("retry-after", ""), self._clock.now())
        if after_seconds is not None:
            self._budget.hold(after_seconds)
        place = f"system {self._system!r} at {url} answered HTTP {answer.status}"
        if answer.status == httpx.codes.TOO_MANY_REQUESTS:
            pause = "" if after_seconds is None else f" and asks for a pause of {after_seconds:.0f} s"
            return SourceUnavailable(
                f"{place} (too many requests){pause}; lower requests_per_minute",
                cause=Cause.THROTTLE,
                retry_after_seconds=after_seconds,
            )
        excerpt = " ".join(answer.body[:2000].decode("utf-8", "replace").split())[:_MAX_EXCERPT_CHARACTERS]
        # A gateway may give up on a request its server still finishes, so nobody can tell whether this one happened.
        return AnswerLost(
            f"{place}: {excerpt or 'no explanation'}", cause=Cause.APPLICATION, retry_after_seconds=after_seconds
        )


_CONNECT_ADVICE = {
    Cause.DNS: "check the host name in the url",
    Cause.TLS: "check the certificate and the clock on both sides",
    Cause.TCP: "check that it runs and that host and port in the url are right",
}


def _connect_cause(error: BaseException) -> Cause:
    """DNS and TLS failures hide inside connect errors; their own exception is somewhere down the chain."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, socket.gaierror):
            return Cause.DNS
        if isinstance(link, ssl.SSLError):
            return Cause.TLS
        link = link.__cause__ or link.__context__
    return Cause.TCP


def retry_after_seconds(header: str, now: datetime) -> float | None:
    """Seconds from a Retry-After header: a number, or an HTTP date seen from `now`. None when there is none."""
    text = header.strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
