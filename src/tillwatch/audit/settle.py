"""Rows in flight are not drift: differing keys are read again until each is decided, before anything is said.

What a look means is decided by `suspects` and `lineage`; here is the waiting and reading, in three steps:

1. Take over what an earlier run left undecided.
2. Windows: wait, read again, judge. Within a window there are further looks while few rows are in question: they see
   values that come and go, and they measure how long the sync takes.
3. Rows that never stood still are followed with quick looks.

A row that stood still for a whole window and then became equal shows that the sync is slower than the window. Then the
window is stretched, and what was confirmed under the shorter one is waited for again.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson

from tillwatch.audit import stalled
from tillwatch.audit.compare import ROWS_PER_LOOK, Difference, Task
from tillwatch.audit.ledger import MAX_REMEMBERED, Forgetful, Ledger, remembered, standing
from tillwatch.audit.lineage import Followed, Trail
from tillwatch.audit.reading import SideFault
from tillwatch.audit.rows import MAX_EXAMPLES, decode_key, faults_of
from tillwatch.audit.spill import Half, Pair, Stand
from tillwatch.audit.suspects import (
    LAG_FACTOR,
    MAX_STRETCH,
    SLACK,
    Horizon,
    Rules,
    Settled,
    Standing,
    begin,
    judge,
    window_seconds,
)
from tillwatch.model.audit import Remembered

#: Windows waited beyond those that confirm, for keys that moved in between.
SPARE_WINDOWS = 2
#: All waiting of one run together, in declared windows.
MAX_WAIT_WINDOWS = 20
#: With more suspects than this, reading both sides whole again is cheaper than asking for single keys.
MAX_KEYS_ASKED = 5_000
#: With more suspects than this there is one look a window, at its end: the systems are not to be flooded.
MAX_KEYS_WATCHED = 500
LOOKS_PER_WINDOW = 4
#: Keys followed at once, and for how many windows.
MAX_KEYS_FOLLOWED = 100
FOLLOW_WINDOWS = 4
#: Looks a window at first, and at most, when rows move faster than that; after so many looks it is asked again.
FOLLOW_LOOKS_PER_WINDOW = 16
MAX_FOLLOW_LOOKS_PER_WINDOW = 64
LOOKS_PER_PACE = 8
#: Longest sleep between two looks at the deadline and a request to stop.
SLEEP_SECONDS = 0.5
#: Fraction of the golden ratio: spreads looks so that no rhythm of the data can hide behind theirs.
_SPREAD = 0.618_033_988_749_895
_STANDS = {Settled.CLEARED: Stand.CLEARED, Settled.CONFIRMED: Stand.CONFIRMED, Settled.PENDING: Stand.PENDING}


def max_windows(rules: Rules) -> int:
    """Windows a run waits for, when nothing makes them longer."""
    return rules.windows_needed + SPARE_WINDOWS


@dataclass(kw_only=True)
class Outcome:
    """What waiting brought; the spill holds where each suspect stands."""

    rounds: int = 0
    #: Seconds of the longest window.
    window: float = 0.0
    strength: str = ""
    carried: int = 0
    #: How long rows took to become equal, in seconds, as seen by our looks.
    lags: list[float] = field(default_factory=list)
    #: Rows that became equal only after they had stood still for a whole window, or follow the left too slowly.
    late: int = 0
    late_keys: list[bytes] = field(default_factory=list)
    #: Rows under write that follow the left within the window, and that do not follow it at all.
    lagging: int = 0
    divergent: int = 0

    def is_late(self, key: bytes) -> None:
        self.late += 1
        if len(self.late_keys) < MAX_EXAMPLES:
            self.late_keys.append(key)


def settle(
    task: Task,
    window: timedelta,
    *,
    ledger: Ledger | None = None,
    measured_lag: float = 0.0,
    read_at: datetime | None = None,
) -> Outcome:
    """Wait and read again until every suspect is decided, within limits. Pending ones then are those that kept moving.

    `read_at` is when the reading began that found the suspects. Raises SideFault when a side can no longer be read:
    then no suspect is confirmed, and the ledger keeps what it has.
    """
    if not window:
        task.spill.confirm_all()
        return Outcome()
    rules = Rules(
        window=window_seconds(window.total_seconds(), measured_lag), versioned=task.declared.version is not None
    )
    work = _Work(task, window.total_seconds(), rules, ledger or Forgetful())
    horizon = _horizon(task, read_at, rules) if read_at else None
    work.take_over(horizon)
    work.windows()
    work.follow()
    if horizon:
        work.excuse(horizon, lambda pair: _written(task, pair.left))
    if read_at and work.some_lack() and (found := stalled.horizon(task, read_at, work.window_seconds)):
        # No change column was promised, or a part of the rows was read, or the sync stopped only after the reading:
        # then the change fields themselves tell.
        reached, dated = found
        if reached.behind:
            work.look_at_undated(dated)
        work.excuse(reached, lambda pair: dated[pair.key].moment if pair.key in dated else None)
    work.save()
    work.count_unreadable()
    return work.outcome


class _Work:
    """The waiting of one run."""

    def __init__(self, task: Task, settle_seconds: float, rules: Rules, ledger: Ledger) -> None:
        self._task, self._spill, self._clock = task, task.spill, task.gate.clock
        self._settle, self._rules, self._ledger = settle_seconds, rules, ledger
        self._difference = Difference(task.declared.fields)
        self._waited = 0.0
        self._looks = 0
        #: When the newest row was written that was seen to arrive.
        self._arrived: datetime | None = None
        self.outcome = Outcome(window=rules.window, strength=rules.strength)

    def take_over(self, horizon: Horizon | None) -> None:
        """Note every suspect, those of an earlier run with the time they have stood still already."""
        now = self._clock.monotonic()
        kept = {one.key.encode(): standing(one, self._clock) for one in self._ledger.load()}
        self.outcome.carried = len(kept)
        oldest = 0.0
        for pair, _ in self._spill.standings(Stand.PENDING):
            age = horizon.overdue(_written(self._task, pair.left)) if horizon and horizon.behind else 0.0
            oldest = max(oldest, age)
            if (old := kept.pop(pair.key, None)) is None:
                fresh = replace(begin(pair, self._rules, now), overdue=bool(age))
                self._spill.suspect(pair, Stand.PENDING, fresh.to_bytes())
                continue
            # Nobody looked while no run was alive, however long that was: it counts as one window at most.
            settled, noted = judge(old, pair, self._difference, self._rules, now)
            self._note(pair, settled, noted, now)
        if kept:
            # The comparison did not name them: they are equal now, or it did not look at them.
            for key, old in kept.items():
                self._spill.suspect(Pair(key=key, left=None, right=None), Stand.PENDING, old.to_bytes())
            self._look()
        self._stretch(oldest, now)
        self.save()

    def windows(self) -> None:
        """Wait windows until nothing is pending, or there were enough."""
        limit = max_windows(self._rules)
        while pending := self._spill.count(Stand.PENDING):
            if (
                self.outcome.rounds >= limit
                or self._waited + self._rules.window > MAX_WAIT_WINDOWS * self._settle + SLACK
            ):
                return
            self.outcome.rounds += 1
            stretched = self._window(pending)
            limit += stretched
            self.save()

    def _window(self, pending: int) -> bool:
        """One window with the looks in it. True when it had to be stretched, so that another one is due."""
        window, done = self._rules.window, 0.0
        for number in range(1, LOOKS_PER_WINDOW + 1):
            last = number == LOOKS_PER_WINDOW
            if not last and not self._can_ask(MAX_KEYS_WATCHED):
                continue
            until = window if last else window * (number - 1 + self._spread()) / LOOKS_PER_WINDOW
            self._wait(until - done, f"waiting for {pending} differing rows to settle")
            done = until
            self._look()
            if not self._spill.count(Stand.PENDING):
                break
        self.outcome.window = max(self.outcome.window, self._rules.window)
        return self._rules.window > window

    def follow(self) -> None:
        """Rows that never stood still: look quickly and tell from what the left held whether the right follows."""
        if not self._spill.count(Stand.PENDING) or not self._can_ask(MAX_KEYS_FOLLOWED):
            return
        rules = self._rules
        trails: dict[bytes, Trail] = {}
        spacing = rules.window / FOLLOW_LOOKS_PER_WINDOW
        until = self._clock.monotonic() + FOLLOW_WINDOWS * rules.window
        for number in range(1, FOLLOW_WINDOWS * MAX_FOLLOW_LOOKS_PER_WINDOW + 1):
            if not (pending := self._spill.count(Stand.PENDING)) or self._clock.monotonic() >= until:
                return
            self._wait(spacing * (0.5 + self._spread()), f"following {pending} rows that keep moving")
            self._read_again(pending)
            now = self._clock.monotonic()
            for pair, noted in self._spill.again():
                trail = trails.setdefault(pair.key, Trail())
                self._followed(pair, noted, trail.see(pair, rules, self._difference, now))
            if number % LOOKS_PER_PACE == 0 and any(trail.too_fast for trail in trails.values()):
                spacing = max(spacing / 2, rules.window / MAX_FOLLOW_LOOKS_PER_WINDOW)
                for trail in trails.values():
                    trail.look_faster()

    def _followed(self, pair: Pair, noted: bytes, found: Followed) -> None:
        stand = Stand.PENDING
        match found:
            case Followed.EQUAL:
                stand = Stand.CLEARED
            case Followed.LAGGING:
                stand = Stand.CLEARED
                self.outcome.lagging += 1
            case Followed.LATE:
                stand = Stand.LATE
                self.outcome.is_late(pair.key)
            case Followed.DIVERGENT:
                stand = Stand.CONFIRMED
                self.outcome.divergent += 1
            case Followed.OPEN:
                pass
        self._spill.suspect(pair, stand, noted)

    @property
    def window_seconds(self) -> float:
        return self._rules.window

    def some_lack(self) -> bool:
        """Whether a confirmed row stands on the left: one that is only on the right is on its way nowhere."""
        return any(pair.left is not None for pair in self._spill.suspects(Stand.CONFIRMED))

    def look_at_undated(self, dated: Collection[bytes]) -> None:
        """A confirmed row of the left that did not change lately may also be gone since; then nobody can tell."""
        undated = [
            (pair, noted)
            for pair, noted in self._spill.standings(Stand.CONFIRMED)
            if pair.left is not None and pair.key not in dated
        ]
        for pair, noted in undated:
            self._spill.suspect(pair, Stand.PENDING, noted)
        if not undated:
            return
        self._read_again(self._spill.count(Stand.PENDING))
        now = self._clock.monotonic()
        for pair, noted in self._spill.again():
            settled, after = judge(Standing.from_bytes(noted), pair, self._difference, self._rules, now)
            self._spill.suspect(pair, _STANDS[settled], after.to_bytes())

    def excuse(self, horizon: Horizon, written: Callable[[Pair], datetime | None]) -> None:
        """When the sync is behind as a whole, also after what arrived while we waited, a row that may still be on its
        way is late, not lost. A deleted row leaves no time behind: then it cannot be told whether its deletion is late
        or lost."""
        horizon = replace(horizon, arrived=max(horizon.arrived, self._arrived or horizon.arrived))
        if not horizon.behind:
            return
        extra: list[tuple[Pair, bytes]] = []
        excused = 0
        for pair, noted in self._spill.standings(Stand.CONFIRMED):
            if pair.left is None:
                extra.append((pair, noted))
            elif horizon.on_its_way(written(pair)):
                excused += 1
                self._spill.suspect(pair, Stand.LATE, noted)
                self.outcome.is_late(pair.key)
        for pair, noted in extra if excused else ():
            self._spill.suspect(pair, Stand.PENDING, noted)

    def save(self) -> None:
        """Give what is undecided to the ledger."""
        open_ones: list[Remembered] = []
        for stand in (Stand.PENDING, Stand.LATE):
            for pair, noted in self._spill.standings(stand):
                if len(open_ones) >= MAX_REMEMBERED:
                    break
                open_ones.append(remembered(pair.key, Standing.from_bytes(noted), self._clock))
        self._ledger.save(open_ones)

    def count_unreadable(self) -> None:
        """A row that became equal, but by a value that nobody can read, is not proven equal."""
        reads = self._task.sides.reads
        if any(read.faults for read in reads.values()):
            # The run proves nothing anyway, and nothing shall be counted twice.
            return
        for pair in self._spill.suspects(Stand.CLEARED):
            for side, half in (("left", pair.left), ("right", pair.right)):
                if half is not None:
                    reads[side].faults.include(faults_of(self._task.declared, pair.key, half.cells))

    def _look(self) -> None:
        """Read every pending key again and judge it."""
        self._read_again(self._spill.count(Stand.PENDING))
        now = self._clock.monotonic()
        slowest = 0.0
        for number, (pair, noted) in enumerate(self._spill.again()):
            if number % ROWS_PER_LOOK == 0:
                self._task.gate.check("comparing again")
            settled, after = judge(Standing.from_bytes(noted), pair, self._difference, self._rules, now)
            slowest = max(slowest, self._note(pair, settled, after, now))
        # Not in the loop: it makes rows pending that were not read just now.
        self._stretch(slowest, now)

    def _note(self, pair: Pair, settled: Settled, after: Standing, now: float) -> float:
        """Keep where a suspect stands. Returns the lag of one that took longer than a window, else 0."""
        self._spill.suspect(pair, _STANDS[settled], after.to_bytes())
        if settled is Settled.CLEARED and (written := _written(self._task, pair.right, "right")):
            self._arrived = max(written, self._arrived or written)
        if settled is not Settled.CLEARED or after.moved:
            return 0.0
        lag = now - after.first
        self.outcome.lags.append(lag)
        if after.windows or after.overdue:
            self.outcome.is_late(pair.key)
        return lag if after.windows else 0.0

    def _stretch(self, lag: float, now: float) -> None:
        """The sync took longer than the window: what was confirmed under it is waited for again."""
        window = min(LAG_FACTOR * lag, MAX_STRETCH * self._settle)
        if window <= self._rules.window:
            return
        self._rules = replace(self._rules, window=window)
        for pair, noted in list(self._spill.standings(Stand.CONFIRMED)):
            again = replace(Standing.from_bytes(noted), since=now, windows=0)
            self._spill.suspect(pair, Stand.PENDING, again.to_bytes())

    def _spread(self) -> float:
        """The next number of a sequence that fills 0…1 evenly and never repeats a rhythm."""
        self._looks += 1
        return self._looks * _SPREAD % 1.0

    def _can_ask(self, most: int) -> bool:
        return self._spill.count(Stand.PENDING) <= most and self._task.sides.can_ask_by_key()

    def _wait(self, seconds: float, doing: str) -> None:
        """Sleep in short naps. The time does not count against the audit's timeout."""
        gate = self._task.gate
        until = gate.clock.monotonic() + seconds
        gate.deadline += seconds
        self._waited += seconds
        while (left := until - gate.clock.monotonic()) > 0:
            gate.check(doing)
            gate.clock.sleep(min(left, SLEEP_SECONDS))

    def _read_again(self, pending: int) -> None:
        task = self._task
        if pending <= MAX_KEYS_ASKED and task.sides.can_ask_by_key():
            task.sides.read_keys([decode_key(task.declared, pair.key) for pair in task.spill.suspects(Stand.PENDING)])
        else:
            task.sides.read_all(pending_only=True)
        for side in ("left", "right"):
            repeated = task.spill.repeated(side, examples=MAX_EXAMPLES)
            if repeated.keys:
                shown = ", ".join("/".join(decode_key(task.declared, key).values()) for key in repeated.examples)
                raise SideFault(f"{task.sides.reads[side]} holds keys more than once: {shown}; make the key unique")


def _horizon(task: Task, read_at: datetime, rules: Rules) -> Horizon | None:
    """How far the sync has come; None when that is not known for certain."""
    if task.declared.version is None or not task.spill.count(Stand.PENDING):
        return None
    position = _position(task, "right")
    if position is None:
        return None
    rows, newest = task.spill.newest("right", position)
    # A strategy that read a part of the rows cannot say what the newest one is.
    if not rows or rows != task.sides.right.rows or (arrived := stalled.moment_of(newest)) is None:
        return None
    return Horizon(read_at=read_at, arrived=arrived, window=timedelta(seconds=rules.window))


def _written(task: Task, half: Half | None, side: str = "left") -> datetime | None:
    """When a row was written, when its change column is a time."""
    position = _position(task, side)
    if half is None or position is None:
        return None
    cell = orjson.loads(half.context)[position]
    return stalled.moment_of(cell) if isinstance(cell, str) else None


def _position(task: Task, side: str) -> int | None:
    """Where the change column stands in the context of a side."""
    context = task.declared.left_context if side == "left" else task.declared.right_context
    return next((number for number, rule in enumerate(context) if rule.name == task.declared.version), None)
