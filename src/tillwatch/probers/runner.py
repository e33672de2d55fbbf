"""Runs probes: on schedule in the server, and at once for the command line, pages and runbooks."""

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Alert
from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.probers import drop_in
from tillwatch.probers.base import Prober
from tillwatch.probers.frame import run_one
from tillwatch.probers.registry import Ready, Sources, chosen, prepare
from tillwatch.probers.threshold import advance
from tillwatch.probers.timetable import Timetable
from tillwatch.probers.verdict import retired, verdict
from tillwatch.store import probes as memory
from tillwatch.store.db import Database

#: Probes in flight at once; beyond it they wait, and the wait shows as lag.
MAX_CONCURRENT = 64
#: Name lookups and writes that wait; the default of a small machine would let one dead DNS server stop everything.
MAX_WAITING_THREADS = 64
#: How long `loop` may take to notice that it should stop.
TICK_SECONDS = 0.25

LOOP = "probes"
#: Results that an alert carries along as its past: ten minutes of a quarter-minute probe.
HISTORY_IN_EVIDENCE = 40

#: Takes alerts in within the caller's transaction.
OnVerdict = Callable[[Connection, Sequence[Alert], datetime], object]


class Stop(Protocol):
    """A `threading.Event` or an `asyncio.Event`."""

    def is_set(self) -> bool: ...


