"""Reading both sides at once into the spill: in bounded batches, under one deadline, and checked against their own
count.

Each side is read on a thread of its own, because a source may block; the caller's thread alone encodes and spills. A
side that hangs is left behind when the deadline passes: its thread ends when the source's own timeout lets it go.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tillwatch.audit.declare import Declared
from tillwatch.audit.intake import Intake
from tillwatch.audit.rows import Encoder, Faults
from tillwatch.audit.shape import Shape
from tillwatch.audit.spill import Spill
from tillwatch.audit.turns import SHARED, Throttle, Turn, in_turn
from tillwatch.clock import Clock
from tillwatch.errors import SchemaMismatch, TillwatchError
from tillwatch.model.audit import Row, Verdict
from tillwatch.sources.base import Reading, Source, Tail

#: Batches waiting between readers and the spill: enough to keep both busy, few enough to bound memory.
MAX_BATCHES_WAITING = 8
#: How often the deadline and a request to stop are looked at while a side is silent.
POLL_SECONDS = 0.1
#: How long a side that is given up may take to notice it, before its thread is left behind.
LEAVE_SECONDS = 0.5
#: A side that moved while it was read is read once more; a second time it is not evidence.
MAX_READS = 2

SIDES = ("left", "right")


class SideFault(TillwatchError):
    """The comparison cannot go on; `verdict` is failed or inconclusive and the message is the reason."""

    def __init__(self, message: str, *, verdict: Verdict = Verdict.FAILED) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(kw_only=True)
class Gate:
    """What every step of an audit asks before it goes on: the deadline, a request to stop, and a sign of life."""

    clock: Clock
    #: Monotonic seconds; moved on by the time spent waiting for rows to settle.
    deadline: float
    timeout_seconds: float
    stop: threading.Event
    #: Called often and cheaply: renews the lease of the run and shows progress.
    alive: Callable[[], None] = lambda: None
    #: What it is that runs, for messages.
    what: str = "audit"

    def check(self, doing: str) -> None:
        """Raises SideFault when time is up or the audit was told to stop."""
        self.alive()
        if self.stop.is_set():
            raise SideFault(f"stopped while {doing}; run the {self.what} again")
        if self.clock.monotonic() >= self.deadline:
            raise SideFault(
                f"not finished after {self.timeout_seconds:g} s, while {doing}; "
                f"raise the {self.what}'s timeout or look at why the side is slow"
            )


@dataclass(kw_only=True)
class SideRead:
    """What reading one side gave, over all its readings."""

    name: str
    system: str
    dataset: str
    rows: int = 0
    bytes_read: int = 0
    requests: int = 0
    reads: int = 0
    #: Rows looked at, over all readings, here or where they lie; `rows` is what the side holds.
    rows_read: int = 0
    token: str = ""
    #: Every key seen so far is written by the system exactly as we compare it, so rows can be asked for by key.
    exact_keys: bool = True
    faults: Faults = field(default_factory=Faults)

    def __str__(self) -> str:
        return f"{self.system}.{self.dataset}"

    def include(self, part: "SideRead") -> None:
        """Add what was read of a part of this side elsewhere."""
        self.bytes_read += part.bytes_read
        self.requests += part.requests
        self.reads += part.reads
        self.rows_read += part.rows_read
        self.exact_keys = self.exact_keys and part.exact_keys
        self.faults.include(part.faults)


class Leftovers:
    """Reading threads left behind when a deadline passed, by system. While one hangs, its system is not read again:
    a source that never answers costs one thread, not one a run. Thread-safe; shared by all runs of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, list[threading.Thread]] = {}

    def leave(self, system: str, thread: threading.Thread) -> None:
        with self._lock:
            self._threads.setdefault(system, []).append(thread)

    def hangs(self, system: str) -> bool:
        with self._lock:
            alive = [thread for thread in self._threads.get(system, ()) if thread.is_alive()]
            self._threads[system] = alive
            return bool(alive)


@dataclass(kw_only=True)
class Progress:
    """Rows read so far, for whoever watches."""

    left: int = 0
    right: int = 0


_Item = tuple[str, "list[Row] | Tail | BaseException"]
#: How one side is read: its source, the dataset and the columns.
Ask = Callable[[Source, str, Sequence[str]], Reading]
T = TypeVar("T")


