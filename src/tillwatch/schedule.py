"""When something is due: intervals spread by hash, cron expressions in the chain's zone, and what to do after a gap."""

import enum
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tillwatch.errors import UsageError

#: Shorter intervals would make the monitor itself the load.
MIN_INTERVAL = timedelta(seconds=1)
MAX_INTERVAL = timedelta(days=7)

#: How far ahead an allowed slot is looked for, and what stands for "not within that".
HORIZON = timedelta(days=400)
NEVER = timedelta(days=3650)
#: An allowed slot is still answered so late when the calendar has closed in between: a worker was busy.
GRACE = timedelta(minutes=1)

# Slots are computed in whole microseconds: floats drift, and a slot that moves by one is run twice.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdw])", re.ASCII)
_MAX_DURATION_CHARACTERS = 32


def parse_duration(text: str) -> timedelta:
    """Prometheus' spelling: `90s`, `1m30s`, `4h`. Raises UsageError."""
    if len(text) > _MAX_DURATION_CHARACTERS or not _DURATION.fullmatch(text):
        raise UsageError(f"'{text[:_MAX_DURATION_CHARACTERS]}' is not a duration; write for example 30s, 5m or 1h30m")
    seconds = sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise UsageError(f"'{text}' is too long a duration") from error


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Every `every`, at an offset that spreads the keys evenly over the interval."""

    every: timedelta

    def first_after(self, after: datetime, key: str) -> datetime:
        """The first slot strictly after `after`."""
        offset = timedelta(microseconds=int(spread(key) * (self.every // _MICROSECOND)))
        slot = (after - _EPOCH - offset) // self.every + 1
        return _EPOCH + offset + slot * self.every


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A five-field cron expression in a zone; daylight saving follows Debian cron, as cronsim does."""

    expression: str
    zone: ZoneInfo

    def first_after(self, after: datetime, key: str) -> datetime:  # noqa: ARG002 - cron names its own instant
        """The first matching minute strictly after `after`, in UTC."""
        return next(CronSim(self.expression, after.astimezone(self.zone))).astimezone(UTC)

    def last_until(self, instant: datetime) -> datetime:
        """The last matching minute at or before `instant`, in UTC."""
        # The search goes back from what it is given and leaves that out.
        beyond = instant.astimezone(self.zone).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return next(CronSim(self.expression, beyond, reverse=True)).astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Sieved:
    """The slots of another schedule that a calendar allows."""

    inner: Interval | Cron
    allows: Callable[[datetime], bool]
    #: The first instant after a given one at which `allows` may change its mind; none is skipped.
    next_change: Callable[[datetime], datetime]

    def first_after(self, after: datetime, key: str) -> datetime:
        """The first allowed slot strictly after `after`; NEVER from it when there is none within HORIZON."""
        slot = self.inner.first_after(after, key)
        while slot - after <= HORIZON:
            if self.allows(slot):
                return slot
            # What is not allowed stays so until the next change: a freeze of weeks is passed over in a few steps.
            slot = self.inner.first_after(self.next_change(slot) - _MICROSECOND, key)
        return after + NEVER


Schedule = Interval | Cron | Sieved


def parse_schedule(text: str, zone: ZoneInfo) -> Schedule:
    """`*/15 * * * *` or `@every 20s`. Raises UsageError, also for a date that never comes such as 30 February."""
    if text.startswith("@every "):
        every = parse_duration(text.removeprefix("@every ").strip())
        if not MIN_INTERVAL <= every <= MAX_INTERVAL:
            raise UsageError(f"'{text}': an interval lies between 1s and 7d")
        return Interval(every=every)
    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise UsageError(f"'{text}' is not a schedule ({error}); write five cron fields or '@every 15m'") from error
    return Cron(expression=text, zone=zone)


def spread(key: str) -> float:
    """A stable number in [0, 1) for `key`, the same in every process and after every restart."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) / 2**48


class DueReason(enum.StrEnum):
    NOT_YET = "not_yet"
    ON_TIME = "on_time"
    #: One or more slots passed while we were down or busy; they are made up for by one run, never by a burst.
    MISFIRE = "misfire"
    #: A slot passed while nobody looked, and now is a time the calendar does not allow.
    OUTSIDE = "outside"
    #: The wall clock went back behind the last run: waiting for the old slot would be blindness.
    CLOCK_WENT_BACK = "clock_went_back"


@dataclass(frozen=True, kw_only=True)
class Due:
    """Whether to run now, when to look again if not, and why."""

    run: bool
    at: datetime
    reason: DueReason
    missed: int = 0


def next_due(schedule: Schedule, key: str, last: datetime | None, now: datetime) -> Due:
    """Decide for one key. `last` is the slot of the last run, None if it never ran: then it runs at its first slot."""
    if last is None:
        at = schedule.first_after(now, key)
        return Due(run=False, at=at, reason=DueReason.NOT_YET)
    if last > now:
        return Due(run=True, at=now, reason=DueReason.CLOCK_WENT_BACK)
    slot = schedule.first_after(last, key)
    if slot > now:
        return Due(run=False, at=slot, reason=DueReason.NOT_YET)
    if isinstance(schedule, Sieved) and now - slot > GRACE and not schedule.allows(now):
        return Due(run=False, at=schedule.first_after(now, key), reason=DueReason.OUTSIDE)
    following = schedule.first_after(slot, key)
    if following > now:
        return Due(run=True, at=slot, reason=DueReason.ON_TIME)
    if isinstance(schedule, Interval):
        latest = schedule.first_after(now - schedule.every, key)
        return Due(run=True, at=latest, reason=DueReason.MISFIRE, missed=(latest - slot) // schedule.every)
    return Due(run=True, at=now, reason=DueReason.MISFIRE, missed=1)