class ProbeRunner:
    """Measures, counts, remembers and raises. `run_now` may be called from any thread, also while `loop` runs.

    The store holds the truth: every result is counted into the state read in the same transaction, so that two
    processes on one database (the server and a command) count one sequence, not two.
    """

    def __init__(
        self,
        config: ChainConfig,
        probers: Mapping[str, Prober],
        sources: Sources,
        *,
        database: Database,
        clock: Clock,
        on_verdict: OnVerdict,
        metrics: Metrics,
    ) -> None:
        """Raises ConfigError when options or targets of any probe are wrong."""
        self._probers = probers
        self._ready = prepare(config, probers, sources)
        self._database = database
        self._clock = clock
        self._on_verdict = on_verdict
        self._metrics = metrics
        self._log = structlog.get_logger("tillwatch.probers")

    @property
    def ready(self) -> Mapping[str, Ready]:
        return self._ready

    def run_now(self, probes: Sequence[str]) -> list[ProbeResult]:
        """Run these probes once, at the same time, count the results and return them in the order asked for.

        Raises UsageError for an unknown id and StoreError when a result could not be stored. Blocks; call it from a
        thread that runs no event loop.
        """
        wanted = chosen(self._ready, probes)
        results = asyncio.run(self._run_all(wanted))
        refused = [self._kept(ready, result) for ready, result in zip(wanted, results, strict=True)]
        for error in refused:
            if error is not None:
                raise error
        return results

    async def drop_in(self, target: str, module: str) -> bytes:
        """blackbox_exporter's `/probe`: one measurement as text, remembered nowhere. UsageError for what is unknown."""
        return await drop_in.measure(target, module, self._probers, clock=self._clock)

    async def _run_all(self, wanted: Sequence[Ready]) -> list[ProbeResult]:
        limit = asyncio.Semaphore(MAX_CONCURRENT)
        _widen_default_executor()
        return list(await asyncio.gather(*(self._measure(ready, limit) for ready in wanted)))

    async def _measure(self, ready: Ready, limit: asyncio.Semaphore) -> ProbeResult:
        async with limit:
            return await run_one(ready.target, ready.prober, clock=self._clock)

    async def loop(self, stop: Stop) -> None:
        """Run every probe on its schedule until `stop` is set.

        1. Start from what the store remembers: a probe that is late runs at once, the others at their own slot.
        2. A probe that still runs when its next slot comes misses that slot, and the miss is counted.
        3. On the way out, measurements in flight are cancelled; they were not stored and raise nothing.
        """
        timetable = Timetable(
            {probe: ready.target.probe.every for probe, ready in self._ready.items()},
            last={probe: state.last.started_at for probe, state in self._restored().items() if state.last},
            now=self._clock.now(),
        )
        limit = asyncio.Semaphore(MAX_CONCURRENT)
        running: dict[str, asyncio.Task[None]] = {}
        self._metrics.set("tillwatch_loop_period_seconds", TICK_SECONDS, loop=LOOP)
        _widen_default_executor()
        try:
            while not stop.is_set():
                now = self._clock.now()
                for probe, slot in timetable.due(now):
                    self._metrics.set("tillwatch_loop_lag_seconds", (now - slot).total_seconds(), loop=LOOP)
                    if probe in running and not running[probe].done():
                        self._metrics.inc("tillwatch_loop_dropped_total", loop=LOOP, reason="still_running")
                        continue
                    running[probe] = asyncio.create_task(self._scheduled(self._ready[probe], limit))
                self._metrics.set("tillwatch_loop_last_success_timestamp_seconds", now.timestamp(), loop=LOOP)
                await self._clock.wait(min(TICK_SECONDS, timetable.seconds_until_next(now)))
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _scheduled(self, ready: Ready, limit: asyncio.Semaphore) -> None:
        probe = ready.target.probe.id
        try:
            result = await self._measure(ready, limit)
            await asyncio.to_thread(self._kept, ready, result)
        except Exception:
            # One probe's defect must not end the loop for all others.
            self._metrics.inc("tillwatch_loop_errors_total", loop=LOOP)
            self._log.error("a probe run failed in our own code", probe=probe, traceback=traceback.format_exc())

    def _kept(self, ready: Ready, result: ProbeResult) -> StoreError | None:
        """Count and store `result`, raise or end alerts, show it; what could not be stored is returned, not hidden."""

        def job(connection: Connection) -> ProbeState:
            before = memory.load_state(connection, result.probe) or ProbeState(probe=result.probe)
            spec = ready.target.probe
            step = advance(before, result, fail_after=spec.fail_after, recover_after=spec.recover_after)
            decided = verdict(step, result, ready)
            memory.save_result(connection, decided.state, result)
            if decided.alerts:
                before_it = {"history": memory.outcomes(connection, result.probe, HISTORY_IN_EVIDENCE)}
                alerts = [replace(alert, evidence={**alert.evidence, **before_it}) for alert in decided.alerts]
                self._on_verdict(connection, alerts, self._clock.now())
            return decided.state

        failing = result.outcome is Outcome.FAILED
        error: StoreError | None = None
        try:
            failing = self._database.write(job).status is ProbeStatus.FAILING
        except StoreError as refused:
            # The next run counts on from what is stored; until then the result is only in the metrics and this line.
            error = refused
            self._metrics.inc("tillwatch_loop_dropped_total", loop=LOOP, reason="not_stored")
            self._log.error("a probe result was not stored", probe=result.probe, error=str(refused))
        self._metrics.probe_result(
            result,
            labels=ready.labels,
            kind=ready.prober.kind,
            interval_seconds=ready.target.probe.every.total_seconds(),
            failing=failing,
        )
        return error

    def _restored(self) -> Mapping[str, ProbeState]:
        """What the store remembers, shown in the metrics before anything ran; empty when it cannot be read."""
        try:
            with self._database.read() as connection:
                states = memory.load_states(connection)
        except StoreError as error:
            self._log.error("probe states could not be read; every probe starts anew", error=str(error))
            return {}
        for probe, state in states.items():
            ready = self._ready.get(probe)
            if ready is not None and state.last is not None:
                self._metrics.probe_result(
                    state.last,
                    labels=ready.labels,
                    kind=ready.prober.kind,
                    interval_seconds=ready.target.probe.every.total_seconds(),
                    failing=state.status is ProbeStatus.FAILING,
                )
        return states

    def retire(self) -> list[str]:
        """End the alerts of probes that left the chain directory, and forget them. Returns their ids.

        Call it once at the start of a server, not from a command: another process may run another directory.
        """

        def job(connection: Connection) -> list[str]:
            now = self._clock.now()
            gone = [state for probe, state in memory.load_states(connection).items() if probe not in self._ready]
            alerts = [retired(state, now) for state in gone if state.alert_labels]
            if alerts:
                self._on_verdict(connection, alerts, now)
            for state in gone:
                memory.forget(connection, state.probe)
            return [state.probe for state in gone]

        return self._database.write(job)


def _widen_default_executor() -> None:
    """Give the running loop its own threads for name lookups and writes; `asyncio.run` ends them."""
    pool = ThreadPoolExecutor(MAX_WAITING_THREADS, thread_name_prefix="probe-wait")
    asyncio.get_running_loop().set_default_executor(pool)