class Sides:
    """Both sides of one audit run and everything read from them."""

    def __init__(
        self,
        declared: Declared,
        left: Source,
        right: Source,
        *,
        spill: Spill,
        gate: Gate,
        leftovers: Leftovers,
        progress: Progress,
        throttle: Throttle = SHARED,
    ) -> None:
        self._declared = declared
        self.leftovers = leftovers
        self.turn = Turn(throttle, (left, right), gate)
        self.sources: Mapping[str, Source] = {"left": left, "right": right}
        self._spill = spill
        self._gate = gate
        self._progress = progress
        spec = declared.spec
        self.reads: Mapping[str, SideRead] = {
            "left": SideRead(name="left", system=spec.left.system, dataset=spec.left.dataset),
            "right": SideRead(name="right", system=spec.right.system, dataset=spec.right.dataset),
        }

    @property
    def left(self) -> SideRead:
        return self.reads["left"]

    @property
    def right(self) -> SideRead:
        return self.reads["right"]

    def can_ask_by_key(self) -> bool:
        """Whether both systems can be asked for single rows and write their keys as we compare them."""
        return all(self.sources[side].capabilities.keys and self.reads[side].exact_keys for side in SIDES)

    def read_all(self, *, pending_only: bool = False) -> None:
        """Both datasets from end to end; with `pending_only` only rows of pending suspects are kept.

        A side whose count or stability speaks against the reading is read once more. Raises SideFault.
        """
        self.read_by(dict.fromkeys(SIDES, under_keys(None)), pending_only=pending_only)

    def read_by(self, asks: Mapping[str, Ask], *, pending_only: bool = False, further: bool = False) -> None:
        """As `read_all`, with a reading of each side's own. What was read before is forgotten, except, with `further`
        rows beside those read before, what was wrong with them."""
        before = {side: read.faults for side, read in self.reads.items()} if further else {}
        todo: Sequence[str] = SIDES
        for attempt in range(1, MAX_READS + 1):
            doubts = self._read(todo, asks, pending_only=pending_only)
            todo = [side for side in SIDES if doubts.get(side)]
            if not todo:
                for side, faults in before.items():
                    self.reads[side].faults.include(faults)
                return
            if attempt == MAX_READS:
                raise SideFault(
                    "; ".join(doubts[side] for side in todo) + "; read twice, so this is no evidence of drift",
                    verdict=Verdict.INCONCLUSIVE,
                )

    def read_found(self, keys: Sequence[Mapping[str, str]]) -> None:
        """Of both sides the rows under `keys`, and no others, when everything else was proven equal elsewhere: what is
        wrong with these rows is all that is wrong. Raises SideFault."""
        doubts = self._read(SIDES, dict.fromkeys(SIDES, under_keys(keys)), pending_only=False)
        if wrong := [doubt for doubt in doubts.values() if doubt]:
            raise SideFault("; ".join(wrong), verdict=Verdict.INCONCLUSIVE)

    def account(self, side: str, *, rows: int, bytes_read: int, requests: int) -> None:
        """Say what was looked at elsewhere: `rows` is how many the side has."""
        read = self.reads[side]
        read.rows = rows
        read.rows_read += rows
        read.bytes_read += bytes_read
        read.requests += requests
        setattr(self._progress, side, rows)

    def read_keys(self, keys: Sequence[Mapping[str, str]]) -> None:
        """Only the rows under `keys`, from both sides. Raises SideFault."""
        doubts = self._read(SIDES, dict.fromkeys(SIDES, under_keys(keys)), pending_only=True)
        if wrong := [doubt for doubt in doubts.values() if doubt]:
            raise SideFault("; ".join(wrong), verdict=Verdict.INCONCLUSIVE)

    @in_turn
    def ask(self, questions: Mapping[str, Callable[[], T]], doing: str) -> dict[str, T]:
        """The answer of each side to a question that gives no rows, both asked at once. Raises SideFault."""
        box: queue.Queue[tuple[str, T | BaseException]] = queue.Queue()
        self.refuse_hanging(tuple(questions))

        def answer(side: str, question: Callable[[], T]) -> None:
            try:
                box.put((side, question()))
            except BaseException as error:
                box.put((side, error))

        threads: dict[str, threading.Thread] = {}
        for side, question in questions.items():
            name = f"audit-{self._declared.spec.id}-{side}"
            threads[side] = threading.Thread(target=answer, args=(side, question), name=name, daemon=True)
            threads[side].start()
        found: dict[str, T] = {}
        try:
            while len(found) < len(questions):
                self._gate.check(doing)
                try:
                    side, got = box.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(got, BaseException):
                    raise self.fault(side, got)
                found[side] = got
        finally:
            self._leave(threads)
        return found

    @in_turn
    def _read(self, todo: Sequence[str], asks: Mapping[str, Ask], *, pending_only: bool) -> dict[str, str]:
        """Read the sides in `todo`; what speaks against each reading, empty when nothing does."""
        box: queue.Queue[_Item] = queue.Queue(MAX_BATCHES_WAITING)
        cancel = threading.Event()
        intakes: dict[str, Intake] = {}
        threads: dict[str, threading.Thread] = {}
        self.refuse_hanging(todo)
        for side in todo:
            self._spill.clear(side)
            context = self._declared.left_context if side == "left" else self._declared.right_context
            encoder = Encoder(self._declared, context, str(self.reads[side]), self._shape(side))
            intakes[side] = Intake(side, encoder, self._spill, pending_only=pending_only)
            threads[side] = self._start(side, encoder.columns, asks[side], box, cancel)
        read: dict[str, int] = dict.fromkeys(todo, 0)
        doubts: dict[str, str] = {}
        try:
            while len(doubts) < len(todo):
                side, item = self._take(box, [side for side in todo if side not in doubts])
                if isinstance(item, Tail):
                    doubts[side] = self._finished(side, item, read[side], intakes[side], whole=not pending_only)
                elif isinstance(item, BaseException):
                    raise self.fault(side, item)
                else:
                    read[side] += len(item)
                    intakes[side].take(item)
                    setattr(self._progress, side, read[side])
        except SchemaMismatch as error:
            raise SideFault(str(error)) from error
        finally:
            cancel.set()
            self._leave(threads)
        return doubts

    def _leave(self, threads: Mapping[str, threading.Thread]) -> None:
        for side, thread in threads.items():
            thread.join(LEAVE_SECONDS)
            if thread.is_alive():
                self.leftovers.leave(self.reads[side].system, thread)

    def refuse_hanging(self, todo: Sequence[str]) -> None:
        """Raises SideFault when an earlier reading of one of these sides never ended."""
        for side in todo:
            if self.leftovers.hangs(self.reads[side].system):
                raise SideFault(
                    f"{self.reads[side]} was not read: an earlier reading of {self.reads[side].system} still hangs; "
                    "lower that source's timeout_seconds or look at why it does not answer"
                )

    def _start(
        self, side: str, columns: Sequence[str], ask: Ask, box: "queue.Queue[_Item]", cancel: threading.Event
    ) -> threading.Thread:
        source, dataset = self.sources[side], self.reads[side].dataset

        def put(item: "list[Row] | Tail | BaseException") -> bool:
            while not cancel.is_set():
                try:
                    box.put((side, item), timeout=POLL_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        def read() -> None:
            try:
                with ask(source, dataset, columns) as reading:
                    for batch in reading:
                        if not put(batch):
                            return
                    put(reading.tail)
            except BaseException as error:
                put(error)

        name = f"audit-{self._declared.spec.id}-{side}"
        thread = threading.Thread(target=read, name=name, daemon=True)
        thread.start()
        return thread

    def _take(self, box: "queue.Queue[_Item]", open_sides: Sequence[str]) -> _Item:
        while True:
            self._gate.check("reading " + " and ".join(str(self.reads[side]) for side in open_sides))
            try:
                return box.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue

    def _finished(self, side: str, tail: Tail, rows: int, intake: Intake, *, whole: bool) -> str:
        read = self.reads[side]
        intake.finish()
        read.reads += 1
        read.rows_read += rows
        read.bytes_read += tail.bytes_read
        read.requests += tail.requests
        compared = self._folded(side) if self._declared.shaped else rows
        if whole:
            # Not of a later look: what changed in between would be known to nobody.
            read.token = tail.token or read.token
            read.rows = compared
            read.faults = intake.encoder.faults
            read.exact_keys = read.exact_keys and intake.exact
        return doubt(str(read), tail, rows)

    def _shape(self, side: str) -> Shape:
        return self._declared.left_shape if side == "left" else self._declared.right_shape

    def _folded(self, side: str) -> int:
        """Put the rows of a side together where the audit says so; returns how many are compared."""
        shape, declared = self._shape(side), self._declared
        if not shape.functions:
            return self._spill.rows(side)
        context = declared.left_context if side == "left" else declared.right_context
        return self._spill.fold(side, partial(shape.folded, declared.fields), partial(shape.folded, context))

    def fault(self, side: str, error: BaseException) -> SideFault:
        """What went wrong on `side`, as the end of this run."""
        name = self.reads[side]
        if isinstance(error, SideFault):
            return error
        if isinstance(error, TillwatchError):
            fault = SideFault(f"{name}: {error}")
        else:
            fault = SideFault(f"{name} could not be read, a defect of the source: {type(error).__name__}: {error}")
        fault.__cause__ = error
        return fault


def under_keys(keys: Sequence[Mapping[str, str]] | None) -> Ask:
    """A reading of the rows under `keys`, None = of all."""
    return lambda source, dataset, columns: source.read(dataset, columns, keys=keys)


def doubt(name: str, tail: Tail, rows: int) -> str:
    """What speaks against a finished reading of `rows` rows; empty when nothing does."""
    if tail.rows != rows:
        return f"{name} says it gave {tail.rows} rows, {rows} arrived"
    if tail.server_count is not None and tail.server_count != rows:
        return f"{name} counts {tail.server_count} rows, {rows} arrived"
    if not tail.stable:
        return f"{name} changed while it was read"
    return ""
