"""The strategy for sides that keep track of changes for us: only what changed is read, deletions included.

A side without such a track tells which of its buckets changed; the rows of those are read from both sides, because what
was deleted there can only be found on the other side. What the tracks say is asked for before anything is read: what
changes in between is told by the next one. Tokens are kept with the proof of a run only, so a run that proves nothing
skips no change.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from tillwatch.audit import buckets
from tillwatch.audit.canonical import Unreadable, canonical
from tillwatch.audit.compare import Task, Unsuited, find_suspects, refuse_repeated
from tillwatch.audit.declare import Declared
from tillwatch.audit.incremental import MAX_DELTA_KEYS, MAX_READ_SHARE
from tillwatch.audit.reading import SIDES, Ask, SideFault, under_keys
from tillwatch.audit.tiers import Tier
from tillwatch.model.audit import Value
from tillwatch.model.proof import Mark, Proof
from tillwatch.sources import changes
from tillwatch.sources.base import Reading, Source
from tillwatch.sources.changes import Changes, Slices, TrackLost, Tracks

Marks = Mapping[str, Mark]
Key = tuple[str, ...]


def tracker(task: Task, side: str) -> Tracks | None:
    """The source of a side that keeps track of changes for us."""
    source = task.sides.sources[side]
    return source if isinstance(source, Tracks) and source.tracks(task.sides.reads[side].dataset) else None


def cuts(task: Task, side: str) -> bool:
    """Whether the rows of a bucket can be asked of a side that tracks."""
    source, read = tracker(task, side), task.sides.reads[side]
    if source is None:
        return False
    question = partial(source.cuts, read.dataset, task.declared.key_names)
    return task.sides.ask({side: question}, f"asking {read} how its keys can be asked for")[side]


@dataclass(kw_only=True)
class Tracked:
    """Ask the tracks, read the keys they name and the buckets that changed on a side without a track."""

    name: ClassVar[str] = Tier.DELTA.value

    #: By side, of those that track.
    tokens: Mapping[str, str]
    #: By side: everything an audit reads of it.
    columns: Mapping[str, Sequence[str]]
    #: By side, of those that do not track: their buckets now.
    marks: Mapping[str, Marks]
    before: Proof
    #: Filled by `find`.
    next_tokens: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    finished: bool = False

    def find(self, task: Task) -> str:
        told = self._ask(task)
        keys = self._keys(task, told)
        changed, notes = self._changed(told), [self._note(task, side, one) for side, one in told.items()]
        if self.marks:
            again = buckets.oldest(
                self.before.buckets, self.before.buckets.keys() - changed, task.declared.spec.verify_share
            )
            self.read = changed | again
            notes.append(f"{len(changed)} buckets changed, {len(again)} were verified again")
        if self.read:
            task.sides.read_by(dict.fromkeys(SIDES, _slices(task.declared, self.before.prefix, self.read)))
            self._compare(task)
        wanted = {key for key in keys if buckets.bucket_of(key, self.before.prefix) not in self.read}
        if wanted:
            names = task.declared.key_names
            asked = [dict(zip(names, key, strict=True)) for key in sorted(wanted)]
            task.sides.read_by(dict.fromkeys(SIDES, under_keys(asked)), further=bool(self.read))
            self._compare(task)
        for side in SIDES:
            task.sides.reads[side].rows = self._rows(side, told)
        self.next_tokens = {side: one.token for side, one in told.items()}
        self.finished = True
        return "; ".join(notes)

    def _ask(self, task: Task) -> dict[str, changes.Tracked]:
        questions = {}
        for side, token in self.tokens.items():
            source, read = task.sides.sources[side], task.sides.reads[side]
            assert isinstance(source, Tracks)
            asked = (read.dataset, self.columns[side], task.declared.key_names, token)
            questions[side] = partial(source.changes_since, *asked, limit=MAX_DELTA_KEYS)
        try:
            return task.sides.ask(questions, "asking what changed")
        except SideFault as fault:
            if isinstance(fault.__cause__, TrackLost):
                raise Unsuited(str(fault.__cause__)) from fault
            raise

    def _keys(self, task: Task, told: Mapping[str, changes.Tracked]) -> set[Key]:
        """Of everything the tracks tell, and everything known to differ. Raises Unsuited."""
        found = {tuple(key[name] for name in task.declared.key_names) for key in self.before.known or ()}
        for side, one in told.items():
            where = str(task.sides.reads[side])
            if one.more:
                raise Unsuited(f"more than {MAX_DELTA_KEYS} rows changed")
            if one.unnamed:
                raise Unsuited(f"{where} names {one.unnamed} changed rows by another key than the audit's")
            found.update(_canonical(task.declared, where, key) for key in one.keys)
        if len(found) > MAX_DELTA_KEYS:
            raise Unsuited(f"more than {MAX_DELTA_KEYS} rows changed")
        return found

    def _changed(self, told: Collection[str]) -> set[str]:
        """Buckets that changed on a side without a track. Raises Unsuited when they hold most of its rows."""
        if not self.marks:
            return set()
        left, right = (self.marks.get(side, {}) for side in SIDES)
        changed = buckets.changed(self.before.buckets, left, right)
        for side, marks in self.marks.items():
            if side not in told and buckets.rows_in(marks, changed) > MAX_READ_SHARE * buckets.rows_in(marks):
                raise Unsuited(f"{len(changed)} of {len(marks)} buckets changed, which is most rows")
        return changed

    def _rows(self, side: str, told: Mapping[str, changes.Tracked]) -> int:
        if side in self.marks:
            return buckets.rows_in(self.marks[side])
        counted = told[side].rows
        before = self.before.left if side == "left" else self.before.right
        return before.rows if counted is None else counted

    def _note(self, task: Task, side: str, told: changes.Tracked) -> str:
        return f"{task.sides.reads[side]} names {len(told.keys)} changed rows, {told.removed} of them removed"

    def _compare(self, task: Task) -> None:
        if not all(read.exact_keys for read in task.sides.reads.values()):
            raise Unsuited("a side writes some keys differently from how they are compared, so rows cannot be matched")
        refuse_repeated(task)
        find_suspects(task)


def _canonical(declared: Declared, where: str, key: Mapping[str, Value]) -> Key:
    """The key as it is compared. Raises Unsuited when the system writes it otherwise: it cannot be asked for."""
    parts: list[str] = []
    for rule in declared.key:
        value = key[rule.name]
        try:
            part = canonical(rule)(value)
        except Unreadable:
            part = None
        if part is None or part != (str(value) if type(value) is int else value):
            raise Unsuited(f"{where} writes some keys differently from how they are compared")
        parts.append(part)
    return tuple(parts)


def _slices(declared: Declared, prefix: int, names: Collection[str]) -> Ask:
    slices = Slices(key=declared.key_names, prefix=prefix, buckets=frozenset(names))

    def ask(source: Source, dataset: str, columns: Sequence[str]) -> Reading:
        assert isinstance(source, Changes | Tracks)
        return source.read_slices(dataset, columns, slices)

    return ask
