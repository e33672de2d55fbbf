"""How often and how stubbornly we may ask a business system: a request budget, and bounded retries of reads."""

import threading
from collections.abc import Callable
from typing import TypeVar

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceUnavailable

#: A caller that would wait longer for its turn is told so instead: a probe with a timeout must not hang in our queue.
MAX_WAIT_SECONDS = 30.0
#: Waits before the second and third try of a read. Two retries bridge a restart of a proxy, not an outage.
RETRY_WAITS_SECONDS = (0.2, 1.0)
#: A longer pause than this is kept by the next run of whoever asks, not by a sleeping thread.
MAX_RETRY_AFTER_SECONDS = 30.0
_MINUTE_SECONDS = 60.0

T = TypeVar("T")


class NotAgain(SourceUnavailable):
    """Not available, and trying again by ourselves would do harm: a login may lock the account it tries."""


class Budget:
    """At most `requests_per_minute` in any 60 seconds, shared by everybody who talks to one system.

    A quarter of the budget may come at once; the rest is spread evenly, so an audit cannot starve a probe for a minute.
    A pause the system asked for (`hold`) stops everybody.
    """

    def __init__(self, system: str, requests_per_minute: int, *, clock: Clock) -> None:
        burst = max(1, requests_per_minute // 4)
        self._system = system
        self._limit = requests_per_minute
        self._clock = clock
        #: Seconds a request costs; `burst` of them fit at once, so any window holds burst + (limit - burst).
        self._cost_seconds = _MINUTE_SECONDS / max(1, requests_per_minute - burst)
        self._allowance_seconds = self._cost_seconds * (burst - 1)
        self._lock = threading.Lock()
        #: Monotonic second at which the spread-out schedule would next be due.
        self._due = clock.monotonic()
        self._held_until = self._due

    def take(self) -> None:
        """Wait for a turn. Raises SourceUnavailable(throttle) at once when the turn is too far away."""
        with self._lock:
            now = self._clock.monotonic()
            due = max(self._due, now)
            start = max(now, due - self._allowance_seconds, self._held_until)
            wait_seconds = start - now
            if wait_seconds > MAX_WAIT_SECONDS:
                raise SourceUnavailable(
                    f"system {self._system!r}: the next request is due in {wait_seconds:.0f} s (budget "
                    f"{self._limit} a minute, or a pause the system asked for); raise requests_per_minute or ask later",
                    cause=Cause.THROTTLE,
                    retry_after_seconds=wait_seconds,
                )
            self._due = max(due, start) + self._cost_seconds
        if wait_seconds > 0:
            self._clock.sleep(wait_seconds)

    def hold(self, seconds: float) -> None:
        """The system asked everybody to pause for `seconds`."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)


def retrying(call: Callable[[], T], *, clock: Clock) -> T:
    """Run an idempotent read, again after a pause when the system is not available; the last error is the one raised.

    A pause the system names is honoured exactly; one longer than MAX_RETRY_AFTER_SECONDS is not waited for.
    """
    for wait_seconds in RETRY_WAITS_SECONDS:
        try:
            return call()
        except NotAgain:
            raise
        except SourceUnavailable as error:
            pause_seconds = wait_seconds if error.retry_after_seconds is None else error.retry_after_seconds
            if pause_seconds > MAX_RETRY_AFTER_SECONDS:
                raise
            clock.sleep(pause_seconds)
    return call()
