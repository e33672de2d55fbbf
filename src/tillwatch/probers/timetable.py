"""Which probes are due. Holds the slot each probe ran last; the decisions are `schedule.next_due`'s."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tillwatch.schedule import Interval, next_due

#: When nothing is planned, look again after this long.
IDLE_SECONDS = 60.0


class Timetable:
    """Not thread safe: belongs to one loop."""

    def __init__(self, every: Mapping[str, timedelta], *, last: Mapping[str, datetime], now: datetime) -> None:
        """`last` is when each probe ran before this process started; one that never ran waits for its first slot."""
        self._intervals = {key: Interval(every=interval) for key, interval in every.items()}
        self._last = {key: last.get(key, now) for key in every}
        self._next: dict[str, datetime] = {}
        self._looked_at = now
        self._plan(now)

    def _plan(self, now: datetime) -> None:
        for key in self._intervals:
            self._next[key] = self._due(key, now)

    def _due(self, key: str, now: datetime) -> datetime:
        due = next_due(self._intervals[key], key, self._last[key], now)
        return now if due.run else due.at

    def due(self, now: datetime) -> list[tuple[str, datetime]]:
        """(key, slot) of everything to start now, longest due first. What is returned counts as run.

        A wall clock that went back makes the plan worthless: it is made anew, and what ran "in the future" runs again.
        """
        if now < self._looked_at:
            self._plan(now)
        self._looked_at = now
        found: list[tuple[str, datetime]] = []
        for key, at in self._next.items():
            if at > now:
                continue
            decision = next_due(self._intervals[key], key, self._last[key], now)
            if decision.run:
                self._last[key] = decision.at
                found.append((key, decision.at))
        for key, _ in found:
            self._next[key] = self._due(key, now)
        return sorted(found, key=lambda item: item[1])

    def seconds_until_next(self, now: datetime) -> float:
        """Seconds until something is due, at least 0."""
        soonest = min(self._next.values(), default=now + timedelta(seconds=IDLE_SECONDS))
        return max(0.0, (soonest - now).total_seconds())
