"""One logged-in session with one Tryton, shared by everything that talks to it: probes, audits and repairs.

1. The budget is asked before every request, the breaker before every login.
2. A refused login is one login: the breaker opens and nobody tries these credentials again.
3. A session that ended (401) is replaced once a call; a call that was refused with 401 was not executed.
4. Reads are tried again a bounded number of times; what writes is sent once.
"""

import base64
import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tillwatch.clock import Clock
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected, SourceUnavailable
from tillwatch.sources.base import Breaker, credential_digest
from tillwatch.sources.budget import Budget, NotAgain, retrying
from tillwatch.sources.http import Answer, AnswerLost, Transport
from tillwatch.sources.tryton import wire
from tillwatch.sources.tryton.options import TrytonOptions

#: Paths under which the RPC of a database is found: since 7.8, and before.
_PATHS = ("/{database}/rpc/", "/{database}/")


@dataclass
class Meter:
    """What one reading cost."""

    requests: int = 0
    bytes_read: int = 0


class _SessionEnded(Exception):
    """HTTP 401: the request was not executed, because its session is unknown."""


class Session:
    """Safe for several threads."""

    def __init__(
        self,
        system: str,
        options: TrytonOptions,
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
            transport=transport,
        )
        self._login_lock = threading.Lock()
        self._authorization = ""
        self._context: Mapping[str, Any] = {}
        self._path = ""
        self._digest = ""

    def __repr__(self) -> str:
        return f"Session({self.system!r}, {self._options.url!r}, {self._options.database!r})"

    def version(self) -> str:
        """The server's series, without logging in."""
        method = "common.server.version"
        answer = self._http.post(f"{self._options.url}/rpc/", wire.encoded(method, []))
        return str(wire.result_of(self._decoded(answer, method), system=self.system, method=method))

    def login(self) -> None:
        """Log in unless we are. Raises AuthRefused, after exactly one try with these credentials ever."""
        self._authorized()

    def read(
        self,
        model: str,
        method: str,
        *arguments: object,
        context: Mapping[str, object] | None = None,
        meter: Meter | None = None,
    ) -> Any:
        """An idempotent call: tried again when the system is not available."""
        return retrying(lambda: self.call(model, method, *arguments, context=context, meter=meter), clock=self._clock)

    def call(
        self,
        model: str,
        method: str,
        *arguments: object,
        context: Mapping[str, object] | None = None,
        meter: Meter | None = None,
    ) -> Any:
        """One call, executed once at most. Raises AnswerLost when nobody can tell whether it was."""
        name = f"model.{model}.{method}"
        for _ in range(2):
            authorization = self._authorized()
            parameters = [*arguments, {**self._context, **(context or {})}]
            try:
                return self._post(name, parameters, authorization, meter)
            except _SessionEnded:
                self._forget(authorization)
        raise _session_refused(self.system, name)

    def company(self) -> int | None:
        self._authorized()
        return self._context.get("company")

    def close(self) -> None:
        """Log off, so that sessions never pile up at the ERP, and close the connections."""
        authorization, self._authorization = self._authorization, ""
        if authorization:
            # A server that is gone has no session of ours either; it ends by its own timeout.
            with contextlib.suppress(SourceUnavailable, SourceError, _SessionEnded):
                self._post("common.db.logout", [], authorization)
        self._http.close()

    def _authorized(self) -> str:
        """The session header, after a login when there is none. One thread logs in, the others wait for its result."""
        with self._login_lock:
            if not self._authorization:
                self._log_in()
            return self._authorization

    def _forget(self, authorization: str) -> None:
        with self._login_lock:
            if self._authorization == authorization:
                self._authorization = ""

    def _log_in(self) -> None:
        options = self._options
        self._digest = self._digest or credential_digest(
            options.password, self.system, options.url, options.database, options.user
        )
        self._breaker.check(self.system, self._digest)
        parameters = [options.user, {"password": str.__str__(options.password)}, "en"]
        try:
            uid, token, *_ = self._post("common.db.login", parameters, "")
        except (_SessionEnded, AuthRefused):
            reason = f"user {options.user!r} at {options.url}, database {options.database!r}"
            self._breaker.refused(self.system, self._digest, reason)
            raise AuthRefused(
                f"system {self.system!r} refused {reason}; check user and password in the chain directory: "
                "they are not tried again until they change"
            ) from None
        except SourceUnavailable as error:
            raise _not_again(error) from None
        authorization = "Session " + base64.b64encode(f"{options.user}:{uid}:{token}".encode()).decode()
        method = "model.res.user.get_preferences"
        try:
            self._context = self._post(method, [True, {}], authorization)
        except _SessionEnded:
            raise _session_refused(self.system, method) from None
        self._authorization = authorization

    def _post(self, method: str, parameters: Sequence[object], authorization: str, meter: Meter | None = None) -> Any:
        """The result. Raises _SessionEnded for 401. The first call finds out under which path this version answers."""
        body = wire.encoded(method, parameters)
        headers = {"Authorization": authorization} if authorization else {}
        for path in [self._path] if self._path else list(_PATHS):
            url = self._options.url + path.format(database=self._options.database)
            answer = self._http.post(url, body, headers=headers)
            if meter is not None:
                meter.requests += 1
                meter.bytes_read += len(answer.body)
            if answer.status in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
                continue
            if answer.status == httpx.codes.UNAUTHORIZED:
                raise _SessionEnded
            if answer.status == httpx.codes.FORBIDDEN:
                raise _forbidden(self.system, method, self._options.user)
            self._path = path
            return wire.result_of(self._decoded(answer, method), system=self.system, method=method)
        raise SchemaMismatch(
            f"system {self.system!r}: {self._options.url} has no database {self._options.database!r} that answers "
            "JSON-RPC; check 'url' and 'database'"
        )

    def _decoded(self, answer: Answer, method: str) -> Any:
        if answer.status != httpx.codes.OK:
            raise SourceRejected(
                f"system {self.system!r}, {method}: HTTP {answer.status}; is {self._options.url} Tryton?"
            )
        try:
            return wire.decoded(answer.body)
        except (ValueError, KeyError, ArithmeticError):
            raise SourceRejected(
                f"system {self.system!r}, {method}: the answer is not JSON; is {self._options.url} Tryton?"
            ) from None


def _session_refused(system: str, method: str) -> SourceError:
    refusal = SourceError(
        f"system {system!r}, {method}: a session opened a moment ago is refused; "
        "look for a proxy that mixes up servers or a clock that jumped"
    )
    refusal.cause = Cause.SESSION
    return refusal


def _forbidden(system: str, method: str, user: str) -> SourceError:
    refusal = SourceError(f"system {system!r}, {method}: not allowed for user {user!r}; give it the groups it needs")
    refusal.cause = Cause.AUTHZ
    return refusal


def _not_again(error: SourceUnavailable) -> SourceUnavailable:
    """A login that reached the server counts there; only one that never left may be tried again."""
    if not isinstance(error, AnswerLost) and error.cause is not Cause.THROTTLE:
        return error
    return NotAgain(str(error), cause=error.cause, retry_after_seconds=error.retry_after_seconds)
