"""Runs audits and keeps what they found: written down before, stored with the alert in one transaction after."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import BinaryIO, Protocol

from sqlalchemy import Connection

from tillwatch.audit import export, gauges
from tillwatch.audit.declare import Declared, declare_all
from tillwatch.audit.examine import Order, examine, ignore
from tillwatch.audit.ledger import StoredLedger
from tillwatch.audit.loop import LOOP, AuditLoop
from tillwatch.audit.ranges import Scale
from tillwatch.audit.reading import Leftovers, Progress
from tillwatch.audit.tiers import Impossible
from tillwatch.audit.timetable import timetables
from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit
from tillwatch.errors import UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import AuditReport, Difference, SideReport, SignOff, Verdict
from tillwatch.model.proof import Proof
from tillwatch.runs.life import Life, WriteDown
from tillwatch.sources.base import Source
from tillwatch.store import audits as records
from tillwatch.store import differences, proofs, signoffs, suspects
from tillwatch.store.db import Database

_log = logging.getLogger(__name__)

#: A reason is a sentence or two; a report belongs into an attachment.
MAX_REASON_CHARACTERS = 4_000


class Sources(Protocol):
    """Where a system's source comes from."""

    def get(self, system: str) -> Source: ...


OnReport = Callable[[Connection, AuditReport, Audit], None]


def unheard(connection: Connection, report: AuditReport, spec: Audit) -> None:
    """A report nobody but the store hears of."""


