"""Runs validations and keeps what they found: written down before, stored with the alert in one transaction after."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from tillwatch.audit.loop import AuditLoop
from tillwatch.audit.reading import Leftovers
from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.validations import Validation
from tillwatch.errors import UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.validation import Finding, ValidationReport, ValidationVerdict
from tillwatch.runs.life import Life, WriteDown
from tillwatch.sources.base import Source
from tillwatch.store import validations as records
from tillwatch.store.db import Database
from tillwatch.validation import export, gauges
from tillwatch.validation.declare import Declared, declare_all
from tillwatch.validation.examine import Order, examine
from tillwatch.validation.outliers import Usual

_log = logging.getLogger(__name__)

#: Earlier runs that tell what is usual.
HISTORY_RUNS = 30
LOOP = "validations"


class Sources(Protocol):
    """Where a system's source comes from."""

    def get(self, system: str) -> Source: ...


OnReport = Callable[[Connection, ValidationReport, Validation], None]


def unheard(connection: Connection, report: ValidationReport, spec: Validation) -> None:
    """A report nobody but the store hears of."""


class ValidationRunner:
    """Thread-safe. One validation runs once at a time in a process; a second request waits for its turn."""

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
    ) -> None:
        """`owner` names this process among all on one store. Raises UsageError for a validation that makes no sense."""
        self._config, self._sources, self._database = config, sources, database
        self._clock, self._metrics, self._on_report = clock, metrics, on_report
        self._declared = declare_all(config)
        self._leftovers = Leftovers()
        self._life = Life(
            "validation",
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
        """Every validation of the chain, by id."""
        return dict(self._declared)

    def run(self, validation: str, *, trigger: str = "cli") -> ValidationReport:
        """Run one validation now and return its report, which is stored.

        A source that fails is a verdict. Raises UsageError for an unknown validation, StoreError when the report could
        not be stored, and UnavailableError when the process is told to stop in between.
        """
        declared = self._find(validation)
        return self._finish(declared, self._life.begun(_written(declared), trigger))

    def start(self, validation: str, *, trigger: str = "page") -> int:
        """Begin a run in the background and return its number. Raises UsageError when too many are waiting."""
        declared = self._find(validation)
        return self._life.in_background(
            validation,
            lambda: self._life.begun(_written(declared), trigger),
            lambda run: self._finish(declared, run),
        )

    def loop(self, stop: threading.Event) -> None:
        """Run validations by their schedules until `stop` is set."""
        AuditLoop(self, clock=self._clock, metrics=self._metrics, name=LOOP).run(stop)

    def run_slot(self, validation: str, slot: datetime | None) -> ValidationReport | None:
        """Run for a scheduled instant (None: again, after a crash); None when another process has that instant."""
        declared = self._find(validation)
        run = self._life.begin(_written(declared), "schedule", slot)
        return None if run is None else self._finish(declared, run)

    def latest(self) -> dict[str, ValidationReport]:
        """The newest finished report of each validation, without findings."""
        with self._database.read() as connection:
            return records.latest(connection)

    def reports(self, *, limit: int) -> list[ValidationReport]:
        """Finished reports, newest first, without findings."""
        with self._database.read() as connection:
            return [run.report for run in records.runs(connection, limit=limit) if run.report is not None]

    def report(self, run: int) -> ValidationReport:
        """One report without findings. Raises UsageError when there is no such run or it has not finished."""
        with self._database.read() as connection:
            return records.report(connection, run, findings=0)

    def findings(self, run: int, *, rule: str | None, offset: int, limit: int) -> list[Finding]:
        """One page of what a run found."""
        with self._database.read() as connection:
            return records.findings(connection, run, rule=rule, offset=offset, limit=limit)

    def export(self, run: int, format: str, *, language: str = "en") -> bytes:
        """The report of `run` as a csv, xlsx or html file. Raises UsageError for another format or run."""
        return export.document(self._database, run, format, config=self._config, language=language)

    def stop(self) -> None:
        """Let running validations end early, unfinished; another process, or the next start, runs them again."""
        self._life.stop()

    def give_up_dead(self) -> list[str]:
        """Mark runs of dead processes failed; returns the validations that must be run again."""
        now = self._clock.now()
        dead = self._database.write(lambda connection: records.give_up(connection, now))
        for run in dead:
            _log.warning("validation run %s of %s was interrupted; it is run again", run.run, run.validation)
        again = (run.validation for run in dead if run.trigger != "cli" and run.validation in self._declared)
        return list(dict.fromkeys(again))

    def restore(self) -> dict[str, datetime]:
        """Show the last known state in the metrics again; returns the last scheduled instant of each validation."""
        with self._database.read() as connection:
            known = records.latest(connection, conclusive=True)
            slots = records.LIFE.last_slots(connection)
        for validation, declared in self._declared.items():
            if validation in known:
                gauges.answered(self._metrics, known[validation], declared, self._config)
        return slots

    def _find(self, validation: str) -> Declared:
        if validation not in self._declared:
            raise UsageError(f"unknown validation '{validation}'{did_you_mean(validation, self._declared)}")
        return self._declared[validation]

    def _finish(self, declared: Declared, run: int) -> ValidationReport:
        with self._life.turn(declared.spec.id, run) as beat:
            order = Order(
                declared=declared,
                open=self._sources.get,
                run=run,
                started_at=self._clock.now(),
                clock=self._clock,
                stop=self._life.stopping,
                leftovers=self._leftovers,
                alive=beat,
                history=self._history(declared),
                own=self._own(declared),
            )
            report = self._life.work(
                declared.spec.id,
                run,
                lambda: examine(order),
                defect=lambda error: _defect(order, error),
                failed=lambda found: found.verdict is ValidationVerdict.FAILED,
            )
            self._store(report, declared)
        gauges.finished(self._metrics, report, declared, self._config)
        return report

    def _history(self, declared: Declared) -> dict[str, tuple[Usual, ...]]:
        """What earlier runs found usual, for the rules that compare with it."""
        wanted = [rule.name for rule in declared.of_kind("outlier") if rule.against == "history" and not rule.by]
        if not wanted:
            return {}
        with self._database.read() as connection:
            reports = records.answered(connection, declared.spec.id, HISTORY_RUNS)
        found: dict[str, list[Usual]] = {name: [] for name in wanted}
        for report in reversed(reports):
            kept = report.evidence.get("usual")
            for name in wanted:
                if isinstance(kept, dict) and name in kept:
                    found[name].append(Usual(**kept[name]))
        return {name: tuple(runs) for name, runs in found.items()}

    def _own(self, declared: Declared) -> dict[str, dict[str, list[float]]]:
        """What each group was in earlier runs, oldest first, for the rules that compare it with itself."""
        wanted = [rule.name for rule in declared.of_kind("outlier") if rule.against == "history" and rule.by]
        found: dict[str, dict[str, list[float]]] = {name: {} for name in wanted}
        for name in wanted:
            with self._database.read() as connection:
                runs = records.own(connection, declared.spec.id, name)
            for values in reversed(runs):
                for group, value in values.items():
                    found[name].setdefault(group, []).append(value)
        return found

    def _store(self, report: ValidationReport, declared: Declared) -> None:
        """The report and what follows from it, in one transaction. Raises StoreError when it could not be stored."""
        now = self._clock.now()

        def job(connection: Connection) -> bool:
            if not records.finish(connection, report, owner=self._life.owner, now=now):
                return False
            self._on_report(connection, report, declared.spec)
            return True

        if not self._database.write(job):
            raise self._life.given_up(report.run)


def _written(declared: Declared) -> WriteDown:
    spec = declared.spec
    return partial(records.begin, validation=spec.id, system=spec.system, dataset=spec.dataset)


def _defect(order: Order, error: Exception) -> ValidationReport:
    spec = order.declared.spec
    return ValidationReport(
        run=order.run,
        validation=spec.id,
        verdict=ValidationVerdict.FAILED,
        reason=f"a defect of tillwatch: {type(error).__name__}: {error}; the log has the details, please report it",
        system=spec.system,
        dataset=spec.dataset,
        started_at=order.started_at,
        seconds=(order.clock.now() - order.started_at).total_seconds(),
    )
