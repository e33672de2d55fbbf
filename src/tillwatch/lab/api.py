"""The server's public HTTP API as the story driver uses it: patient while the server restarts, never for ever."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceRejected, SourceUnavailable

TIMEOUT_SECONDS = 60.0
#: How long the server may be gone, for example while it is killed and started again.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.25

_T = TypeVar("_T")


class Api:
    """Raises SourceRejected for an answer that says no (4xx), SourceUnavailable when there is none for too long."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        self.url = url
        self._clock = clock
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return self._patiently(path, lambda: self._http.get(path)).json()

    def page(self, path: str) -> str:
        """The text of a page for people."""
        return self._patiently(path, lambda: self._http.get(path, headers={"Accept": "text/html"})).text

    def post(self, path: str, body: Mapping[str, object], *, repeat: bool = False) -> Any:
        """POST once. `repeat` allows sending again when the connection broke, for requests where twice is once."""
        send = lambda: self._http.post(path, json=dict(body))  # noqa: E731 - two uses of one request
        response = self._patiently(path, send) if repeat else self._checked(path, self._once(path, send))
        return response.json()

    def until(
        self, what: str, look: Callable[[], _T | None], *, seconds: float, every_seconds: float = POLL_SECONDS
    ) -> _T:
        """Poll `look` until it gives something. Raises SourceUnavailable naming `what` when `seconds` have passed."""
        deadline = self._clock.monotonic() + seconds
        while True:
            if (found := look()) is not None:
                return found
            if self._clock.monotonic() > deadline:
                raise SourceUnavailable(f"waited {seconds:.0f} s in vain for {what}", cause=Cause.TIMEOUT)
            self._clock.sleep(every_seconds)

    def _patiently(self, path: str, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send again while the server is away or says 503."""
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self._once(path, send)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or self._clock.monotonic() > deadline:
                    return self._checked(path, response)
            except SourceUnavailable:
                if self._clock.monotonic() > deadline:
                    raise
            self._clock.sleep(POLL_SECONDS)

    def _once(self, path: str, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return send()
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{self.url}{path}: {error}", cause=Cause.TCP) from error

    def _checked(self, path: str, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        message = f"{path}: HTTP {response.status_code}: {response.text[:500]}"
        if response.is_client_error:
            raise SourceRejected(message)
        raise SourceUnavailable(message, cause=Cause.APPLICATION)
