"""Pages fetched several at once, handed over in order and complete. One thread decides; the others only wait for the
service. What was refused or lost is asked for again, as often as `pace` allows.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceUnavailable
from tillwatch.sources.budget import MAX_RETRY_AFTER_SECONDS, RETRY_WAITS_SECONDS, NotAgain
from tillwatch.sources.odata.pace import MAX_TRIES, Pace, backoff
from tillwatch.sources.odata.session import Meter
from tillwatch.sources.odata.wire import Page

#: Pages that wait for the ones before them, of one strand.
MAX_READY_PAGES = 8


@dataclass(frozen=True, kw_only=True)
class Fetched:
    page: Page
    size: int
    url: str


Ask = Callable[[str], Fetched]


@dataclass(frozen=True, kw_only=True)
class Strand:
    """Pages each of which is known only after the one before."""

    start: str
    #: The address of the page after this one, None at the end.
    follow: Callable[[Fetched], str | None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class _Job:
    url: str
    tries: int = 0
    wait_seconds: float = 0.0


@dataclass(kw_only=True)
class _Lane:
    strand: Strand
    #: What to ask next, None while it is asked and at the end.
    todo: _Job | None
    ready: deque[Fetched] = field(default_factory=deque)
    running: bool = False

    @property
    def finished(self) -> bool:
        return self.todo is None and not self.running and not self.ready


@dataclass(frozen=True, kw_only=True)
class _Answered:
    fetched: Fetched
    began: float
    ended: float


@dataclass(kw_only=True)
class Fetcher:
    """One reading's."""

    ask: Ask
    pool: Executor
    clock: Clock
    pace: Pace
    meter: Meter
    _lanes: deque[_Lane] = field(default_factory=deque)
    _running: dict[Future[_Answered], tuple[_Lane, _Job, float]] = field(default_factory=dict)

    def pages(self, strands: Iterable[Strand]) -> Generator[Fetched, None, None]:
        """Every page of every strand, in order. Raises the error of a page that could not be had."""
        waiting = iter(strands)
        try:
            while True:
                self._start(waiting)
                while self._lanes and self._lanes[0].ready:
                    yield self._lanes[0].ready.popleft()
                    self._start(waiting)
                if self._lanes and self._lanes[0].finished:
                    self._lanes.popleft()
                elif self._running:
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._ended(future)
                elif not self._lanes:
                    return
        finally:
            for future in self._running:
                future.cancel()
            self._running.clear()
            self._lanes.clear()

    def _start(self, waiting: Iterator[Strand]) -> None:
        """Ask as much as the pace allows, what is needed first, first."""
        for lane in self._lanes:
            if len(self._running) >= self.pace.limit:
                return
            if lane.todo is not None and len(lane.ready) < MAX_READY_PAGES:
                self._submit(lane, lane.todo)
        while len(self._running) < self.pace.limit and len(self._lanes) < self.pace.ceiling:
            strand = next(waiting, None)
            if strand is None:
                return
            lane = _Lane(strand=strand, todo=_Job(url=strand.start))
            self._lanes.append(lane)
            self._submit(lane, _Job(url=strand.start))

    def _submit(self, lane: _Lane, job: _Job) -> None:
        lane.todo, lane.running = None, True
        future = self.pool.submit(self._answer, job)
        self._running[future] = (lane, job, self.clock.monotonic())

    def _answer(self, job: _Job) -> _Answered:
        if job.wait_seconds:
            self.clock.sleep(job.wait_seconds)
        began = self.clock.monotonic()
        fetched = self.ask(job.url)
        return _Answered(fetched=fetched, began=began, ended=self.clock.monotonic())

    def _ended(self, future: Future[_Answered]) -> None:
        lane, job, began = self._running.pop(future)
        lane.running = False
        self.meter.requests += 1
        try:
            answered = future.result()
        except SourceUnavailable as error:
            lane.todo = self._again(job, error, began)
            return
        self.pace = self.pace.succeeded(began=answered.began, now=answered.ended)
        self.meter.bytes_read += answered.fetched.size
        following = lane.strand.follow(answered.fetched)
        lane.todo = None if following is None else _Job(url=following)
        lane.ready.append(answered.fetched)

    def _again(self, job: _Job, error: SourceUnavailable, began: float) -> _Job:
        """The same once more, later. Raises `error` when it was asked often enough, or harm would come of it."""
        asked = error.retry_after_seconds
        throttled = error.cause is Cause.THROTTLE or asked is not None
        tries = job.tries + 1
        most = MAX_TRIES if throttled else len(RETRY_WAITS_SECONDS) + 1
        if isinstance(error, NotAgain) or tries >= most or (asked or 0.0) > MAX_RETRY_AFTER_SECONDS:
            raise error
        why = "the service throttled us" if throttled else "a request failed"
        self.pace = self.pace.complaint(began=began, now=self.clock.monotonic(), why=why)
        return replace(job, tries=tries, wait_seconds=backoff(tries, asked))
