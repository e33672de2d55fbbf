"""What is known of a channel beside its options: how much it may send, and whether it works."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A token bucket: up to `burst` messages at once, refilled at `per_minute`."""

    burst: int
    per_minute: float

    @classmethod
    def within(cls, limit_per_minute: int) -> "Allowance":
        """Never more than the limit in any minute, wherever the minute begins: half of it at once, half refilled."""
        return cls(burst=max(1, limit_per_minute // 2), per_minute=max(0.5, limit_per_minute / 2))


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One channel's bucket, pause and circuit breaker, and what its service answered last. Shared by all processes."""

    channel: str
    #: What was left in the bucket at `counted_at`; a bucket that was never used is full.
    tokens: float = 0.0
    counted_at: datetime | None = None
    #: The service asked to be left alone until then.
    paused_until: datetime | None = None
    #: Refusals and timeouts in a row.
    failures: int = 0
    #: Since when nothing is sent but probes; None while the channel works.
    opened_at: datetime | None = None
    #: When the next message may try whether the channel works again.
    probe_at: datetime | None = None
    last_at: datetime | None = None
    last_result: str = ""
    last_code: str = ""
    last_detail: str = ""
    last_seconds: float = 0.0
    last_success_at: datetime | None = None
