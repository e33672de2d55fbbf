"""Asking one service: credentials, the request budget, and errors in our words. Safe for several threads.

1. The breaker is asked before the first request with credentials. Until they are known to be right one thread tries
   them and the others wait for what it learns; refused credentials are sent once.
2. A token that ran out is replaced once a request.
3. It never retries; who asks does, for everything here is a read.
"""

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import httpx

from tillwatch.clock import Clock
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected
from tillwatch.sources.base import Breaker, credential_digest
from tillwatch.sources.budget import Budget
from tillwatch.sources.http import Answer, Transport
from tillwatch.sources.odata import wire
from tillwatch.sources.odata.options import ODataOptions

#: A token is replaced so long before it ends: the request it goes with must still arrive.
TOKEN_MARGIN_SECONDS = 60.0
#: A service that does not say how long a token lives is believed so long; a refused one is replaced anyway.
TOKEN_LIFE_SECONDS = 600.0
_EXCERPT_CHARACTERS = 200


class Gone(SourceError):
    """HTTP 410: the service no longer knows what it was asked to go on from."""

    cause = Cause.DATA


class Unsupported(SourceRejected):
    """The service says that it does not do this."""


@dataclass
class Meter:
    """What one reading cost. Counted by one thread."""

    requests: int = 0
    bytes_read: int = 0


