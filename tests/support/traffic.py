"""Live traffic on two sides, worked out in advance: what each side holds at any moment follows from the seed alone.

The left side is written; a correct sync brings every write to the right one to two seconds later, in order for each key.
Twenty differences are planted that no sync will ever heal.
"""

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tillwatch.clock import Clock
from tillwatch.model.audit import Row
from tillwatch.sources.base import Capabilities, DatasetDescription, Description, Reading, Tail

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
#: Quantity and the time of the write; None = no such row.
State = tuple[int, float] | None

QUIET, BUSY, TOGGLING, HOT = 1_000, 1_200, 40, 8
SECONDS = 150.0
BUSY_PER_SECOND, HOT_PER_SECOND = 100.0, 4.0
#: How long reading a whole side takes: the first row read is so much older than the last.
READ_SECONDS = 0.5


@dataclass
class Traffic:
    """Every write of two and a half minutes. `lag` is drawn for each; from `stalled` on nothing arrives any more."""

    seed: int
    lag: tuple[float, float] = (1.0, 2.0)
    stalled: float = SECONDS
    #: False for a right side that is never wrong, only behind.
    wrong: bool = True
    left: dict[str, list[tuple[float, State]]] = field(default_factory=lambda: defaultdict(list))
    right: dict[str, list[tuple[float, State]]] = field(default_factory=lambda: defaultdict(list))
    planted: set[str] = field(default_factory=set)
    writes: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._quiet()
        self._busy()
        self._toggling()
        self._hot()
        if self.wrong:
            self._lost()

    def state(self, side: str, key: str, moment: float) -> State:
        log = self.left[key] if side == "left" else self.right[key]
        number = bisect_right(log, moment, key=lambda entry: entry[0])
        return log[number - 1][1] if number else None

    def keys(self) -> list[str]:
        return sorted(set(self.left) | set(self.right))

    def _write(self, key: str, moment: float, quantity: int | None, *, wrong: int = 0) -> None:
        """One write on the left and its arrival on the right, which is off by `wrong`."""
        self.writes += 1
        self.left[key].append((moment, None if quantity is None else (quantity, moment)))
        arrival = moment + self._random.uniform(*self.lag)
        if arrival >= self.stalled:
            return
        if self.right[key]:
            arrival = max(arrival, self.right[key][-1][0])
        self.right[key].append((arrival, None if quantity is None else (quantity + wrong, moment)))

    def _both(self, key: str, quantity: int) -> None:
        for side in (self.left, self.right):
            side[key].append((-1e6, (quantity, -1e6)))

    def _quiet(self) -> None:
        """Nobody writes these. Eight of them are wrong: changed, missing and extra."""
        for number in range(QUIET):
            self._both(f"Q{number:04}", number)
        for number, key in enumerate(self._random.sample(sorted(self.left), 8 if self.wrong else 0)):
            self.planted.add(key)
            if number < 4:
                self.right[key] = [(-1e6, (99_999, -1e6))]
            elif number < 6:
                self.right.pop(key)
            else:
                self.left.pop(key)

    def _busy(self) -> None:
        """Updates, inserts and deletes all over."""
        alive = {f"B{number:04}" for number in range(BUSY)}
        for key in sorted(alive):
            self._both(key, 1)
        moment, made = 0.0, BUSY
        while (moment := moment + self._random.expovariate(BUSY_PER_SECOND)) < SECONDS:
            chance = self._random.random()
            if chance < 0.05:
                made += 1
                key = f"B{made:04}"
                alive.add(key)
                self._write(key, moment, self._random.randrange(10_000))
                continue
            key = self._random.choice(sorted(alive)) if chance < 0.1 else f"B{self._random.randrange(BUSY):04}"
            if chance < 0.1 and key in alive:
                alive.discard(key)
                self._write(key, moment, None)
            elif key in alive:
                self._write(key, moment, self._random.randrange(10_000))

    def _toggling(self) -> None:
        """A → B → A → B, some faster than any look."""
        for number in range(TOGGLING):
            key, period = f"T{number:04}", self._random.uniform(0.2, 4.0)
            self._both(key, 1)
            moment, value = self._random.uniform(0, period), 1
            while (moment := moment + period * self._random.uniform(0.8, 1.2)) < SECONDS:
                value = 3 - value
                self._write(key, moment, value)

    def _hot(self) -> None:
        """Written several times a second, a new value each time. Half of them are wrong on the right, for ever."""
        for number in range(HOT):
            key, wrong = f"H{number:04}", 1_000_000 if self.wrong and number % 2 else 0
            self._both(key, 0)
            if wrong:
                self.planted.add(key)
            moment, value = 0.0, 0
            while (moment := moment + self._random.expovariate(HOT_PER_SECOND)) < SECONDS:
                value += 1
                self._write(key, moment, value, wrong=wrong)

    def _lost(self) -> None:
        """Eight writes that never arrive, a good while before the audit looks: updates, an insert, a delete."""
        for number in range(8):
            key, moment = f"L{number:04}", self._random.uniform(3.0, 12.0)
            self.planted.add(key)
            if number != 6:
                self._both(key, 1)
            self.left[key].append((moment, None if number == 7 else (2, moment)))


class TrafficSource:
    """One side of the traffic at the clock's moment."""

    kind = "traffic"

    def __init__(self, traffic: Traffic, side: str, clock: Clock, *, dated: bool = False) -> None:
        """`dated` for a system that can be asked what changed since."""
        self.id = "erp" if side == "left" else "till"
        self._traffic, self._side, self._clock = traffic, side, clock
        self.capabilities = Capabilities(keys=True, count=True, since=dated)

    def describe(self) -> Description:
        dataset = DatasetDescription(name="stock", fields={}, change_field="changed_at")
        return Description(
            system=self.id, product="traffic", version="1", datasets={"stock": dataset}, capabilities=self.capabilities
        )

    def read(
        self,
        dataset: str,  # noqa: ARG002 - the protocol's signature
        fields: Sequence[str] | None = None,
        *,
        since: datetime | None = None,
        keys: Sequence[Mapping[str, str]] | None = None,
    ) -> Reading:
        assert fields is not None
        wanted = tuple(dict.fromkeys((*fields, "changed_at")))
        dated = [row for row in self._rows(wanted, keys) if since is None or _moment(row) >= since]
        rows = [{field: row[field] for field in fields} for row in dated]

        def batches() -> Iterator[list[Row]]:
            for start in range(0, len(rows), 500):
                yield rows[start : start + 500]

        return Reading(batches(), lambda: Tail(rows=len(rows), server_count=len(rows)), lambda: None)

    def _rows(self, fields: Sequence[str], keys: Sequence[Mapping[str, str]] | None) -> Iterator[Row]:
        now = self._clock.monotonic()
        names = self._traffic.keys() if keys is None else [key["sku"] for key in keys]
        for number, name in enumerate(names):
            # A whole reading takes its time, and the sides are not at the same row at the same moment.
            share = number / len(names) if self._side == "left" else 1 - number / len(names)
            moment = now if keys is not None else now - READ_SECONDS * share
            state = self._traffic.state(self._side, name, moment)
            if state is not None:
                written = START + timedelta(seconds=max(state[1], -86_400.0))
                row: Row = {"sku": name, "quantity": Decimal(state[0]), "changed_at": written}
                yield {field: row[field] for field in fields}


def _moment(row: Row) -> datetime:
    moment = row["changed_at"]
    assert isinstance(moment, datetime)
    return moment
