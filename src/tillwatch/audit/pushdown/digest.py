"""The strategy: sums of row hashes from both databases, and only what differs is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tillwatch.audit.compare import Task, Unsuited
from tillwatch.audit.pushdown import asking
from tillwatch.audit.pushdown.asking import MAX_DIFFERING_SHARE, MAX_KEYS, Found, refuse_keyless
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.keys import Key
from tillwatch.audit.pushdown.matching import match, scrolls
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.statements import EMPTY, Asker, Sums, is_odd, split
from tillwatch.audit.reading import SIDES

#: Rows of one bucket: what is listed for one difference, and a kilobyte of sums for a million rows.
BUCKET_ROWS = 1_000
MAX_BUCKETS = 20_000
#: Buckets in one statement: its text stays below a server's limits and a list of all their rows in memory.
SLICE_BUCKETS = 500
#: Sums are small, so more buckets of them fit; a table in one statement is read from end to end.
SLICE_SUMS = 2_000
#: Share of buckets looked at first, at least so many; tables with fewer buckets are summed whole at once.
SAMPLE_SHARE = 0.02
MIN_SAMPLE = 8
#: With more dirty buckets than this in the sample every bucket is listed and not summed first.
MAX_DIRTY_SHARE = 0.3
#: Keys sampled for each boundary.
_KEYS_PER_BOUNDARY = 2
#: Which side gives the boundaries: the one that samples cheaper.
_SAMPLERS = ("postgresql", "sqlite", "mysql")


@dataclass(frozen=True, kw_only=True)
class Digest:
    """Sums in both databases. Proves the same as a stream, from far fewer bytes."""

    name: ClassVar[str] = "digest"

    #: Whether rows may be matched as text once it is known that some differ: it takes less of the databases and more
    #: of the line.
    matches: bool = False

    def find(self, task: Task) -> str:
        return asking.find(task, self.look)

    def look(self, pair: Pair, task: Task, askers: Both[Asker], found: Found) -> None:
        _Run(pair, task, askers, found, matches=self.matches).go()


class _Run:
    """One comparison over two sides that can be asked."""

    def __init__(self, pair: Pair, task: Task, askers: Both[Asker], found: Found, *, matches: bool) -> None:
        self._pair, self._task, self._askers, self._found = pair, task, askers, found
        self._matches = matches
        #: A second pass of MD5 costs more than to match all rows, one of the server's own hash does not.
        self._matches_few = matches and not askers.left.side.native

    def go(self) -> None:
        """Find the keys that differ. Raises Unsuited for keys that only reading can tell apart."""
        estimated = self._pair.both("estimating", lambda side: self._askers.of(side).session.estimated_rows())
        boundaries = self._boundaries(estimated)
        every = range(len(boundaries) + 1)
        if self._matches and not all(self._askers.of(side).served(boundaries) for side in SIDES):
            # A part of the rows costs a look at all of them, so a sample costs what a proof does.
            if self._one_pass() or self._matched("some rows differ"):
                return
        elif self._proven_at_once(boundaries, every):
            return
        sums = self._sums(boundaries, None)
        whole = Both(left=_all(sums.left), right=_all(sums.right))
        self._count(whole)
        if len(boundaries) >= SLICE_SUMS:
            self._refuse_absent()
        dirty = self._dirty(sums, list(every))
        said = f"{len(dirty)} of {len(every)} ranges differ"
        self._list(boundaries, dirty)
        self._refuse_many(max(self._found.rows.values()), said)
        self._found.how.append(said)

    def _proven_at_once(self, boundaries: Sequence[Key], every: Sequence[int]) -> bool:
        """Whether nothing is left to do after a sample, one pass over all rows, or matching them."""
        clean = True
        if len(every) >= MIN_SAMPLE * 4:
            sample = list(every[:: min(round(1 / SAMPLE_SHARE), len(every) // MIN_SAMPLE)])
            dirty = self._dirty(self._sums(boundaries, sample), sample)
            clean = not dirty
            if len(dirty) > MAX_DIRTY_SHARE * len(sample):
                self._all(boundaries, sample, len(dirty))
                return True
        if clean and self._one_pass():
            return True
        return self._matches_few and self._matched("some rows differ")

    def _one_pass(self) -> bool:
        """Whether the sums over all rows are equal: grouping costs as much as hashing, and most audits are clean."""
        total = self._pair.both("summing all rows", lambda side: self._askers.of(side).total())
        self._count(total)
        if total.left != total.right or total.left.odd:
            return False
        self._found.how.append("one pass of sums, equal")
        return True

    def _count(self, sums: Both[Sums]) -> None:
        self._found.rows = {"left": sums.left.rows, "right": sums.right.rows}
        if sums.left.odd or sums.right.odd:
            self._refuse_keyless()

    def _refuse_absent(self) -> None:
        """No range holds a row without a key, so sums by ranges do not say that there is none."""
        absent = self._pair.both("looking for absent keys", lambda side: self._askers.of(side).keyless(absent=True))
        if absent.left or absent.right:
            self._refuse_keyless()

    def _refuse_keyless(self) -> None:
        refuse_keyless(self._pair, self._task, self._askers)

    def _refuse_many(self, rows: int, said: str) -> None:
        if len(self._found.keys) > MAX_DIFFERING_SHARE * rows:
            raise Unsuited(f"{said}, and in them {len(self._found.keys)} of {rows} rows")

    def _boundaries(self, estimated: Both[int]) -> list[Key]:
        rows = max(estimated.left, estimated.right)
        buckets = min(MAX_BUCKETS, max(1, rows // BUCKET_ROWS))
        if buckets == 1:
            return []
        wanted = buckets * _KEYS_PER_BOUNDARY
        full = [side for side in SIDES if estimated.of(side) * 2 >= rows]
        side = min(full, key=lambda side: _SAMPLERS.index(self._askers.of(side).session.dialect))
        asker = self._askers.of(side)
        share = min(1.0, wanted / rows)
        keys = self._pair.ask("sampling keys", {side: lambda: asker.sample(share, wanted)})[side]
        # Equal keys would make an empty bucket. A key of another type than the rest cannot be put in order.
        numeric = [part.numeric for part in asker.side.keys]
        ordered = sorted({key for key in keys if [isinstance(part, int) for part in key] == numeric})
        step = max(1, len(ordered) // buckets)
        return ordered[step::step]

    def _sums(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> Both[Mapping[int, Sums]]:
        parts: list[Sequence[int] | None] = [None]
        if buckets is None and len(boundaries) >= SLICE_SUMS:
            every = range(len(boundaries) + 1)
            parts = [list(every[start : start + SLICE_SUMS]) for start in range(0, len(every), SLICE_SUMS)]
        elif buckets is not None:
            parts = [buckets]

        def summed(side: str) -> Mapping[int, Sums]:
            asker = self._askers.of(side)
            return {bucket: sums for part in parts for bucket, sums in asker.grouped(boundaries, part).items()}

        return self._pair.both("summing rows by ranges of the key", summed)

    def _dirty(self, sums: Both[Mapping[int, Sums]], buckets: Sequence[int]) -> list[int]:
        found = []
        for bucket in buckets:
            left, right = sums.left.get(bucket, EMPTY), sums.right.get(bucket, EMPTY)
            if left != right or left.odd:
                found.append(bucket)
        return found

    def _matched(self, said: str) -> bool:
        """Whether every row could be matched as text."""
        try:
            match(self._pair, self._task, self._askers, scrolls(self._pair, self._askers), self._found)
        except Refused:
            self._found.keys.clear()
            return False
        self._found.how.insert(0, said)
        return True

    def _all(self, boundaries: Sequence[Key], sample: Sequence[int], dirty: int) -> None:
        """Most ranges differ, so summing them would only say so: look at every row, unless most rows differ too."""
        self._list(boundaries, sample)
        said = f"of {len(sample)} sampled ranges {dirty} differ"
        self._refuse_many(max(self._found.rows.values()), said)
        self._found.keys.clear()
        if self._matches and self._matched(said):
            return
        self._found.how.append(f"{said}, so the hashes of all rows were compared one by one")
        self._list(boundaries, range(len(boundaries) + 1))
        self._refuse_keyless()
        self._refuse_many(max(self._found.rows.values()), said)

    def _list(self, boundaries: Sequence[Key], buckets: Sequence[int]) -> None:
        """Compare the hashes of single rows in `buckets` and keep the keys of those that differ."""
        rows = dict.fromkeys(SIDES, 0)
        for start in range(0, len(buckets), SLICE_BUCKETS):
            part = buckets[start : start + SLICE_BUCKETS]
            lists = self._pair.both(
                "listing the hashes of differing ranges",
                lambda side, part=part: self._askers.of(side).listed(boundaries, part),  # type: ignore[misc]
            )
            for bucket in part:
                left, right = lists.left.get(bucket, []), lists.right.get(bucket, [])
                rows["left"] += len(left)
                rows["right"] += len(right)
                self._keep(left, right)
        if not self._found.rows or len(buckets) > len(boundaries):
            self._found.rows = rows

    def _keep(self, left: Sequence[str], right: Sequence[str]) -> None:
        odd = {item for item in (*left, *right) if is_odd(item)}
        for item in (set(left) ^ set(right)) | odd:
            key = split(item)
            if key is None or len(key) != len(self._task.declared.key):
                raise Unsuited("a key holds control characters")
            self._found.keys[key] = None
        if len(self._found.keys) > MAX_KEYS:
            raise Unsuited(f"more than {MAX_KEYS} rows differ")


def _all(sums: Mapping[int, Sums]) -> Sums:
    return Sums(
        rows=sum(one.rows for one in sums.values()),
        odd=sum(one.odd for one in sums.values()),
    )
