"""Workers: claim a run, carry it out under a lease, and take over what a dead worker left behind."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import Connection

from tillwatch.errors import RefusedError, StoreError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.runbook import Run, RunState
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.calling import Caller
from tillwatch.runbook.journal import Journal, Timeline
from tillwatch.runbook.journey import Journey, LetGo
from tillwatch.runbook.leash import Leash
from tillwatch.runbook.redact import Redactor, secrets_of
from tillwatch.runbook.snapshot import Snapshot
from tillwatch.store import runs
from tillwatch.store.runs import Claim, LeaseLost, RunRow

_LOG = logging.getLogger(__name__)

#: A dead worker's run is taken over after this long; a live one renews three times in it.
LEASE = timedelta(seconds=5)
#: Runs at the same time in one process; each may hold connections to business systems.
MAX_CONCURRENT_RUNS = 4
#: How often another process's requests are looked for; our own wake the loop at once.
POLL_SECONDS = 0.5
#: At shutdown running actions get this long to end; what is left is taken over by the next worker.
SHUTDOWN_SECONDS = 10.0
LOOP = "runbooks"


def ignore(run: int, event: str) -> None:
    """Nobody watches."""


def untold(connection: Connection, incident: int, kind: str, actor: str, data: Mapping[str, object]) -> None:
    """Nobody keeps a timeline."""


def process_name() -> str:
    """Who holds a lease: different for every worker, also for two in one process."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class RunWorker:
    """Carries out runs. `observe(run, event)` is told after every write to the journal, from the working thread."""

    def __init__(
        self,
        services: ActionServices,
        *,
        registry: Registry,
        metrics: Metrics | None = None,
        owner: str = "",
        lease: timedelta = LEASE,
        timeline: Timeline = untold,
        observe: Callable[[int, str], None] = ignore,
    ) -> None:
        self._database = services.database
        self._clock = services.clock
        self._registry = registry
        self._services = services
        self._metrics = metrics
        self._redactor = Redactor(secrets_of(services.config))
        self._owner = owner or process_name()
        self._lease = lease
        self._timeline = timeline
        self._observe = observe
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def step(self) -> int | None:
        """Claim one run, carry it out until it rests, and return its number; None when there is nothing to do."""
        claims = self._claim_some(1)
        if not claims:
            return None
        self._carry_out(claims[0])
        return claims[0].run

    def run_now(self, run: int) -> Run:
        """Carry out this very run in the calling thread until it is over or waits for people.

        Raises RefusedError while another worker holds it, UsageError when there is no such run.
        """

        def job(connection: Connection) -> Claim | None:
            return runs.claim(connection, run, owner=self._owner, now=self._database.now(connection), lease=self._lease)

        claim = self._database.write(job)
        if claim is not None:
            self._carry_out(claim)
        row = self._row(run)
        if claim is None and not row.run.state.is_final:
            raise RefusedError(f"run {run} is being worked on by {row.owner}; look again with 'tillwatch runbook runs'")
        return row.run

    def loop(self, stop: threading.Event) -> None:
        """Carry out runs until `stop` is set, several at the same time."""
        threads: list[threading.Thread] = []
        self._stopping = stop
        while not stop.is_set():
            threads = [thread for thread in threads if thread.is_alive()]
            try:
                for claim in self._claim_some(MAX_CONCURRENT_RUNS - len(threads)):
                    name = f"runbook-run-{claim.run}"
                    thread = threading.Thread(target=self._carry_out, args=(claim,), name=name, daemon=True)
                    threads.append(thread)
                    thread.start()
                self._looked()
            except StoreError as error:
                _LOG.warning("runbook runs cannot be claimed: %s", error)
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
        until = self._clock.monotonic() + SHUTDOWN_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - self._clock.monotonic()))

    def _looked(self) -> None:
        if self._metrics is not None:
            now = self._clock.now().timestamp()
            self._metrics.set("tillwatch_loop_last_success_timestamp_seconds", now, loop=LOOP)
            self._metrics.set("tillwatch_loop_period_seconds", POLL_SECONDS, loop=LOOP)

    def _claim_some(self, limit: int) -> list[Claim]:
        if limit <= 0:
            return []
        with self._database.read() as connection:
            waiting = runs.claimable(connection, self._database.now(connection), limit)
        if not waiting:
            return []

        def job(connection: Connection) -> list[Claim]:
            now = self._database.now(connection)
            claims = (runs.claim(connection, run, owner=self._owner, now=now, lease=self._lease) for run in waiting)
            return [claim for claim in claims if claim is not None]

        return self._database.write(job)

    def _carry_out(self, claim: Claim) -> None:
        """Whatever goes wrong here, the run is never left as 'running' with nobody behind it."""
        try:
            row = self._row(claim.run)
            state = self._journey(claim, row)
        except LetGo:
            _LOG.info("run %s: let go at shutdown; the next worker goes on", claim.run)
        except LeaseLost as error:
            _LOG.warning("%s", error)
        except StoreError as error:
            # Nothing more was written; the lease runs out and the run is taken up where the journal says.
            _LOG.warning("run %s: the store does not answer, it is taken up again later: %s", claim.run, error)
        except Exception as error:
            _LOG.exception("run %s: a defect in the engine", claim.run)
            self._give_up(claim, f"a defect in the engine, {type(error).__name__}: {error}; report it")
        else:
            if state.is_final and self._metrics is not None:
                self._metrics.inc("tillwatch_runbook_runs_total", runbook=row.run.runbook, state=state.value)

    def _journey(self, claim: Claim, row: RunRow) -> RunState:
        try:
            plan = Snapshot.from_json(row.plan)
        except ValidationError as error:
            raise UsageError(f"the stored plan of run {claim.run} cannot be read: {error}") from error
        with Leash(
            claim,
            runbook=plan.runbook,
            deadline_at=row.deadline_at,
            going_back=row.ending is not None,
            database=self._database,
            clock=self._clock,
            lease=self._lease,
            shutting_down=lambda: self._stopping.is_set(),
        ) as leash:
            caller = Caller(
                registry=self._registry,
                services=self._services,
                clock=self._clock,
                redactor=self._redactor,
                run=claim.run,
                incident=row.run.incident,
                actor=row.run.requested_by,
                stop=leash.stop,
            )
            journal = Journal(claim, plan, database=self._database, timeline=self._timeline, observe=self._observe)
            return Journey(claim, plan, caller=caller, leash=leash, journal=journal, clock=self._clock).go()

    def _give_up(self, claim: Claim, reason: str) -> None:
        def job(connection: Connection) -> None:
            now = self._database.now(connection)
            state = RunState.NEEDS_HUMAN
            runs.update_run(connection, claim, state=state, reason=reason, finished_at=now, waiting={})
            runs.release(connection, claim, wake_at=None)

        try:
            self._database.write(job)
        except (LeaseLost, StoreError) as error:
            _LOG.warning("run %s: could not be marked: %s", claim.run, error)

    def _row(self, run: int) -> RunRow:
        with self._database.read() as connection:
            row = runs.row(connection, run)
        if row is None:
            raise UsageError(f"there is no run {run}; list them with 'tillwatch runbook runs'")
        return row
