"""What one more look says of a row that differs. Pure: decisions are functions of what was seen and when.

    equal now                           cleared: it was in flight
    unequal, nothing moved              a window in which nothing moved counts; enough of them confirm
    unequal, a side moved               the timer starts again

How many windows confirm depends on what a look can see. With a change column (`changed_by`) a write leaves a trace, so
one window in which neither side moved is proof. Without one a value that went A → B → A between two looks seems to have
stood still; then two windows are needed, and the evidence is called weaker.

If a correct sync applies every change within the window, no row it is still working on is ever confirmed.
"""

import enum
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson

from tillwatch.audit.compare import Difference
from tillwatch.audit.spill import Half, Pair

#: Looks happen when a sleep ends, a hair early or late: so much of a window may be missing.
SLACK = 0.001
#: The measured lag is stretched by this to become a window: the next slow row is a little slower than the last.
LAG_FACTOR = 1.5
#: A window is at most so many declared ones: after an outage an audit must not wait for hours, it says `sync_lag`.
MAX_STRETCH = 10
#: A row is called late and not lost for so many windows after it was written at most.
MAX_LATE_WINDOWS = 10


class Settled(enum.StrEnum):
    CLEARED = "cleared"
    CONFIRMED = "confirmed"
    PENDING = "pending"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How long, and how often, a difference must stand still."""

    #: Seconds within which a healthy sync applies every change.
    window: float
    #: True when every write changes what a look sees.
    versioned: bool

    @property
    def windows_needed(self) -> int:
        return 1 if self.versioned else 2

    @property
    def strength(self) -> str:
        return "strong" if self.versioned else "weak"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One suspect so far. Times are seconds of one monotonic clock; before the process started they are negative."""

    #: When it was first seen to differ.
    first: float
    #: Since when the window that runs now has run.
    since: float
    #: Whole windows in which neither side moved.
    windows: int = 0
    #: What each side held at the last look, empty for no row.
    left: str = ""
    right: str = ""
    #: A side moved since, or a run before this one saw it first: then its time says nothing of the sync's lag.
    moved: bool = False
    #: It was older than a window when it was found, and nothing a window newer had arrived: the sync is behind.
    overdue: bool = False

    def to_bytes(self) -> bytes:
        return orjson.dumps([self.first, self.since, self.windows, self.left, self.right, self.moved, self.overdue])

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Standing":
        first, since, windows, left, right, moved, overdue = orjson.loads(stored)
        return cls(first=first, since=since, windows=windows, left=left, right=right, moved=moved, overdue=overdue)


def mark(half: Half | None, rules: Rules) -> str:
    """What a side holds, short. With a change column the mark moves with every write, else with the values only."""
    if half is None:
        return ""
    digest = hashlib.blake2b(half.cells, digest_size=12)
    if rules.versioned:
        digest.update(half.context)
    return digest.hexdigest()


def begin(pair: Pair, rules: Rules, now: float) -> Standing:
    """A suspect seen for the first time."""
    return Standing(first=now, since=now, left=mark(pair.left, rules), right=mark(pair.right, rules))


def judge(
    standing: Standing, now_held: Pair, difference: Difference, rules: Rules, now: float
) -> tuple[Settled, Standing]:
    """What one more look says."""
    left, right = mark(now_held.left, rules), mark(now_held.right, rules)
    if difference.fields(now_held) == ():
        moved = standing.moved or left != standing.left
        return Settled.CLEARED, replace(standing, left=left, right=right, moved=moved)
    if (left, right) != (standing.left, standing.right):
        return Settled.PENDING, replace(standing, since=now, windows=0, left=left, right=right, moved=True)
    if now - standing.since >= rules.window - SLACK:
        standing = replace(standing, since=now, windows=standing.windows + 1)
    confirmed = standing.windows >= rules.windows_needed
    return Settled.CONFIRMED if confirmed else Settled.PENDING, standing


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """How far the sync had come when the sides were read: `arrived` is when the newest row was written that had reached
    the right. A row may be overtaken by others within a window, not by more."""

    read_at: datetime
    arrived: datetime
    window: timedelta
    #: True when only what was written after all that arrived may be on its way.
    in_order: bool = False

    @property
    def behind(self) -> bool:
        return self.read_at - self.arrived > self.window

    def on_its_way(self, written: datetime | None) -> bool:
        """Whether a row written then may still be travelling: the sync is behind, and nothing much newer has arrived.

        Not for ever: where little is written, one lost row looks exactly like this.
        """
        if written is None or not self.behind:
            return False
        reached = self.arrived if self.in_order else self.arrived - self.window
        return written > reached and self.read_at - written <= MAX_LATE_WINDOWS * self.window

    def overdue(self, written: datetime | None) -> float:
        """How many seconds old a row on its way is, when that is more than a window; else 0."""
        if written is None or not self.on_its_way(written) or self.read_at - written <= self.window:
            return 0.0
        return (self.read_at - written).total_seconds()


def window_seconds(settle: float, measured_lag: float) -> float:
    """The window of a run: as declared, longer when the sync was measured to be slower."""
    return min(max(settle, LAG_FACTOR * measured_lag), MAX_STRETCH * settle)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed; 0 for none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1)]
