"""How far a value lies from the others: the robust z-score, which a few wrong values cannot hide themselves in. Pure.

`(value - median) / spread`, where the spread is 1.4826 times the median absolute deviation: for normally distributed
values it is the standard deviation. When more than half of the values are equal that is 0, and 1.2533 times the mean
absolute deviation stands in. All by Iglewicz and Hoaglin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Scale factors that make both spreads the standard deviation of normally distributed values.
MEDIAN_FACTOR = 1.4826
MEAN_FACTOR = 1.2533
#: Fewer values say nothing about what is usual.
MIN_VALUES = 8
#: Fewer earlier runs say nothing about what was usual.
MIN_RUNS = 5
#: Smallest spread of a thing's own history, as a share of its median.
OWN_SHARE = 0.01
#: Groups with a history of their own that a run keeps of one rule; the run that keeps them writes one row.
MAX_OWN = 20_000


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What is usual for a field."""

    median: float
    spread: float
    values: int

    def score(self, value: float) -> float:
        """The robust z-score; infinite when everything else is equal."""
        if value == self.median:
            return 0.0
        return abs(value - self.median) / self.spread if self.spread else float("inf")

    def limits(self, score: float) -> tuple[float, float]:
        """Values outside of these are further away than `score`."""
        return self.median - score * self.spread, self.median + score * self.spread


def usual(ordered: Sequence[float]) -> Usual | None:
    """What is usual among values in ascending order; None when they are too few."""
    if len(ordered) < MIN_VALUES:
        return None
    median = middle(ordered)
    spread = MEDIAN_FACTOR * _median_deviation(ordered, median)
    if not spread:
        spread = MEAN_FACTOR * sum(abs(value - median) for value in ordered) / len(ordered)
    return Usual(median=median, spread=spread, values=len(ordered))


def usual_of_runs(runs: Sequence[Usual]) -> Usual | None:
    """What was usual in earlier runs: the median of each measure, so that one bad day does not move it."""
    if len(runs) < MIN_RUNS:
        return None
    return Usual(
        median=middle(sorted(run.median for run in runs)),
        spread=middle(sorted(run.spread for run in runs)),
        values=sum(run.values for run in runs),
    )


def usual_of_own(earlier: Sequence[float]) -> Usual | None:
    """What was usual for one thing, by one value of each earlier run.

    A price that never moved has no spread; then a share of it stands in, or the first change would be infinitely far.
    """
    if len(earlier) < MIN_RUNS:
        return None
    ordered = sorted(earlier)
    median = middle(ordered)
    spread = max(MEDIAN_FACTOR * _median_deviation(ordered, median), OWN_SHARE * abs(median))
    return Usual(median=median, spread=spread, values=len(ordered))


def middle(ordered: Sequence[float]) -> float:
    """The median of values in ascending order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _median_deviation(ordered: Sequence[float], median: float) -> float:
    """The median of |value - median|. Both halves are in order already, so walking outwards needs no second list."""
    size = len(ordered)
    right = size // 2
    left = right - 1
    wanted = (size // 2,) if size % 2 else (size // 2 - 1, size // 2)
    found: list[float] = []
    for place in range(size // 2 + 1):
        below = median - ordered[left] if left >= 0 else float("inf")
        above = ordered[right] - median if right < size else float("inf")
        if below <= above:
            left -= 1
        else:
            right += 1
        if place in wanted:
            found.append(min(below, above))
    return sum(found) / len(found)
