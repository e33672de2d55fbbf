"""Sums over a part of both sides: some buckets, or the rows that say they changed. What is equal is proven without
reading a row."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tillwatch.audit.compare import Task, Unsuited
from tillwatch.audit.pushdown.asking import ask
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.statements import EMPTY, Asker, Sums, is_odd, split
from tillwatch.audit.reading import SIDES
from tillwatch.sources.changes import Slices

#: Fewer rows are read sooner than two servers agree on a hash.
MIN_ROWS = 2_000
#: Hashes of changed rows listed at most, when the sums over them differ: a few megabytes.
MAX_LISTED = 100_000


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Which rows say they changed: how many on the side with more of them, and the keys on which the sides differ."""

    rows: int
    keys: list[tuple[str, ...]]


def unequal(task: Task, names: Collection[str], prefix: int) -> set[str]:
    """Those buckets whose sums are not equal, all of them when the servers cannot compute sums. Raises SideFault."""

    def compared(pair: Pair, askers: Both[Asker]) -> set[str]:
        _refuse_repeated(pair, task, askers)
        slices = Slices(key=task.declared.key_names, prefix=prefix, buckets=frozenset(names))
        sums = pair.both("summing the rows of buckets", lambda side: _summed(askers.of(side), slices))
        for side in SIDES:
            task.sides.account(side, rows=sum(one.rows for one in sums.of(side).values()), bytes_read=0, requests=0)
        return {name for name in names if not _alike(sums.left.get(name, EMPTY), sums.right.get(name, EMPTY))}

    with suppress(Refused):
        return ask(task, compared)
    return set(names)


def moved(task: Task, fields: Mapping[str, str], since: Mapping[str, datetime]) -> Moved:
    """The rows whose change field, named by side, is at or after `since`. Raises Refused when the servers cannot say,
    Unsuited when too many rows differ, SideFault."""

    def compared(pair: Pair, askers: Both[Asker]) -> Moved:
        _refuse_repeated(pair, task, askers)
        where = {side: askers.of(side).session.changed_since(fields[side], since[side]) for side in SIDES}
        if not all(where.values()):
            raise Refused("a change field cannot be asked for by SQL")
        doing = "comparing the rows that changed"
        sums = pair.both(doing, lambda side: askers.of(side).named("''", where[side]).get("", EMPTY))
        for side in SIDES:
            task.sides.account(side, rows=sums.of(side).rows, bytes_read=0, requests=0)
        rows = max(sums.left.rows, sums.right.rows)
        if _alike(sums.left, sums.right):
            return Moved(rows=rows, keys=[])
        if rows > MAX_LISTED:
            raise Unsuited(f"{rows} rows changed and are not the same on both sides")
        items = pair.both(doing, lambda side: set(askers.of(side).items(where[side])))
        differing = (items.left ^ items.right) | {item for item in items.left | items.right if is_odd(item)}
        keys = {split(item) for item in differing}
        if any(key is None or len(key) != len(task.declared.key) for key in keys):
            raise Unsuited("a key holds control characters")
        return Moved(rows=rows, keys=sorted(key for key in keys if key is not None))

    return ask(task, compared, fields)


def _refuse_repeated(pair: Pair, task: Task, askers: Both[Asker]) -> None:
    """A part of the rows does not show that a key stands once in all of them; an index of the server does."""
    unique = pair.both("looking at the keys", lambda side: askers.of(side).session.is_unique(task.declared.key_names))
    if not (unique.left and unique.right):
        raise Refused("nothing keeps the keys unique")


def _summed(asker: Asker, slices: Slices) -> dict[str, Sums]:
    group, parts = asker.session.by_bucket(slices)
    found: dict[str, Sums] = {}
    for where, names in parts:
        sums = asker.named(group, where)
        # A range may hold rows of other buckets; those are summed whole elsewhere or not at all.
        found |= {name: sums[name] for name in names if name in sums}
    return found


def _alike(one: Sums, other: Sums) -> bool:
    return one == other and not one.odd
