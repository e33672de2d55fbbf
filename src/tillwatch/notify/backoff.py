"""How long to wait before the next try."""

from datetime import timedelta

FIRST_SECONDS = 5.0
#: A channel that was down for an hour is told within five minutes of its return.
MAX_SECONDS = 300.0
_DOUBLINGS_MAX = 16


def backoff(attempt: int, jitter: float) -> timedelta:
    """Before try `attempt` + 1: 5 s, 10 s, 20 s … 300 s, of which the upper half is spread by `jitter` in [0, 1)."""
    ceiling = min(MAX_SECONDS, FIRST_SECONDS * 2 ** min(max(attempt - 1, 0), _DOUBLINGS_MAX))
    return timedelta(seconds=ceiling / 2 + ceiling / 2 * jitter)