class AuditRunner:
    """Thread-safe. One audit is compared once at a time in a process; a second request waits for its turn."""

    def __init__(
        self,
        config: ChainConfig,
        sources: Sources,
        *,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        on_report: OnReport = unheard,
        owner: str = "local",
        scale: Scale | None = None,
    ) -> None:
        """`owner` names this process among all on one store. Raises UsageError for an audit that makes no sense."""
        self._config = config
        self._sources = sources
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._on_report = on_report
        self._scale = scale
        self._declared = declare_all(config)
        self._leftovers = Leftovers()
        self._life = Life(
            "audit",
            records.LIFE,
            self._declared,
            database=database,
            clock=clock,
            metrics=metrics,
            owner=owner,
            loop=LOOP,
        )

    @property
    def declared(self) -> dict[str, Declared]:
        """Every audit of the chain, by id."""
        return dict(self._declared)

    def run(
        self,
        audit_id: str,
        *,
        trigger: str = "cli",
        strategy: str = "",
        progress: Callable[[Progress], None] = ignore,
    ) -> AuditReport:
        """Run one audit now and return its report, which is stored. Waits while the same audit is running here.

        A side that fails is a verdict. Raises UsageError for an unknown audit, Impossible when `strategy` cannot prove
        it (then there was no run), StoreError when the report could not be stored, and UnavailableError when the
        process is told to stop in between.
        """
        declared = self._find(audit_id)
        return self._finish(declared, self._life.begun(_written(declared), trigger), progress, strategy)

    def start(self, audit_id: str, *, trigger: str = "page") -> int:
        """Begin a run in the background and return its number. Raises UsageError when too many are waiting."""
        declared = self._find(audit_id)
        return self._life.in_background(
            audit_id,
            lambda: self._life.begun(_written(declared), trigger),
            lambda run: self._finish(declared, run, ignore),
        )

    def loop(self, stop: threading.Event) -> None:
        """Run audits by their schedules until `stop` is set."""
        AuditLoop(self, clock=self._clock, metrics=self._metrics, timetables=timetables(self._config)).run(stop)

    def run_slot(self, audit_id: str, slot: datetime | None) -> AuditReport | None:
        """Run for a scheduled instant (None: again, after a crash); None when another process has that instant."""
        declared = self._find(audit_id)
        run = self._life.begin(_written(declared), "schedule", slot)
        return None if run is None else self._finish(declared, run, ignore)

    def export(self, run: int, format: str, *, language: str = "en") -> BinaryIO:
        """The report of `run` as a csv, xlsx or html file, to be read and closed. Raises UsageError."""
        return export.document(self._database, run, format, config=self._config, language=language)

    def sign_off(self, run: int, actor: str, reason: str) -> SignOff:
        """Somebody answers for what `run` found. Raises UsageError for an unfinished run, or without a reason."""
        signed = SignOff(run=run, actor=actor.strip(), reason=reason.strip(), at=self._clock.now())
        if not signed.actor or not signed.reason:
            raise UsageError("a sign-off needs a name and a reason")
        if len(signed.reason) > MAX_REASON_CHARACTERS:
            raise UsageError(f"the reason has {len(signed.reason)} characters; at most {MAX_REASON_CHARACTERS}")

        def job(connection: Connection) -> None:
            records.report(connection, run, limit=0)
            signoffs.add(connection, signed)

        self._database.write(job)
        return signed

    def stop(self) -> None:
        """Let running audits end early, unfinished; another process, or the next start, runs them again."""
        self._life.stop()

    def give_up_dead(self) -> list[str]:
        """Mark runs of dead processes failed ("interrupted"); returns the audits that must be run again."""
        now = self._clock.now()
        dead = self._database.write(lambda connection: records.give_up(connection, now))
        for run in dead:
            _log.warning("audit run %s of %s was interrupted; it is marked failed and run again", run.run, run.audit)
        return list(dict.fromkeys(run.audit for run in dead if run.trigger != "cli" and run.audit in self._declared))

    def restore(self) -> dict[str, datetime]:
        """Show the last known state in the metrics again; returns the last scheduled instant of each audit."""
        with self._database.read() as connection:
            known = records.latest(connection, conclusive=True)
            answered = records.latest(connection, answered=True)
            slots = records.LIFE.last_slots(connection)
        now = self._clock.now()
        for audit, declared in self._declared.items():
            if audit in known:
                gauges.conclusive(self._metrics, known[audit], declared, self._config)
            gauges.expected(self._metrics, declared, self._config, answered.get(audit), now)
        return slots

    def _find(self, audit_id: str) -> Declared:
        if audit_id not in self._declared:
            raise UsageError(f"unknown audit '{audit_id}'{did_you_mean(audit_id, self._declared)}")
        return self._declared[audit_id]

    def _finish(
        self, declared: Declared, run: int, progress: Callable[[Progress], None], strategy: str = ""
    ) -> AuditReport:
        spec, life = declared.spec, self._life
        with life.turn(spec.id, run) as beat:
            started_at = self._clock.now()
            left: list[Proof] = []

            def alive(rows: Progress) -> None:
                beat()
                progress(rows)

            memory = self._memory(spec.id)
            checkpoints = _Checkpoints(self._database, run, life.owner, memory)
            order = Order(
                declared=declared,
                open=self._sources.get,
                run=run,
                started_at=started_at,
                clock=self._clock,
                stop=life.stopping,
                leftovers=self._leftovers,
                ledger=StoredLedger(self._database, audit=spec.id, run=run, owner=life.owner),
                measured_lag=self._measured_lag(spec.id),
                converged=lambda lag: self._metrics.observe("tillwatch_sync_converge_seconds", lag, audit=spec.id),
                alive=alive,
                memory=memory,
                keep=left.append,
                checkpoint=checkpoints,
                scale=self._scale,
                strategy=strategy,
            )
            try:
                report = life.work(
                    spec.id,
                    run,
                    lambda: examine(order),
                    defect=lambda error: _defect(order, error),
                    failed=lambda found: found.verdict is Verdict.FAILED,
                    refusals=(Impossible,),
                )
            except Impossible:
                self._database.write(lambda connection: records.LIFE.withdraw(connection, run, life.owner))
                raise
            report = self._store(report, declared, checkpoints.base, left)
        gauges.finished(self._metrics, report, declared, self._config, self._clock.now())
        return report

    def _measured_lag(self, audit: str) -> float:
        with self._database.read() as connection:
            return suspects.measured_lag(connection, audit)

    def _memory(self, audit: str) -> Proof | None:
        with self._database.read() as connection:
            return proofs.load(connection, audit, later=self._database.read)

    def _store(self, report: AuditReport, declared: Declared, base: Proof | None, left: Sequence[Proof]) -> AuditReport:
        """The report, what it leaves for the next run, and what follows from it, in one transaction.

        Raises StoreError when it could not be stored.
        """
        now = self._clock.now()
        report = self._known_since(report)
        stored = self._store_in_parts(report)

        def job(connection: Connection) -> bool:
            if not records.finish(connection, report, owner=self._life.owner, now=now, stored=stored):
                return False
            for proof in left:
                proofs.save(connection, proof, base=base)
            self._on_report(connection, report, declared.spec)
            return True

        if not self._database.write(job):
            raise self._life.given_up(report.run)
        return report

    def _known_since(self, report: AuditReport) -> AuditReport:
        if not report.differences:
            return report
        with self._database.read() as connection:
            seen = differences.first_seen(connection, report.audit, report.run)
        return replace(report, differences=tuple(differences.known_since(report.differences, seen, report.started_at)))

    def _store_in_parts(self, report: AuditReport) -> int:
        """Store the differences of a large report beforehand, part by part; returns how many. The rest is for `finish`.

        Nobody sees them before the run has finished, and when it never does they go with it.
        """
        parts = len(report.differences) // differences.MAX_IN_ONE_WRITE
        for part in range(parts):
            first = part * differences.MAX_IN_ONE_WRITE
            rows = report.differences[first : first + differences.MAX_IN_ONE_WRITE]
            if not self._database.write(partial(self._add_part, report, first, rows)):
                raise self._life.given_up(report.run)
        return parts * differences.MAX_IN_ONE_WRITE

    def _add_part(self, report: AuditReport, first: int, rows: Sequence[Difference], connection: Connection) -> bool:
        return differences.add(connection, report.run, self._life.owner, first + 1, rows, report.started_at)


class _Checkpoints:
    """Keeps what a long run has proven so far, as long as it is the one that counts."""

    def __init__(self, database: Database, run: int, owner: str, base: Proof | None) -> None:
        self._database, self._run, self._owner = database, run, owner
        self.base = base

    def __call__(self, proof: Proof) -> None:
        base = self.base

        def job(connection: Connection) -> bool:
            if not records.LIFE.is_ours(connection, self._run, self._owner):
                return False
            proofs.save(connection, proof, base=base)
            return True

        if self._database.write(job):
            self.base = proof


def _written(declared: Declared) -> WriteDown:
    return partial(records.begin, audit=declared.spec.id)


def _defect(order: Order, error: Exception) -> AuditReport:
    spec = order.declared.spec
    return AuditReport(
        run=order.run,
        audit=spec.id,
        verdict=Verdict.FAILED,
        reason=f"a defect of tillwatch: {type(error).__name__}: {error}; the log has the details, please report it",
        left=SideReport(system=spec.left.system, dataset=spec.left.dataset, rows=0),
        right=SideReport(system=spec.right.system, dataset=spec.right.dataset, rows=0),
        started_at=order.started_at,
        seconds=(order.clock.now() - order.started_at).total_seconds(),
    )