class Session:
    def __init__(
        self,
        system: str,
        options: ODataOptions,
        *,
        clock: Clock,
        breaker: Breaker,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.system = system
        self._options = options
        self._clock = clock
        self._breaker = breaker
        self._http = Transport(
            system,
            clock=clock,
            budget=Budget(system, options.requests_per_minute, clock=clock),
            timeout_seconds=options.timeout_seconds,
            connect_timeout_seconds=options.connect_timeout_seconds,
            max_connections=options.connections + 1,
            transport=transport,
        )
        self._lock = threading.Lock()
        self._digest = ""
        self._proven = False
        self._token = ""
        self._token_until = 0.0

    def __repr__(self) -> str:
        return f"Session({self.system!r}, {self._options.url!r})"

    def url(self, path: str) -> str:
        """The address of something under the service's root, with the parameters every request carries."""
        return self.with_parameters(f"{self._options.url}/{path}")

    def with_parameters(self, url: str) -> str:
        """A link of the service may have lost the parameters every request carries."""
        asked = {pair.partition("=")[0] for pair in urlsplit(url).query.split("&")}
        missing = {name: value for name, value in self._options.parameters.items() if name not in asked}
        if not missing:
            return url
        return url + ("&" if "?" in url else "?") + urlencode(missing)

    def reach(self) -> None:
        """Any answer will do, without credentials: asked for them, the service is there."""
        self._http.get(self._options.url + "/", headers={"Accept": "application/json"})

    def get(self, url: str, *, accept: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer, with a status that means success. Raises what a source raises."""
        if not self._credentials:
            return self._checked(self._http.get(url, headers={"Accept": accept, **(headers or {})}), url)
        if self._proven:
            return self._authorized(url, accept, headers)
        with self._lock:
            self._digest = self._digest or credential_digest(
                self._secret, self.system, self._options.url, self._options.user, self._options.client_id
            )
            if not self._proven:
                self._breaker.check(self.system, self._digest)
                answer = self._authorized(url, accept, headers, locked=True)
                self._proven = True
                return answer
        return self._authorized(url, accept, headers)

    def close(self) -> None:
        self._http.close()

    @property
    def _credentials(self) -> bool:
        return bool(self._options.user or self._options.token or self._options.token_url)

    @property
    def _secret(self) -> str:
        options = self._options
        return options.password + options.token + options.client_secret

    def _authorized(self, url: str, accept: str, headers: Mapping[str, str] | None, *, locked: bool = False) -> Answer:
        all_headers = {"Accept": accept, **(headers or {})}
        authorization, renewed = self._authorization(locked=locked)
        answer = self._http.get(url, headers={**all_headers, "Authorization": authorization})
        if answer.status == httpx.codes.UNAUTHORIZED and self._options.token_url and not renewed:
            # The service may end a token before its time.
            self._token = ""
            authorization, _ = self._authorization(locked=locked)
            answer = self._http.get(url, headers={**all_headers, "Authorization": authorization})
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise self._refused(f"{self._who} at {self._options.url}")
        return self._checked(answer, url)

    @property
    def _who(self) -> str:
        options = self._options
        if options.user:
            return f"user {options.user!r} with this password"
        return f"client {options.client_id!r}" if options.token_url else "the token"

    def _authorization(self, *, locked: bool) -> tuple[str, bool]:
        """The header, and whether its token is brand-new."""
        options = self._options
        if options.user:
            pair = f"{options.user}:{str.__str__(options.password)}"
            return "Basic " + base64.b64encode(pair.encode()).decode(), True
        if options.token:
            return "Bearer " + str.__str__(options.token), True
        if locked:
            return self._bearer()
        with self._lock:
            return self._bearer()

    def _bearer(self) -> tuple[str, bool]:
        if self._token and self._clock.monotonic() < self._token_until:
            return "Bearer " + self._token, False
        options = self._options
        form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": str.__str__(options.client_secret),
        }
        if options.scope:
            form["scope"] = options.scope
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        self._breaker.check(self.system, self._digest)
        answer = self._http.post(options.token_url, urlencode(form).encode(), headers=headers)
        if answer.status in {httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise self._refused(f"client {options.client_id!r} at {options.token_url}")
        try:
            if answer.status != httpx.codes.OK:
                raise wire.NotAnAnswer(f"HTTP {answer.status}")
            self._token, lives_seconds = wire.token(answer.body)
        except wire.NotAnAnswer as error:
            raise SourceRejected(f"system {self.system!r}: {options.token_url} gave no token: {error}") from None
        self._token_until = self._clock.monotonic() + max(
            0.0, (lives_seconds or TOKEN_LIFE_SECONDS) - TOKEN_MARGIN_SECONDS
        )
        return "Bearer " + self._token, True

    def _refused(self, reason: str) -> AuthRefused:
        # It may have been right until somebody changed it over there.
        self._proven = False
        self._breaker.refused(self.system, self._digest, reason)
        return AuthRefused(
            f"system {self.system!r} refused {reason}; check the user, password or token in the chain directory: "
            "they are not tried again until they change"
        )

    def _checked(self, answer: Answer, url: str) -> Answer:
        status = answer.status
        if httpx.codes.is_success(status):
            return answer
        place = f"system {self.system!r} at {url.partition('?')[0]}"
        words = wire.error_words(answer.body) or _excerpt(answer)
        if status == httpx.codes.UNAUTHORIZED:
            refusal: SourceError = AuthRefused(f"{place} asks for credentials; give user and password, or a token")
        elif status == httpx.codes.FORBIDDEN:
            refusal = SourceError(f"{place}: not allowed ({words}); give {self._who} the rights to read it")
            refusal.cause = Cause.AUTHZ
        elif status == httpx.codes.NOT_FOUND:
            refusal = SchemaMismatch(f"{place} is not there ({words}); check 'url' and 'set'")
        elif status == httpx.codes.GONE:
            refusal = Gone(f"{place}: {words}")
        elif status in {httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_ACCEPTABLE, httpx.codes.NOT_IMPLEMENTED}:
            refusal = Unsupported(f"{place}: HTTP {status} ({words})")
        elif httpx.codes.is_redirect(status):
            refusal = SourceRejected(
                f"{place} sends us elsewhere (HTTP {status}), perhaps to a login page; check 'url'"
            )
        else:
            refusal = SourceRejected(f"{place}: HTTP {status} ({words})")
        raise refusal


def _excerpt(answer: Answer) -> str:
    text = " ".join(answer.body[:2000].decode("utf-8", "replace").split())[:_EXCERPT_CHARACTERS]
    return text or "no explanation"
