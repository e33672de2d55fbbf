"""How many requests a service may have under way for us: one more after each success, half when it complains. Pure.

It starts with one. Every success adds one, until the service first complains; from then on a whole round of successes
does. A complaint is a throttled or failed request, or answers that take much longer than they did. What was asked
before the last halving says nothing about the time after it.
"""

from dataclasses import dataclass, replace

#: A round that takes this many times as long as the quickest one is a complaint…
LATENCY_GROWTH = 2.0
#: …when it is also this much longer: below, it is noise.
LATENCY_FLOOR_SECONDS = 0.05
#: Wait before a request is sent again that was refused without saying for how long; doubled each time.
BACKOFF_SECONDS = 0.2
#: A request is given up after so many tries in a row.
MAX_TRIES = 6


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Immutable; each event gives the next one. `now` is monotonic."""

    ceiling: int
    limit: int = 1
    #: The service has complained before.
    complained: bool = False
    #: Successes of this round and the seconds they took together.
    done: int = 0
    seconds: float = 0.0
    #: Mean of the quickest round.
    quickest: float | None = None
    halved_at: float = float("-inf")
    #: Why the limit is what it is.
    reason: str = "begins with one request at a time"

    def succeeded(self, *, began: float, now: float) -> "Pace":
        """A request that began at `began` was answered."""
        if began < self.halved_at:
            return self
        seen = replace(self, done=self.done + 1, seconds=self.seconds + (now - began))
        if not self.complained and seen.limit < self.ceiling:
            seen = replace(seen, limit=seen.limit + 1, reason="every answer came in good time")
        return seen if seen.done < seen.limit else seen._round(now)

    def complaint(self, *, began: float, now: float, why: str) -> "Pace":
        """A request that began at `began` was throttled, or failed."""
        return self if began < self.halved_at else self._halved(now, why)

    def carried(self) -> "Pace":
        """For requests of another kind at the same service: how many it takes is known, how long they take is not."""
        return Pace(ceiling=self.ceiling, limit=self.limit, complained=self.complained, reason=self.reason)

    def _round(self, now: float) -> "Pace":
        mean = self.seconds / self.done
        quickest = mean if self.quickest is None else min(self.quickest, mean)
        if mean > LATENCY_GROWTH * quickest and mean - quickest > LATENCY_FLOOR_SECONDS:
            return self._halved(now, f"answers took {mean:.2f} s instead of {quickest:.2f} s")
        limit, reason = self.limit, self.reason
        if self.complained and limit < self.ceiling:
            limit, reason = limit + 1, "a round of answers came in good time"
        return replace(self, limit=limit, reason=reason, done=0, seconds=0.0, quickest=quickest)

    def _halved(self, now: float, why: str) -> "Pace":
        return replace(
            self,
            limit=max(1, self.limit // 2),
            complained=True,
            done=0,
            seconds=0.0,
            halved_at=now,
            reason=why,
        )


def backoff(tries: int, asked_seconds: float | None) -> float:
    """Seconds before the next try: what the service asks for, else longer each time."""
    return asked_seconds if asked_seconds is not None else BACKOFF_SECONDS * 2 ** (tries - 1)
