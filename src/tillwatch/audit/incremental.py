"""Strategies that look only at what may have changed since the audit was last proven."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from tillwatch.audit import buckets
from tillwatch.audit.compare import Task, Unsuited, find_suspects, refuse_repeated
from tillwatch.audit.pushdown import parts
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.reading import SIDES, Ask, under_keys
from tillwatch.audit.rows import decode_key
from tillwatch.audit.tiers import Tier
from tillwatch.audit.units import slices_of
from tillwatch.model.proof import Bucket, Mark

#: With a larger part of all rows to read, streaming all of them is cheaper than picking.
MAX_READ_SHARE = 0.5
#: Changed rows fetched by key at most; with more, reading everything is cheaper.
MAX_DELTA_KEYS = 20_000
#: A row may be dated this much before it can be seen: transactions stay open, clocks of one system disagree.
MIN_OVERLAP = timedelta(seconds=60)


@dataclass(kw_only=True)
class Fingerprint:
    """Read the buckets that changed on either side since they were proven equal, and those looked at longest ago."""

    name: ClassVar[str] = Tier.FINGERPRINT.value

    known: Mapping[str, Bucket]
    left: Mapping[str, Mark]
    right: Mapping[str, Mark]
    prefix: int
    verify_share: float
    #: Filled by `find`.
    read: set[str] = field(default_factory=set)
    finished: bool = False

    def find(self, task: Task) -> str:
        changed = buckets.changed(self.known, self.left, self.right)
        again = buckets.oldest(self.known, self.known.keys() - changed, self.verify_share)
        self.read = changed | again
        total, to_read = self._rows(None), self._rows(changed)
        there = len(self.left.keys() | self.right.keys())
        if to_read > MAX_READ_SHARE * total:
            raise Unsuited(f"{len(changed)} of {there} buckets changed, which is {to_read} of {total} rows")
        if self.read:
            self._read_slices(task)
        for side, marks in zip(SIDES, (self.left, self.right), strict=True):
            task.sides.reads[side].rows = buckets.rows_in(marks)
        self.finished = True
        return f"{len(changed)} of {there} buckets changed, {len(again)} were verified again"

    def _rows(self, names: Collection[str] | None) -> int:
        """Of both sides, in these buckets or in all."""
        return buckets.rows_in(self.left, names) + buckets.rows_in(self.right, names)

    def _read_slices(self, task: Task) -> None:
        to_read = self.read
        if self._rows(to_read) > parts.MIN_ROWS:
            # Most rows beside one that changed are as they were: their sums say so without being read.
            to_read = parts.unequal(task, to_read, self.prefix)
        if not to_read:
            return
        ask = slices_of(task.declared, self.prefix, frozenset(to_read))
        task.sides.read_by(dict.fromkeys(SIDES, ask))
        if not all(read.exact_keys for read in task.sides.reads.values()):
            raise Unsuited("a side writes some keys differently from how they are compared, so buckets do not match")
        refuse_repeated(task)
        find_suspects(task)


@dataclass(kw_only=True)
class Delta:
    """Ask each side which rows changed, and both for the rows under those keys and under the keys known to differ."""

    name: ClassVar[str] = Tier.DELTA.value

    #: By side: rows dated before this were there when the audit was last proven.
    since: Mapping[str, datetime]
    known: tuple[Mapping[str, str], ...]
    #: By side: rows when they were last counted.
    rows: Mapping[str, int]
    #: By side: the field that says when a row changed.
    fields: Mapping[str, str]

    def find(self, task: Task) -> str:
        for side in SIDES:
            if not task.sides.sources[side].capabilities.keys:
                raise Unsuited(f"{task.sides.reads[side]} cannot be asked for single rows")
        overlap = max(2 * task.declared.spec.settle, MIN_OVERLAP)
        since = {side: self.since[side] - overlap for side in SIDES}
        try:
            changed = parts.moved(task, self.fields, since)
            rows, keys = changed.rows, [dict(zip(task.declared.key_names, key, strict=True)) for key in changed.keys]
        except Refused:
            keys = self._read_changed(task, since)
            rows = len(keys)
        if len(keys) > MAX_DELTA_KEYS:
            raise Unsuited(f"more than {MAX_DELTA_KEYS} rows changed")
        wanted = {tuple(key.values()): key for key in (*keys, *map(dict, self.known))}
        if wanted:
            task.sides.read_by(dict.fromkeys(SIDES, under_keys(tuple(wanted.values()))))
            self._check(task)
            find_suspects(task)
        for side in SIDES:
            task.sides.reads[side].rows = self.rows[side]
        return f"{rows} rows changed on a side, {len(self.known)} were known to differ"

    def _read_changed(self, task: Task, since: Mapping[str, datetime]) -> list[dict[str, str]]:
        task.sides.read_by({side: _since(since[side]) for side in SIDES})
        self._check(task)
        return [decode_key(task.declared, key) for key in task.spill.keys(limit=MAX_DELTA_KEYS + 1)]

    def _check(self, task: Task) -> None:
        if not all(read.exact_keys for read in task.sides.reads.values()):
            raise Unsuited("a side writes some keys differently from how they are compared, so rows cannot be matched")
        refuse_repeated(task)


def _since(moment: datetime) -> Ask:
    return lambda source, dataset, columns: source.read(dataset, columns, since=moment)
