"""Streaming a large audit in units, several at a time; a killed run goes on from the units it finished."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tillwatch.audit import buckets
from tillwatch.audit.compare import Task, Unsuited
from tillwatch.audit.declare import signature
from tillwatch.audit.reading import POLL_SECONDS, SIDES
from tillwatch.audit.rows import Faults
from tillwatch.audit.tiers import Tier
from tillwatch.audit.turns import SHARED, Throttle
from tillwatch.audit.units import UNIT_ROWS, Unit, UnitResult, compare_unit, cut
from tillwatch.audit.workers import Workers
from tillwatch.model.proof import Bucket, Mark


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a large audit may be spread over."""

    #: The chain directory, from which each worker reads the audit and the passwords.
    chain: Path
    workers: Workers
    #: How many of them look into a database at once.
    throttle: Throttle = SHARED
    unit_rows: int = UNIT_ROWS


@dataclass(kw_only=True)
class Ranges:
    """As streaming, for two sides that can be read in buckets."""

    name: ClassVar[str] = Tier.STREAM.value

    #: Proven by the run this one goes on from; empty when it begins.
    known: Mapping[str, Bucket]
    left: Mapping[str, Mark]
    right: Mapping[str, Mark]
    prefix: int
    scale: Scale
    #: Told after each unit which buckets have been read so far and were readable.
    checkpoint: Callable[[set[str]], None]
    #: Filled by `find`, with the same.
    read: set[str] = field(default_factory=set)
    finished: bool = False

    def find(self, task: Task) -> str:
        todo = buckets.changed(self.known, self.left, self.right)
        pieces = cut(todo, self.left, self.right, rows=self.scale.unit_rows)
        for read in task.sides.reads.values():
            # Of whatever was tried before.
            read.faults = Faults()
        self._compute(task, list(pieces))
        for side, marks in zip(SIDES, (self.left, self.right), strict=True):
            task.sides.reads[side].rows = buckets.rows_in(marks)
        self.finished = True
        resumed = len(self.left.keys() | self.right.keys()) - len(todo)
        return f"in {len(pieces)} units" + (
            f"; {resumed} buckets were read by a run that did not end" if resumed else ""
        )

    def _compute(self, task: Task, pieces: list[frozenset[str]]) -> None:
        running: dict[Future[UnitResult], frozenset[str]] = {}
        throttle, places = task.sides.turn.throttle, task.sides.turn.places
        # The turn of this run is one unit's; each further one needs places of its own.
        more = 0
        with self.scale.workers.executor() as executor:
            try:
                while pieces or running:
                    task.gate.check(f"comparing, {len(pieces) + len(running)} units to go")
                    while pieces and (not running or throttle.take(places)):
                        more += bool(running)
                        piece = pieces.pop(0)
                        running[executor.submit(compare_unit, self._unit(task, piece))] = piece
                    done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        piece = running.pop(future)
                        if more:
                            throttle.give_back(places)
                            more -= 1
                        self._merge(task, future.result(), piece)
            except BrokenProcessPool as error:
                raise Unsuited("a process that compared a part of it was killed") from error
            finally:
                for future in running:
                    future.cancel()
                for _ in range(more):
                    throttle.give_back(places)

    def _unit(self, task: Task, piece: frozenset[str]) -> Unit:
        return Unit(
            chain=str(self.scale.chain),
            audit=task.declared.spec.id,
            signature=signature(task.declared),
            prefix=self.prefix,
            buckets=piece,
            timeout_seconds=max(1.0, task.gate.deadline - task.gate.clock.monotonic()),
        )

    def _merge(self, task: Task, result: UnitResult, piece: frozenset[str]) -> None:
        for side in SIDES:
            task.sides.reads[side].include(result.reads[side])
        if not all(read.exact_keys for read in task.sides.reads.values()):
            raise Unsuited("a side writes some keys differently from how they are compared, so buckets do not match")
        for pair in result.suspects:
            task.spill.suspect(pair)
        if any(result.reads[side].faults for side in SIDES):
            # A value that nobody could read is not proven equal to anything, so a run that goes on from here meets it
            # again: it must not be clean because this one was killed, or ended without an answer.
            return
        self.read |= piece
        self.checkpoint(set(self.read))
