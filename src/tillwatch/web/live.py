"""Live pages: one watcher a process looks for changes and tells every open page that there is something new.

A page that is told fetches itself again; what is shown is always rendered by the server. Nothing is looked up while no
page is open, and a page that cannot be told says so.
"""

from collections.abc import AsyncIterator

import anyio
from anyio import to_thread

from tillwatch.clock import Clock
from tillwatch.errors import TillwatchError
from tillwatch.web.services import Records

#: How soon a change is on every screen.
LOOK_EVERY_SECONDS = 1.0
#: Proxies cut silent connections; and the page knows from it that the stream lives.
PING_EVERY_LOOKS = 10
#: A browser opens six connections a host; many tabs on many screens stay far below.
MAX_LISTENERS = 500
#: Browsers wait this long before they reconnect.
RETRY_MILLISECONDS = 2000


class Pulse:
    """The change number, and whoever waits for it to move."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._listeners = 0
        self._closed = False
        self._looking = anyio.Lock()
        self._looked_at: float | None = None
        self._revision: str | None = None

    @property
    def full(self) -> bool:
        return self._listeners >= MAX_LISTENERS

    def close(self) -> None:
        """Let every open stream end, so that a server can stop."""
        self._closed = True

    async def events(self, known: str | None) -> AsyncIterator[bytes]:
        """Server-sent events: `changed` with the revision as its id, `trouble` while the store is gone, else pings."""
        self._listeners += 1
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            looks = 0
            ailing = False
            while not self._closed:
                revision = await self._look()
                if revision is None:
                    yield b"event: trouble\ndata: store\n\n"
                elif revision != known:
                    # A page that has just connected shows this revision already, unless it says it knew an older one.
                    kind = "hello" if known is None else "changed"
                    yield f"id: {revision}\nevent: {kind}\ndata: {revision}\n\n".encode()
                elif ailing or looks % PING_EVERY_LOOKS == 0:
                    yield b"event: ping\ndata: -\n\n"
                ailing = revision is None
                known = revision or known
                looks += 1
                await self._clock.wait(LOOK_EVERY_SECONDS)
        finally:
            self._listeners -= 1

    async def _look(self) -> str | None:
        """The current revision, asked of the store once a second however many pages are open; None without a store."""
        async with self._looking:
            now = self._clock.monotonic()
            if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_SECONDS / 2:
                try:
                    self._revision = await to_thread.run_sync(self._records.revision)
                except TillwatchError:
                    self._revision = None
                self._looked_at = self._clock.monotonic()
            return self._revision
