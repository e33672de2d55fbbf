"""Rows that are written all the time: is the right side behind, or wrong? Pure.

Such a row never stands still, so waiting proves nothing. Looking quickly does: what the left side held is kept with
its time. A right side that holds what the left held within the window only lags behind. One that holds what the left
held longer ago is late. One that stands still although the left was different a whole window ago, or that moves and
never once holds anything the left held, diverges under write. Everything else stays open.
"""

import enum
from dataclasses import dataclass, field, replace

from tillwatch.audit.compare import Difference
from tillwatch.audit.spill import Half, Pair
from tillwatch.audit.suspects import Rules, mark

#: What the left held is remembered so many times back.
MAX_MARKS = 128
#: A right side that moves must be caught with so many values the left never held: below, we may have missed the left's.
MIN_STRANGERS = 8
#: …while at least this share of looks found the left as at the look before: else it moves faster than we look.
MIN_SAME_SHARE = 0.5
#: Without a change column standing still is believed after so many looks only.
MIN_LOOKS_UNVERSIONED = 12


class Followed(enum.StrEnum):
    EQUAL = "equal"
    LAGGING = "lagging"
    LATE = "late"
    DIVERGENT = "divergent"
    OPEN = "open"


@dataclass(kw_only=True)
class Held:
    """A value the left side held, and when it was last seen there."""

    half: Half | None
    last: float


@dataclass(kw_only=True)
class Trail:
    """What was seen of one key, look by look."""

    left: list[Held] = field(default_factory=list)
    left_mark: str | None = None
    #: Looks since they became closer together.
    looks: int = 0
    #: When the first look was.
    begun: float = 0.0
    #: Looks that found the left as at the look before.
    same: int = 0
    right_mark: str | None = None
    right_since: float = 0.0
    right_looks: int = 0
    #: Values of the right that the left was never seen to hold.
    strangers: set[str] = field(default_factory=set)

    @property
    def too_fast(self) -> bool:
        """The left moves faster than we look, so most of what it held was missed."""
        return self.looks >= 4 and self.same < MIN_SAME_SHARE * (self.looks - 1)

    def look_faster(self) -> None:
        """From here on looks are closer together: what was missed before must not count against the right side."""
        self.looks, self.same = 0, 0
        self.strangers.clear()

    def see(self, pair: Pair, rules: Rules, difference: Difference, now: float) -> Followed:
        """One more look."""
        self._note(pair, rules, now)
        if difference.fields(pair) == ():
            return Followed.EQUAL
        if (held := self._held(pair, difference)) is not None:
            return Followed.LAGGING if now - held.last <= rules.window else Followed.LATE
        # Before a whole window has passed the right may hold what the left held before we looked.
        if now - self.begun > rules.window:
            self.strangers.add(mark(pair.right, rules))
        needed = rules.windows_needed * rules.window
        still = now - self.right_since >= needed and (rules.versioned or self.right_looks >= MIN_LOOKS_UNVERSIONED)
        strange = len(self.strangers) >= MIN_STRANGERS and not self.too_fast
        return Followed.DIVERGENT if still or strange else Followed.OPEN

    def _note(self, pair: Pair, rules: Rules, now: float) -> None:
        left, right = mark(pair.left, rules), mark(pair.right, rules)
        if self.left_mark is None:
            self.begun = now
        self.looks += 1
        if left == self.left_mark:
            self.same += 1
            self.left[-1].last = now
        else:
            self.left.append(Held(half=pair.left, last=now))
            del self.left[:-MAX_MARKS]
        self.left_mark = left
        if right != self.right_mark:
            self.right_mark, self.right_since, self.right_looks = right, now, 0
        self.right_looks += 1

    def _held(self, pair: Pair, difference: Difference) -> Held | None:
        """The newest value of the left that the right holds now."""
        for held in reversed(self.left):
            # Bytes first: the fields of every value ever held are read only where a tolerance makes them count.
            same = held.half == pair.right if difference.exact else None
            if held.half is not None and pair.right is not None and difference.exact:
                same = held.half.cells == pair.right.cells
            if same or (same is None and difference.fields(replace(pair, left=held.half)) == ()):
                return held
        return None
