"""When audits and validations run: by their schedules, with bounded workers, and again when a process died."""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from tillwatch.clock import Clock
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.schedule import Due, Schedule, next_due, parse_schedule

_log = logging.getLogger(__name__)

#: Audits compared at the same time in one process: each is bound by CPU and by the budget of its systems.
MAX_WORKERS = 2
#: Longest sleep between two looks at the schedules and at a request to stop.
LOOK_SECONDS = 0.5
#: How often runs of dead processes are looked for.
GIVE_UP_SECONDS = 5.0
LOOP = "audits"


class Spec(Protocol):
    @property
    def schedule(self) -> str: ...


class Scheduled(Protocol):
    """Something with a schedule, in a zone."""

    @property
    def spec(self) -> Spec: ...

    @property
    def zone(self) -> ZoneInfo: ...


class Runner(Protocol):
    """What the loop asks of whoever runs audits or validations."""

    @property
    def declared(self) -> Mapping[str, Scheduled]: ...

    def restore(self) -> Mapping[str, datetime]: ...

    def give_up_dead(self) -> list[str]: ...

    def run_slot(self, audit_id: str, slot: datetime | None) -> object: ...

    def stop(self) -> None: ...


class AuditLoop:
    """The schedule of all audits of a chain. `step` is one look; `run` looks until told to stop."""

    def __init__(
        self,
        runner: Runner,
        *,
        clock: Clock,
        metrics: Metrics,
        name: str = LOOP,
        timetables: Mapping[str, Schedule] | None = None,
    ) -> None:
        """`name` is the value of the metrics' label `loop`; `timetables` are those that are more than a schedule."""
        self._runner = runner
        self._timetables = timetables or {}
        self._clock = clock
        self._metrics = metrics
        self._name = name
        self._last: dict[str, datetime] = {}
        self._again: list[str] = []
        self._running: dict[str, Future[object]] = {}
        self._pool = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix=f"{name}-schedule")
        self._next_give_up = clock.monotonic()
        metrics.set("tillwatch_loop_period_seconds", GIVE_UP_SECONDS, loop=self._name)

    def prepare(self) -> None:
        """Take up where the store left off. An audit that never ran waits for its first slot."""
        now = self._clock.now()
        self._last = dict.fromkeys(self._runner.declared, now) | dict(self._runner.restore())

    def run(self, stop: threading.Event) -> None:
        """Until `stop`: audits under way then end early and are taken up again at the next start."""
        while not stop.is_set():
            try:
                self.prepare()
                break
            except StoreError as error:
                self._failed(f"{self._name} cannot start", error)
                stop.wait(LOOK_SECONDS)
        while not stop.is_set():
            try:
                self.step()
            except StoreError as error:
                self._failed(f"{self._name} were not looked after", error)
            stop.wait(LOOK_SECONDS)
        self._runner.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _failed(self, what: str, error: StoreError) -> None:
        _log.error("%s: %s", what, error)
        self._metrics.inc("tillwatch_loop_errors_total", loop=self._name)

    def step(self) -> list[str]:
        """Start what is due and a worker is free for; returns the audits started."""
        now = self._clock.now()
        self._reap()
        if self._clock.monotonic() >= self._next_give_up:
            self._next_give_up = self._clock.monotonic() + GIVE_UP_SECONDS
            self._again.extend(audit for audit in self._runner.give_up_dead() if audit not in self._again)
        started: list[str] = []
        for audit in [audit for audit in self._again if audit not in self._running]:
            if len(self._running) >= MAX_WORKERS:
                break
            self._again.remove(audit)
            self._start(audit, None)
            started.append(audit)
        for due, audit in sorted(self._due(now), key=lambda item: (item[0].at, item[1])):
            if len(self._running) >= MAX_WORKERS:
                break
            self._metrics.set("tillwatch_loop_lag_seconds", max(0.0, (now - due.at).total_seconds()), loop=self._name)
            if due.missed:
                self._metrics.inc("tillwatch_loop_dropped_total", due.missed, loop=self._name, reason="missed_slot")
            self._last[audit] = due.at
            self._start(audit, due.at)
            started.append(audit)
        self._metrics.set("tillwatch_loop_last_success_timestamp_seconds", now.timestamp(), loop=self._name)
        return started

    def _due(self, now: datetime) -> list[tuple[Due, str]]:
        found = []
        for audit, declared in self._runner.declared.items():
            if audit in self._running:
                continue
            schedule = self._timetables.get(audit) or parse_schedule(declared.spec.schedule, declared.zone)
            due = next_due(schedule, audit, self._last[audit], now)
            if due.run:
                found.append((due, audit))
        return found

    def _start(self, audit: str, slot: datetime | None) -> None:
        self._running[audit] = self._pool.submit(self._runner.run_slot, audit, slot)

    def _reap(self) -> None:
        for audit, future in list(self._running.items()):
            if not future.done():
                continue
            del self._running[audit]
            if (error := future.exception()) is not None:
                _log.error("%s: %s has no report: %s", self._name, audit, error, exc_info=error)
                self._metrics.inc("tillwatch_loop_errors_total", loop=self._name)
                if isinstance(error, StoreError) and audit not in self._again:
                    self._again.append(audit)
