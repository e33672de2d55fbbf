"""Is a sync that stands still behind, or are rows lost? Told by the datasets' own change fields, whatever the strategy.

The rule: a sync delivers in order, give or take a window. So a differing row is still on its way when nothing written
much later than it has arrived, that is when the differing rows are the newest ones. What has arrived is bounded twice:

* on the right, nothing newer than its newest change has arrived;
* of the left, nothing newer than its newest row that is equal on both sides has arrived.

Each alone may be too new: the right may be written by others, and a value that went and came back is equal without
having travelled. Neither can be too old, so the older of them holds, and a row that is lost while the sync works is
never excused. Only rows of the last windows are asked for: older ones are lost anyway (`MAX_LATE_WINDOWS`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from tillwatch.audit.compare import Difference, Task
from tillwatch.audit.reading import SIDES
from tillwatch.audit.rows import Encoder
from tillwatch.audit.spill import Half, Pair, Stand
from tillwatch.audit.suspects import MAX_LATE_WINDOWS, Horizon
from tillwatch.model.audit import Value
from tillwatch.sources.base import Source

#: With more rows written in the last windows than this, asking for them would be an audit of its own.
MAX_RECENT = 50_000


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A row and when it says it was changed."""

    moment: datetime
    half: Half


@dataclass(frozen=True, kw_only=True)
class Recent:
    """Rows of both sides that say they changed `since`, by key; `right` is None when that side cannot tell."""

    since: datetime
    left: Mapping[bytes, Dated]
    right: Mapping[bytes, Dated] | None


def arrived(recent: Recent, differing: Collection[bytes], read_at: datetime, difference: Difference) -> datetime:
    """When the newest row was written that can have arrived.

    A right side that cannot tell its changes is judged by what the reading at `read_at` found: what was written later
    was never compared.
    """
    if recent.right is None:
        return max(
            (row.moment for key, row in recent.left.items() if row.moment <= read_at and key not in differing),
            default=recent.since,
        )
    equal = [
        row.moment
        for key, row in recent.left.items()
        if (there := recent.right.get(key)) is not None
        and difference.fields(Pair(key=key, left=row.half, right=there.half)) == ()
    ]
    newest = max((row.moment for row in recent.right.values()), default=recent.since)
    return min(max(equal, default=recent.since), newest)


def horizon(task: Task, read_at: datetime, window: float) -> tuple[Horizon, Mapping[bytes, Dated]] | None:
    """How far the sync had come, and the rows of the left that changed lately; None when the left cannot tell.

    Raises SideFault when a side no longer answers.
    """
    now = task.gate.clock.now()
    recent = _recent(task, now - MAX_LATE_WINDOWS * timedelta(seconds=window))
    if recent is None:
        return None
    undecided = (Stand.CONFIRMED, Stand.PENDING, Stand.LATE)
    differing = {pair.key for stand in undecided for pair in task.spill.suspects(stand)}
    there = arrived(recent, differing, read_at, Difference(task.declared.fields))
    seen_at = read_at if recent.right is None else now
    reached = Horizon(read_at=seen_at, arrived=there, window=timedelta(seconds=window))
    moments = [row.moment for key, row in recent.left.items() if key in differing]
    return replace(reached, in_order=not queues(moments, reached)), recent.left


def queues(differing: Collection[datetime], reached: Horizon) -> bool:
    """Whether more rows wait behind all that arrived than were overtaken by it. Only then the overtaken ones are part
    of a queue; a few old rows that others passed by are lost, however new the last one is."""
    waiting = sum(moment > reached.arrived for moment in differing)
    overtaken = sum(reached.arrived - reached.window < moment <= reached.arrived for moment in differing)
    return waiting >= overtaken


def _recent(task: Task, since: datetime) -> Recent | None:
    if task.declared.shaped:
        return None
    sources = {side: source for side, source in task.sides.sources.items() if source.capabilities.since}
    if "left" not in sources:
        return None
    described = task.sides.ask(
        {side: source.describe for side, source in sources.items()}, "asking each side for its change field"
    )
    fields = {
        side: one.datasets[task.sides.reads[side].dataset].change_field
        for side, one in described.items()
        if task.sides.reads[side].dataset in one.datasets
    }
    questions = {
        side: partial(_dated, task, side, sources[side], fields[side], since) for side in SIDES if fields.get(side)
    }
    if "left" not in questions:
        return None
    found = task.sides.ask(questions, "asking each side what changed lately")
    left, right = found["left"], found.get("right")
    return None if left is None else Recent(since=since, left=left, right=right)


def _dated(task: Task, side: str, source: Source, field: str, since: datetime) -> Mapping[bytes, Dated] | None:
    """Every row changed since, by key; None when they are too many."""
    encoder = Encoder(task.declared, (), str(task.sides.reads[side]))
    found: dict[bytes, Dated] = {}
    columns: Sequence[str] = tuple(dict.fromkeys((*encoder.columns, field)))
    with source.read(task.sides.reads[side].dataset, columns, since=since) as reading:
        for batch in reading:
            for row in batch:
                encoded, moment = encoder.encode(row), moment_of(row[field])
                if encoded is not None and moment is not None:
                    found[encoded.key] = Dated(moment=moment, half=Half(cells=encoded.cells, context=encoded.context))
            if len(found) > MAX_RECENT:
                return None
    return found


def moment_of(value: Value) -> datetime | None:
    """A change field as a moment; without a zone it is UTC, as sources promise of change fields."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
