"""How much a channel may send now, and what its answers make of that: (state, now) → state. Pure.

    closed ──FAILURES_TO_OPEN refusals or timeouts in a row──► open ──PROBE_EVERY──► half open: one message
      ▲                                                          ▲                        │
      └──────────────────────── it arrived ──────────────────────┼────────────────────────┤
                                                                 └──── it did not ────────┘

A service that says "too many messages" works: that is a pause, not a failure.
"""

import enum
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tillwatch.errors import DeliveryError
from tillwatch.model.channel import Allowance, Gate
from tillwatch.model.notice import Attempt
from tillwatch.notify.base import Delivery, Result

FAILURES_TO_OPEN = 3
#: A channel that works again is noticed within this time, and the time its answer takes.
PROBE_EVERY = timedelta(seconds=8)
#: After a refusal a person has to put something right; trying often would use up messages and lock accounts.
PROBE_AFTER_REFUSAL = timedelta(minutes=1)
#: "Too many" without a time: as long as a bucket of a robot takes for one message.
PAUSE_UNTOLD = timedelta(seconds=6)
#: So that senders do not all return in the same moment.
SPREAD = timedelta(seconds=2)
#: Longer waits come from a clock that went back, not from a service.
LONGEST_WAIT = timedelta(hours=1)
#: For channels without a bucket.
UNLIMITED = 1_000_000
TOO_MANY = "429"


class Standing(enum.StrEnum):
    """What a channel is doing, in one word."""

    CLOSED = "closed"
    #: It asked for a pause.
    PAUSED = "paused"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Verdict(enum.StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"
    #: The service works and wants less.
    TOO_MANY = "too_many"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one exchange says about its channel."""

    verdict: Verdict
    pause: timedelta = timedelta(0)
    #: The service answered and said no, to this message and perhaps to all.
    refused: bool = False


def heard(outcome: Delivery | DeliveryError) -> Heard:
    """A delivery of any result, or the certainty that nothing arrived."""
    if isinstance(outcome, Delivery):
        good = outcome.result is Result.DELIVERED
        refused = outcome.result is Result.REJECTED
        return Heard(verdict=Verdict.DELIVERED if good else Verdict.FAILED, refused=refused)
    if outcome.retry_after_seconds is not None:
        return Heard(verdict=Verdict.TOO_MANY, pause=timedelta(seconds=outcome.retry_after_seconds))
    if outcome.code == TOO_MANY:
        return Heard(verdict=Verdict.TOO_MANY, pause=PAUSE_UNTOLD)
    return Heard(verdict=Verdict.FAILED, refused=not outcome.retryable)


def pause_of(outcome: DeliveryError, jitter: float) -> timedelta | None:
    """How long a message waits that was refused because there were too many; None for any other failure.

    The channel paces its messages, so such a message does not wait the longer, the more often it was refused.
    """
    news = heard(outcome)
    return news.pause + SPREAD * jitter if news.verdict is Verdict.TOO_MANY else None


def standing(gate: Gate, now: datetime) -> Standing:
    if _is_paused(gate, now):
        return Standing.PAUSED
    if gate.opened_at is None:
        return Standing.CLOSED
    # A probe further away than one was ever set was set before the clock went back.
    is_later = gate.probe_at is not None and now < gate.probe_at <= now + PROBE_AFTER_REFUSAL
    return Standing.OPEN if is_later else Standing.HALF_OPEN


def _is_paused(gate: Gate, now: datetime) -> bool:
    """The pause was asked for at or before the last answer; with that in the future, the clock has gone back since."""
    if gate.paused_until is None or (gate.last_at is not None and now < gate.last_at):
        return False
    return now < gate.paused_until <= now + LONGEST_WAIT


def tokens(gate: Gate, allowance: Allowance, now: datetime) -> float:
    """What is in the bucket now."""
    if gate.counted_at is None:
        return float(allowance.burst)
    # A clock that went back refills nothing, and takes nothing.
    passed = max(0.0, (now - gate.counted_at).total_seconds())
    return min(float(allowance.burst), gate.tokens + passed * allowance.per_minute / 60)


def room(gate: Gate, allowance: Allowance | None, now: datetime) -> int:
    """How many messages may leave now."""
    match standing(gate, now):
        case Standing.PAUSED | Standing.OPEN:
            return 0
        case Standing.HALF_OPEN:
            return 1 if allowance is None else min(1, _whole(tokens(gate, allowance, now)))
        case Standing.CLOSED:
            return UNLIMITED if allowance is None else _whole(tokens(gate, allowance, now))


def spent(gate: Gate, allowance: Allowance | None, count: int, now: datetime) -> Gate:
    """`count` messages leave now. While it is half open, nobody else tries until the answer is there."""
    if gate.opened_at is not None:
        gate = replace(gate, probe_at=now + PROBE_EVERY)
    if allowance is None:
        return gate
    return replace(gate, tokens=max(0.0, tokens(gate, allowance, now) - count), counted_at=now)


def after(gate: Gate, news: Heard, now: datetime) -> Gate:
    """What an answer makes of a channel."""
    match news.verdict:
        case Verdict.DELIVERED:
            return replace(gate, failures=0, opened_at=None, probe_at=None, paused_until=None, last_success_at=now)
        case Verdict.TOO_MANY:
            until = now + min(news.pause, LONGEST_WAIT)
            if gate.paused_until is not None and _is_paused(gate, now):
                until = max(until, gate.paused_until)
            return replace(gate, failures=0, opened_at=None, probe_at=None, paused_until=until)
        case Verdict.FAILED:
            gate = replace(gate, failures=gate.failures + 1, paused_until=None)
            if gate.failures < FAILURES_TO_OPEN and gate.opened_at is None:
                return gate
            wait = PROBE_AFTER_REFUSAL if news.refused else PROBE_EVERY
            return replace(gate, opened_at=gate.opened_at or now, probe_at=now + wait)


def remembered(gate: Gate, attempt: Attempt) -> Gate:
    """With the answer as people may read it."""
    return replace(
        gate,
        last_at=attempt.at,
        last_result=attempt.result,
        last_code=attempt.code,
        last_detail=attempt.detail,
        last_seconds=attempt.seconds,
    )


def _whole(count: float) -> int:
    # 2.9999999 after three thirds of a minute is three.
    return math.floor(count + 1e-6)
