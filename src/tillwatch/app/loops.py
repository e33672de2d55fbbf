"""The server's loops: each on its own thread, started again when it ends unasked, watched by `/-/ready`."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from tillwatch.clock import Clock
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.web.services import Health

#: A loop that died is started again after this, doubled each time up to the longest wait.
FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
#: How long a loop may take to end once it is asked to; what it does is journaled, so leaving it loses nothing.
STOP_SECONDS = 20.0
#: A loop without a finished round for this long is not well, whatever its thread does.
SILENT_AFTER = timedelta(seconds=90)

_LAST_SUCCESS = "tillwatch_loop_last_success_timestamp_seconds"
_log = structlog.get_logger("tillwatch.app")

Run = Callable[[threading.Event], None]


def rounds(name: str, work: Callable[[], object], *, every_seconds: float, clock: Clock, metrics: Metrics) -> Run:
    """A loop that does `work` every `every_seconds`; a store that is away is waited for, not died of."""

    def run(stop: threading.Event) -> None:
        metrics.set("tillwatch_loop_period_seconds", every_seconds, loop=name)
        while not stop.is_set():
            try:
                work()
                metrics.set(_LAST_SUCCESS, clock.now().timestamp(), loop=name)
            except StoreError as error:
                metrics.inc("tillwatch_loop_errors_total", loop=name)
                _log.error("a round was not stored and is done again", loop=name, error=str(error))
            stop.wait(every_seconds)

    return run


@dataclass
class _Loop:
    name: str
    run: Run
    thread: threading.Thread | None = None
    problem: str = ""


class Loops:
    """Starts, restarts, stops and reports. Names are the values of the metrics' label `loop`."""

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._running: list[_Loop] = []
        self._clock = clock
        self._metrics = metrics
        self._stop = threading.Event()
        self._started_at: datetime | None = None

    def start(self, loops: Sequence[tuple[str, Run]]) -> None:
        self._running = [_Loop(name, run) for name, run in loops]
        self._started_at = self._clock.now()
        for loop in self._running:
            loop.thread = threading.Thread(target=self._supervise, args=(loop,), name=f"loop-{loop.name}", daemon=True)
            loop.thread.start()

    def stop(self) -> list[str]:
        """Ask all loops to end and wait for them. Returns the names of those that did not end in time."""
        self._stop.set()
        deadline = self._clock.monotonic() + STOP_SECONDS
        for loop in self._running:
            if loop.thread is not None:
                loop.thread.join(max(0.0, deadline - self._clock.monotonic()))
        return [loop.name for loop in self._running if loop.thread is not None and loop.thread.is_alive()]

    def loops(self) -> list[Health]:
        """Each loop's last finished round, and in words what is wrong with it."""
        return [self._health_of(loop) for loop in self._running]

    def _health_of(self, loop: _Loop) -> Health:
        seconds = self._metrics.value(_LAST_SUCCESS, loop=loop.name)
        last = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
        problem = loop.problem
        since = last or self._started_at
        if not problem and since is not None and self._clock.now() - since > SILENT_AFTER:
            problem = f"no finished round since {since.isoformat(timespec='seconds')}"
        return Health(name=loop.name, last_success=last, problem=problem)

    def _supervise(self, loop: _Loop) -> None:
        wait = FIRST_RESTART_SECONDS
        while not self._stop.is_set():
            begun = self._clock.monotonic()
            try:
                loop.run(self._stop)
                loop.problem = "" if self._stop.is_set() else "it ended without being asked to"
            except Exception as error:
                loop.problem = f"{type(error).__name__}: {error}"
                _log.exception("a loop died and is started again", loop=loop.name)
            if self._stop.is_set():
                return
            self._metrics.inc("tillwatch_loop_errors_total", loop=loop.name)
            if self._clock.monotonic() - begun > LONGEST_RESTART_SECONDS:
                wait = FIRST_RESTART_SECONDS
            self._stop.wait(wait)
            wait = min(2 * wait, LONGEST_RESTART_SECONDS)
            loop.problem = ""
