"""The lab's own little client for Tryton's JSON-RPC.

It shares nothing with the product's source on purpose: what builds and moves the lab's data must not share a mistake
with what audits it.
"""

import base64
import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx

from tillwatch.errors import AuthRefused, Cause, SourceRejected, SourceUnavailable

#: Building documents in a cold server on a busy machine; an answer later than this means it hangs.
TIMEOUT_SECONDS = 60.0

_LOGIN = "common.db.login"
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_TOO_MANY_REQUESTS = 429


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime"} | {name: getattr(value, name) for name in names}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    raise TypeError(f"{type(value).__name__} has no spelling in Tryton's JSON")


def _decode(document: dict[str, Any]) -> object:
    match document.get("__class__"):
        case "Decimal":
            return Decimal(document["decimal"])
        case "date":
            return date(document["year"], document["month"], document["day"])
        case _:
            # Datetimes stay documents: the lab never needs one back.
            return document


class TrytonRpc:
    """One session of one user on one database. Not for several threads at once.

    Raises SourceUnavailable when the server cannot be reached or is busy, AuthRefused for a refused login,
    SourceRejected with the server's own words for everything the server declines.
    """

    def __init__(self, url: str, database: str) -> None:
        self._endpoint = f"{url.rstrip('/')}/{database}/rpc/"
        # A proxy meant for the outside must not see loopback calls.
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._authorization = ""
        self._context: Mapping[str, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def logged_in(self) -> bool:
        return bool(self._authorization)

    def close(self) -> None:
        """Log off when a session is open, so that sessions never pile up, then drop the connection."""
        if self._authorization:
            # A session ends by itself too; a server that is gone has none to close.
            with contextlib.suppress(SourceUnavailable, AuthRefused, SourceRejected):
                self._post("common.db.logout", [])
        self._authorization = ""
        self._http.close()

    def login(self, user: str, password: str) -> None:
        uid, token, *_ = self._post(_LOGIN, [user, {"password": password}, "en"])
        self._authorization = "Session " + base64.b64encode(f"{user}:{uid}:{token}".encode()).decode()
        self.refresh_context()

    def refresh_context(self) -> None:
        """Read the user's preferences again: without the company in the context Tryton's defaults are wrong."""
        self._context = self._post("model.res.user.get_preferences", [True, {}])

    def call(self, model: str, method: str, *arguments: object, context: Mapping[str, object] | None = None) -> Any:
        """Call `model.<model>.<method>` with the user's context, widened by `context`."""
        return self._post(f"model.{model}.{method}", [*arguments, dict(self._context) | dict(context or {})])

    def create(self, model: str, rows: Sequence[Mapping[str, object]]) -> list[int]:
        identifiers: list[int] = self.call(model, "create", list(rows))
        return identifiers

    def search(self, model: str, domain: Sequence[object], *, limit: int | None = None) -> list[int]:
        identifiers: list[int] = self.call(model, "search", list(domain), 0, limit, None)
        return identifiers

    def search_read(
        self,
        model: str,
        domain: Sequence[object],
        fields: Sequence[str],
        *,
        context: Mapping[str, object] | None = None,
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call(
            model, "search_read", list(domain), 0, None, [["id", "ASC"]], list(fields), context=context
        )
        return rows

    def _post(self, method: str, parameters: Sequence[object]) -> Any:
        body = json.dumps({"id": 0, "method": method, "params": list(parameters)}, default=_encode)
        headers = {"Content-Type": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        try:
            response = self._http.post(self._endpoint, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise SourceUnavailable(f"{method}: no answer in {TIMEOUT_SECONDS:.0f} s", cause=Cause.TIMEOUT) from error
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{method}: {self._endpoint}: {error}", cause=Cause.TCP) from error
        if response.status_code == _UNAUTHORIZED:
            self._authorization = ""
            if method == _LOGIN:
                raise AuthRefused(f"{method}: the ERP refused user or password (HTTP {response.status_code})")
            raise SourceUnavailable(f"{method}: the session has ended, log in again", cause=Cause.SESSION)
        if response.status_code == _FORBIDDEN:
            raise SourceRejected(f"{method}: not open to RPC, or not to this user")
        if response.status_code == _TOO_MANY_REQUESTS:
            raise SourceUnavailable(f"{method}: the ERP throttles logins", cause=Cause.THROTTLE)
        if response.status_code != httpx.codes.OK:
            raise SourceUnavailable(f"{method}: HTTP {response.status_code}", cause=Cause.APPLICATION)
        answer = json.loads(response.content, object_hook=_decode, parse_float=Decimal)
        if "error" in answer:
            # Tryton answers 200 with an error inside; success is judged by the body only.
            raise SourceRejected(f"{method}: {_words(answer['error'])}")
        return answer["result"]


def _words(error: object) -> str:
    """The server's error without its traceback, at most 500 characters."""
    parts = [str(part) for part in error] if isinstance(error, list) else [str(error)]
    return " ".join(part for part in parts if "Traceback" not in part)[:500]
