"""Is data still arriving? The age of the newest synced document, or of the oldest that waits to be synced."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel

from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import Cause, SchemaMismatch
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.workers import Workers
from tillwatch.sources.base import Source

#: How far back we look for the last document when none is fresh: enough to name the age, little enough to read.
LOOK_BACK = timedelta(days=7)
#: A document from the future by more than this means clocks that disagree, not data that is fresh.
MAX_AHEAD = timedelta(minutes=2)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


class FreshnessOptions(Strict):
    #: The dataset whose newest document counts.
    dataset: str
    max_age: Annotated[Duration, AfterValidator(_positive)]
    #: The dataset of all documents that should arrive. With it, nothing is stale while nothing waits: a closed shop
    #: sells nothing, and its last order may be as old as it likes.
    waiting: str = ""
    #: The field that holds the time.
    field: str = "changed_at"


@dataclass(frozen=True, kw_only=True)
class Lag:
    """What the source says: the newest arrival and the oldest document that came after it and has not arrived."""

    newest: datetime | None
    oldest_waiting: datetime | None = None


class FreshnessProber:
    kind: ClassVar[str] = "freshness"
    Options: ClassVar[type[BaseModel]] = FreshnessOptions

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def problems(self, target: Target) -> Sequence[str]:
        if target.system is None:
            return ("a freshness probe needs the key 'system': where the dataset lives",)
        if target.source is None:
            return (f"system '{target.system.id}' ({target.system.source}) has no datasets",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options, source = target.options, target.source
        assert isinstance(options, FreshnessOptions) and source is not None
        now = recorder.clock.now()
        with recorder.timing("read"):
            lag = await self._workers.call(target.probe.id, lambda: read_lag(source, options, now))
        recorder.log(f"newest in {options.dataset}: {lag.newest.isoformat() if lag.newest else 'none'}")
        if options.waiting:
            waiting = lag.oldest_waiting.isoformat() if lag.oldest_waiting else "none"
            recorder.log(f"oldest in {options.waiting} after it: {waiting}")
            recorder.evidence("oldest_waiting", lag.oldest_waiting.isoformat() if lag.oldest_waiting else None)
        recorder.evidence("newest", lag.newest.isoformat() if lag.newest else None)
        seconds = lag_seconds(lag, options, now)
        if seconds is not None:
            recorder.measure("tillwatch_sync_lag_seconds", seconds)
        return judge(lag, options, now)


def read_lag(source: Source, options: FreshnessOptions, now: datetime) -> Lag:
    """Read only the time field, only as far back as needed."""
    horizon = now - LOOK_BACK
    newest = max(_times(source, options.dataset, options.field, since=now - options.max_age), default=None)
    if newest is None:
        newest = max(_times(source, options.dataset, options.field, since=horizon), default=None)
    if not options.waiting:
        return Lag(newest=newest)
    floor = newest or horizon
    waiting = (time for time in _times(source, options.waiting, options.field, since=floor) if time > floor)
    return Lag(newest=newest, oldest_waiting=min(waiting, default=None))


def lag_seconds(lag: Lag, options: FreshnessOptions, now: datetime) -> float | None:
    """Seconds behind; 0 when nothing waits, None when there is nothing to measure from."""
    if options.waiting:
        return max(0.0, (now - lag.oldest_waiting).total_seconds()) if lag.oldest_waiting else 0.0
    return max(0.0, (now - lag.newest).total_seconds()) if lag.newest else None


def judge(lag: Lag, options: FreshnessOptions, now: datetime) -> Finding:
    """Stale, fresh, or from the future."""
    if lag.newest is not None and lag.newest - now > MAX_AHEAD:
        ahead = _spell(lag.newest - now)
        return Finding(
            outcome=Outcome.DEGRADED,
            cause=Cause.DATA,
            message=f"the newest document of '{options.dataset}' is {ahead} in the future; compare the clocks",
            message_zh=f"{options.dataset} 最新单据的时间比现在晚 {ahead}，请核对时钟",
        )
    limit = _spell(options.max_age)
    if options.waiting:
        if lag.oldest_waiting is None or now - lag.oldest_waiting <= options.max_age:
            return OK
        waited = _spell(now - lag.oldest_waiting)
        return Finding(
            outcome=Outcome.FAILED,
            cause=Cause.BACKLOG,
            message=f"a document of '{options.waiting}' has waited {waited} to be synced, more than {limit}",
            message_zh=f"{options.waiting} 中有单据等待同步已 {waited}，超过 {limit}",
        )
    if lag.newest is None:
        days = LOOK_BACK.days
        return Finding(
            outcome=Outcome.FAILED,
            cause=Cause.DATA,
            message=f"no document of '{options.dataset}' in the last {days} days, at most {limit} old expected",
            message_zh=f"{options.dataset} 最近 {days} 天没有任何单据，应不超过 {limit}",
        )
    age = now - lag.newest
    if age <= options.max_age:
        return OK
    return Finding(
        outcome=Outcome.FAILED,
        cause=Cause.DATA,
        message=f"the newest document of '{options.dataset}' is {_spell(age)} old, more than {limit}",
        message_zh=f"{options.dataset} 最新单据已有 {_spell(age)}，超过 {limit}",
    )


def _times(source: Source, dataset: str, field: str, *, since: datetime) -> Iterator[datetime]:
    """The times at or after `since`. Raises SchemaMismatch when the field holds something else."""
    bound = since if source.capabilities.since else None
    with source.read(dataset, [field], since=bound) as reading:
        for batch in reading:
            for row in batch:
                value = row.get(field)
                if isinstance(value, datetime):
                    if value >= since:
                        yield value
                elif value is not None:
                    raise SchemaMismatch(
                        f"field '{field}' of dataset '{dataset}' in system '{source.id}' holds '{value}', not a time; "
                        "name the field that says when a document changed"
                    )


def _spell(duration: timedelta) -> str:
    """`1h12m`, `45s`: the two largest units."""
    seconds = max(0, int(duration.total_seconds()))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count and len(parts) < 2:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
