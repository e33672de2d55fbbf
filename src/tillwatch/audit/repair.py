"""Repairs of a chain: from drift to documents in the other system; one process at a time sends to a system."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tillwatch.audit import repair_plan
from tillwatch.audit.batches import Batches
from tillwatch.audit.declare import Declared, declare_all
from tillwatch.audit.repair_plan import RepairOptions
from tillwatch.audit.runner import Sources
from tillwatch.audit.sending import LEASE, Held, Lost, Preview, Sender
from tillwatch.audit.undoing import Undoer, to_undo
from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import (
    AuthRefused,
    ConfigError,
    Problem,
    RefusedError,
    StoreError,
    TillwatchError,
    UsageError,
)
from tillwatch.model.audit import Verdict
from tillwatch.model.repair import RepairItem, RepairPlan, RepairResult, RepairStatus, UndoResult
from tillwatch.store import audits as audit_records
from tillwatch.store import leases
from tillwatch.store import repairs as records
from tillwatch.store.db import Database

_log = logging.getLogger(__name__)

#: How long `apply` waits for another repair of the same system, or for the lease of a dead one to run out.
LEASE_WAIT_SECONDS = 30.0
#: Longest sleep between two looks at the lease and at a request to stop.
NAP_SECONDS = 0.5


class Repairs:
    """Plans and applies repairs. Thread-safe; of all processes on one store only one at a time sends to a system."""

    def __init__(self, config: ChainConfig, sources: Sources, *, database: Database, clock: Clock) -> None:
        """Raises ConfigError with every fault of every audit's `repair`."""
        self._sources = sources
        self._database = database
        self._clock = clock
        self._declared = declare_all(config)
        self._options: dict[str, RepairOptions] = {}
        problems: list[Problem] = []
        for spec in config.audits:
            if (options := repair_plan.options_of(spec, problems)) is not None:
                self._options[spec.id] = options
        if problems:
            raise ConfigError(problems)

    def plan_repair(self, run_id: int, *, actor: str = "system") -> RepairPlan:
        """The plan of an audit run, made now or before: a run has one.

        Raises UsageError when the run is not drift or its audit has no repair, and what the systems raise.
        """
        with self._database.read() as connection:
            if (there := records.of_run(connection, run_id)) is not None:
                return records.get(connection, there)
            report = audit_records.report(connection, run_id)
        if report.verdict not in {Verdict.DRIFT, Verdict.CLEAN}:
            raise UsageError(
                f"audit run {run_id} is {report.verdict}: {report.reason}; repair only what a run has proven, "
                f"run 'tillwatch audit run {report.audit}' again"
            )
        declared, options = self._of(report.audit)
        left = self._sources.get(declared.spec.left.system)
        lines = self._sources.get(options.lines.system) if options.lines is not None else None
        items = repair_plan.items(report, declared, options, left, lines)
        system = declared.spec.right.system
        plan = RepairPlan(
            id=0,
            run=run_id,
            audit=report.audit,
            system=system,
            digest=repair_plan.digest(run_id, system, items),
            created_at=self._clock.now(),
            created_by=actor,
            items=items,
        )
        number = self._database.write(lambda connection: records.create(connection, plan))
        return self.get(number)

    def get(self, plan_id: int) -> RepairPlan:
        """A plan with its items as they stand now. Raises UsageError when there is none."""
        with self._database.read() as connection:
            return records.get(connection, plan_id)

    def preview(self, plan_id: int) -> Iterator[Preview]:
        """What `apply_repair` would do with each item, found out by reading only."""
        plan = self.get(plan_id)
        declared, _ = self._of(plan.audit)
        sender = self._sender(plan, declared, actor="preview")
        for item in plan.items:
            if item.status.is_final or item.status is RepairStatus.UNKNOWN:
                yield Preview(item=item, plan=None, reason=item.reason or f"is {item.status} already")
                continue
            try:
                yield sender.preview(item)
            except TillwatchError as error:
                yield Preview(item=item, plan=None, reason=str(error))

    def apply_repair(
        self,
        plan_id: int,
        *,
        actor: str,
        limit: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> RepairResult:
        """Send what the plan holds, at most `limit` documents. Applying a plan again sends only what is not there.

        They go in batches; the next begins only when the last one, looked at again, holds.

        The result covers all items of the plan. Raises RefusedError while another repair of the same system runs.
        """
        plan = self.get(plan_id)
        declared, options = self._of(plan.audit)
        reason = ""
        with self._lease(plan.system) as held:
            sender = self._sender(plan, declared, actor=actor, held=held)
            batches = Batches(sender=sender, size=options.batch, pause=options.pause)
            sent = 0
            for item in plan.items:
                if item.status.is_final:
                    continue
                if stop():
                    reason = "told to stop"
                    break
                if limit is not None and sent >= limit:
                    reason = f"the limit of {limit} documents is reached"
                    break
                if reason := batches.gate(stop):
                    break
                try:
                    if sender.apply(item, stop):
                        batches.took(item)
                        sent += 1
                except (AuthRefused, RefusedError, Lost) as error:
                    reason = str(error)
                    break
        return _result(self.get(plan_id), reason)

    def preview_undo(self, plan_id: int) -> Iterator[Preview]:
        """What `undo_repair` would do with each item, found out by reading only."""
        plan = self.get(plan_id)
        declared, _ = self._of(plan.audit)
        undoer = Undoer(sender=self._sender(plan, declared, actor="preview"))
        for item in plan.items:
            try:
                yield undoer.preview(item)
            except TillwatchError as error:
                yield Preview(item=item, plan=None, reason=str(error))

    def undo_repair(
        self,
        plan_id: int,
        *,
        actor: str,
        limit: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> UndoResult:
        """Take back what the plan sent, the last document first, at most `limit` of them; safe to call again.

        What was changed or used in the other system since stays and says why. Raises RefusedError while a repair of
        the same system runs.
        """
        plan = self.get(plan_id)
        declared, _ = self._of(plan.audit)
        reason = ""
        with self._lease(plan.system) as held:
            undoer = Undoer(sender=self._sender(plan, declared, actor=actor, held=held))
            sent = 0
            for item in reversed([item for item in plan.items if to_undo(item)]):
                if stop():
                    reason = "told to stop"
                    break
                if limit is not None and sent >= limit:
                    reason = f"the limit of {limit} documents is reached"
                    break
                try:
                    sent += undoer.undo(item, stop)
                except (AuthRefused, RefusedError, Lost) as error:
                    reason = str(error)
                    break
        items = self.get(plan_id).items
        unknown = {RepairStatus.UNDOING, RepairStatus.UNDO_UNKNOWN, RepairStatus.SENDING, RepairStatus.UNKNOWN}
        return UndoResult(
            plan=plan_id,
            undone=tuple(item for item in items if item.status is RepairStatus.UNDONE),
            kept=tuple(item for item in items if item.status is RepairStatus.DONE and item.receipt),
            unknown=tuple(item for item in items if item.status in unknown),
            reason=reason,
        )

    def _of(self, audit: str) -> tuple[Declared, RepairOptions]:
        if audit not in self._declared:
            raise UsageError(f"audit '{audit}' is no longer part of the chain; its runs cannot be repaired")
        if audit not in self._options:
            raise UsageError(
                f"audit '{audit}' has no repair; add 'repair: {{lines: {{system: …, dataset: …}}}}' to it, or repair "
                "by hand in the system that owns the data"
            )
        return self._declared[audit], self._options[audit]

    def _sender(self, plan: RepairPlan, declared: Declared, *, actor: str, held: "Held | None" = None) -> "Sender":
        with self._database.read() as connection:
            evidence = audit_records.run_of(connection, plan.run).report
        return Sender(
            plan=plan,
            declared=declared,
            left=self._sources.get(declared.spec.left.system),
            right=self._sources.get(plan.system),
            by_key=bool(evidence and evidence.evidence.get("exact_keys")),
            quantity=self._options[plan.audit].quantity,
            database=self._database,
            clock=self._clock,
            actor=actor,
            held=held,
        )

    @contextmanager
    def _lease(self, system: str) -> Iterator["Held"]:
        """Hold the right to send to `system`, kept alive by a thread until the end."""
        name, owner = f"repair:{system}", uuid.uuid4().hex
        until = self._clock.monotonic() + LEASE_WAIT_SECONDS
        while (epoch := self._acquire(name, owner)) is None:
            if self._clock.monotonic() >= until:
                raise RefusedError(
                    f"another repair of system '{system}' is running; wait for it to end, then apply again"
                )
            self._clock.sleep(NAP_SECONDS)
        held = Held(name=name, owner=owner, epoch=epoch)
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(held, ended), name=f"lease-{name}", daemon=True)
        keeper.start()
        try:
            yield held
        finally:
            ended.set()
            keeper.join()
            self._database.write(lambda connection: leases.release(connection, name, owner, epoch, self._clock.now()))

    def _acquire(self, name: str, owner: str) -> int | None:
        def job(connection: Connection) -> int | None:
            return leases.acquire(connection, name, owner, LEASE, self._database.now(connection))

        return self._database.write(job)

    def _keep(self, held: "Held", ended: threading.Event) -> None:
        while not ended.wait(LEASE.total_seconds() / 3):
            try:
                self._database.write(lambda connection: held.renew(connection, self._database))
            except StoreError as error:
                _log.warning("the lease %s could not be renewed: %s", held.name, error)


def _result(plan: RepairPlan, reason: str) -> RepairResult:
    def those(*statuses: RepairStatus) -> tuple[RepairItem, ...]:
        return tuple(item for item in plan.items if item.status in statuses)

    return RepairResult(
        plan=plan.id,
        ok=those(RepairStatus.DONE),
        failed=those(RepairStatus.FAILED),
        skipped=those(RepairStatus.SKIPPED),
        unknown=those(RepairStatus.UNKNOWN),
        left_over=len(those(RepairStatus.PENDING, RepairStatus.SENDING)),
        reason=reason,
    )
