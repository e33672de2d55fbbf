"""One call of one action under a limit: every call ends, and what it ended as is never guessed."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tillwatch.clock import Clock
from tillwatch.errors import ActionError
from tillwatch.runbook.actions.base import Stopped

#: After its time is up an action gets this long to notice before it is left behind.
GRACE_SECONDS = 5.0
#: How often the waiting side looks at the clock.
_LOOK_SECONDS = 0.02

T = TypeVar("T")


class TimedOut(ActionError):
    """The time was up and the action ended. What it did by then is not known."""


class LeftBehind(ActionError):
    """The time was up and the action is still running; it may act at any moment from now on."""


@dataclass(kw_only=True)
class _Box(Generic[T]):
    value: T | None = None
    error: BaseException | None = None


def call(work: Callable[[], T], *, timeout_seconds: float, clock: Clock, expire: Callable[[], None]) -> T:
    """Run `work` on its own thread for at most `timeout_seconds`, then `expire()` it and wait the grace.

    Raises what `work` raises, TimedOut, or LeftBehind when it does not end.
    """
    box: _Box[T] = _Box()
    ended = threading.Event()

    def run() -> None:
        try:
            box.value = work()
        except BaseException as error:
            box.error = error
        finally:
            ended.set()

    # A thread of its own and not of a pool: one that is left behind must not keep the next step waiting.
    threading.Thread(target=run, name="runbook-action", daemon=True).start()
    until = clock.monotonic() + timeout_seconds
    expired = False
    while not ended.wait(_LOOK_SECONDS):
        if clock.monotonic() >= until:
            expire()
            expired = True
            if not ended.wait(GRACE_SECONDS):
                raise LeftBehind(f"still running {GRACE_SECONDS:.0f}s after its {timeout_seconds:g}s were up")
            # It may have ended well in the grace; that is as good as in time.
            break
    if box.error is not None:
        if expired and isinstance(box.error, Stopped):
            raise TimedOut(f"timed out after {timeout_seconds:g}s: {box.error}", retryable=True) from box.error
        raise box.error
    return box.value  # type: ignore[return-value]
