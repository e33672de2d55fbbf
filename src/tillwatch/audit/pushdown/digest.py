"""The strategy: sums of row hashes from both databases, and only what differs is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tillwatch.audit.compare import Task, Unsuited, find_suspects, refuse_repeated
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.keys import Key
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.prepare import prepare
from tillwatch.audit.pushdown.statements import EMPTY, Asker, Sums, is_odd, split
from tillwatch.audit.reading import SIDES, SideFault
from tillwatch.errors import Cause, SourceError
from tillwatch.sources.base import Source
from tillwatch.sources.sql import SqlSource
from tillwatch.sources.sql.session import Session

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
#: With more differing rows than this, reading everything is cheaper than asking for single keys.
MAX_DIFFERING_SHARE = 0.3
MAX_KEYS = 200_000
#: Keys sampled for each boundary.
_KEYS_PER_BOUNDARY = 2
#: Which side gives the boundaries: the one that samples cheaper.
_SAMPLERS = ("postgresql", "sqlite", "mysql")


def inability(left: Source, right: Source) -> str:
    """Why sums cannot even be tried; empty when they can."""
    for source in (left, right):
        if not isinstance(source, SqlSource):
            return f"{source.id} ({source.kind}) cannot hash rows itself"
    return ""


@dataclass(kw_only=True)
class _Found:
    """What a run knows so far."""

    rows: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, ...], None] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)


class Digest:
    """Sums in both databases. Proves the same as a stream, from far fewer bytes."""

    name: ClassVar[str] = "digest"

    def find(self, task: Task) -> str:
        sources = task.sides.sources
        if why := inability(sources["left"], sources["right"]):
            raise Unsuited(why)
        found = _Found()
        try:
            with Pair(task.sides, task.gate) as pair:
                self._compare(pair, task, found)
        except Refused as refused:
            raise Unsuited(str(refused)) from refused
        names = task.declared.key_names
        if found.keys:
            task.sides.read_found([dict(zip(names, key, strict=True)) for key in found.keys])
        for side in SIDES:
            task.sides.account(side, rows=found.rows[side], bytes_read=0, requests=0)
        refuse_repeated(task)
        find_suspects(task)
        return "; ".join(found.how)

    def _compare(self, pair: Pair, task: Task, found: _Found) -> None:
        sessions = _open(pair, task)
        try:
            askers = prepare(pair, task.declared, sessions)
            _Run(pair, task, askers, found).go()
        except SideFault as fault:
            if _is_inability(fault):
                raise Unsuited(f"a server refused to compute it: {fault}") from fault
            raise
        finally:
            for side in SIDES:
                session = sessions.of(side)
                task.sides.account(side, rows=0, bytes_read=session.bytes_read, requests=session.requests)


def _is_inability(fault: SideFault) -> bool:
    """A statement of ours the server would not run; the same rows can still be read."""
    cause = fault.__cause__
    return type(cause) is SourceError and cause.cause is Cause.APPLICATION


def _open(pair: Pair, task: Task) -> Both[Session]:
    fields = [rule.name for rule in (*task.declared.key, *task.declared.fields)]

    def opened(side: str) -> Session:
        source = task.sides.sources[side]
        assert isinstance(source, SqlSource)
        session = source.session(task.sides.reads[side].dataset, fields)
        session.open()
        pair.at_end(side, session.close)
        return session

    return pair.both("connecting", opened)


class _Run:
    """One comparison over two sides that can be asked."""

    def __init__(self, pair: Pair, task: Task, askers: Both[Asker], found: _Found) -> None:
        self._pair, self._task, self._askers, self._found = pair, task, askers, found

    def go(self) -> None:
        """Find the keys that differ. Raises Unsuited for keys that only reading can tell apart."""
        repeated = self._pair.both("looking for repeated keys", self._repeated)
        for side in SIDES:
            if repeated.of(side):
                raise Unsuited(f"{self._task.sides.reads[side]} holds keys more than once")
        estimated = self._pair.both("estimating", lambda side: self._askers.of(side).session.estimated_rows())
        boundaries = self._boundaries(estimated)
        every = range(len(boundaries) + 1)
        clean = True
        if len(every) >= MIN_SAMPLE * 4:
            sample = list(every[:: min(round(1 / SAMPLE_SHARE), len(every) // MIN_SAMPLE)])
            dirty = self._dirty(self._sums(boundaries, sample), sample)
            clean = not dirty
            if len(dirty) > MAX_DIRTY_SHARE * len(sample):
                self._list_all(boundaries, sample, len(dirty))
                return
        if clean and self._one_pass():
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
        keyless = self._pair.both("looking for unusable keys", lambda side: self._askers.of(side).keyless())
        for side in SIDES:
            if count := keyless.of(side):
                raise Unsuited(
                    f"{self._task.sides.reads[side]} writes {count} keys differently from how they are compared"
                )

    def _refuse_many(self, rows: int, said: str) -> None:
        if len(self._found.keys) > MAX_DIFFERING_SHARE * rows:
            raise Unsuited(f"{said}, and in them {len(self._found.keys)} of {rows} rows")

    def _repeated(self, side: str) -> bool:
        asker = self._askers.of(side)
        if asker.session.is_unique(self._task.declared.key_names):
            return False
        return asker.repeated() > 0

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

    def _list_all(self, boundaries: Sequence[Key], sample: Sequence[int], dirty: int) -> None:
        """Most ranges differ, so summing them would only say so: list them all, unless most rows differ too."""
        self._list(boundaries, sample)
        said = f"of {len(sample)} sampled ranges {dirty} differ"
        self._refuse_many(max(self._found.rows.values()), said)
        self._found.how.append(f"{said}, so the hashes of all rows were compared one by one")
        self._found.keys.clear()
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
