"""The desk: everything people and other parts of the product ask of runbooks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tillwatch.errors import ActionError, RefusedError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Episode
from tillwatch.model.incident import Component, RunbookLink
from tillwatch.model.runbook import Phase, Run, RunState, StepRecord, StepState
from tillwatch.model.text import Text
from tillwatch.runbook import catalogue, engine, plan
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.actions.base import ActionServices
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.approve import admit
from tillwatch.runbook.cards import DryRun, RunbookCard
from tillwatch.runbook.document import Runbook
from tillwatch.runbook.inventory import proposals, resolve
from tillwatch.runbook.journal import Timeline, about
from tillwatch.runbook.lint import load_all
from tillwatch.runbook.snapshot import Snapshot
from tillwatch.runbook.suggest import suggest
from tillwatch.runbook.worker import RunWorker, ignore, untold
from tillwatch.store import incidents, run_records, runs
from tillwatch.store.run_records import EVERY_RUNBOOK, Vote
from tillwatch.store.runs import RunRow

MAX_TEXT_CHARACTERS = 4_000
_DAY = timedelta(days=1)


class TargetHeld(RefusedError):
    """Another run works on the same target; `run` is its number, so that a page can lead there instead."""

    def __init__(self, message: str, *, run: int) -> None:
        super().__init__(message)
        self.run = run


class RunbookDesk:
    """UsageError: it does not exist. RefusedError: policy says no. StoreError: nothing was stored."""

    def __init__(
        self,
        services: ActionServices,
        *,
        registry: Registry = REGISTRY,
        owner: str = "",
        metrics: Metrics | None = None,
        timeline: Timeline = untold,
        observe: Callable[[int, str], None] = ignore,
    ) -> None:
        """Raises RunbookError with every problem of every runbook."""
        self._config = services.config
        self._database = services.database
        self._services = services
        self._registry = registry
        self._timeline = timeline
        self.books: Mapping[str, Runbook] = load_all(services.config, registry)
        self._worker = RunWorker(
            services, registry=registry, owner=owner, metrics=metrics, timeline=timeline, observe=observe
        )

    def worker(self) -> RunWorker:
        """The worker of this process: `loop` carries out runs; a request made at this desk wakes it at once."""
        return self._worker

    def titles(self, runbook: str) -> Text:
        """The title by language, empty for a runbook that is not there any more."""
        book = self.books.get(runbook)
        return book.head.title.text() if book else {}

    def catalogue(self) -> Sequence[RunbookCard]:
        return [catalogue.card(book, self._config, self._registry) for book in self.books.values()]

    def card(self, runbook: str) -> RunbookCard:
        return catalogue.card(self._book(runbook), self._config, self._registry)

    def suggest(self, component: Component, episodes: Sequence[Episode], incident: int = 0) -> tuple[RunbookLink, ...]:
        """Runbooks that serve the firing alerts, pre-filled. `incident` defaults to the one the episodes belong to."""
        number = incident or next((item.incident for item in episodes if item.incident is not None), 0)
        return suggest(self.books, self._config, component, episodes, number)

    def proposed(self, runbook: str, incident: int | None) -> Mapping[str, str]:
        """Parameters as the incident suggests them; unchecked, for a form."""
        book = self._book(runbook)
        if incident is None:
            return {}
        with self._database.read() as connection:
            component = incidents.get(connection, incident).component
            episodes = incidents.episodes(connection, incident)
        return proposals(
            book.head.params,
            incident=incident,
            component=component,
            episodes=episodes,
            config=self._config,
            serves=book.head.serves,
        )

    def plan(self, runbook: str, params: Mapping[str, str], *, incident: int | None = None) -> DryRun:
        """What a run would do. Parameters left out are taken from the incident; wrong ones are reported, not raised."""
        book = self._book(runbook)
        given = {**self.proposed(runbook, incident), **params}
        resolved = resolve(book.head.params, given, self._config)
        if resolved.problems:
            return DryRun(runbook=book.id, params=given, digest="", steps=(), problems=resolved.problems)
        made = plan.snapshot(book, resolved, self._registry)
        return plan.dry_run(made, self._registry, self._services, incident=incident, actor="plan")

    def start(self, runbook: str, params: Mapping[str, str], *, incident: int | None = None, actor: str) -> Run:
        """Queue a run of the plan as it is now. Raises TargetHeld when another run works on the same target."""
        _named(actor)
        book = self._book(runbook)
        resolved = resolve(book.head.params, {**self.proposed(runbook, incident), **params}, self._config)
        made = plan.snapshot(book, resolved, self._registry)
        records = [
            StepRecord(id=step.id, title=step.title, action=step.call.action, phase=Phase.DO, state=StepState.PENDING)
            for step in made.steps
        ]

        def job(connection: Connection) -> int:
            now = self._database.now(connection)
            self._may_start(connection, book, made.lock, now)
            run = runs.insert(
                connection,
                runbook=book.id,
                title=made.title,
                params=made.params,
                plan=made.to_json(),
                digest=made.digest,
                lock=made.lock,
                requested_by=actor,
                incident=incident,
                steps=records,
                now=now,
                deadline_at=now + book.head.limits.deadline,
            )
            data = {"params": dict(made.params), "digest": made.digest}
            self._note(connection, run, now, actor, "requested", data, incident=incident, made=made)
            return run

        try:
            number = self._database.write(job)
        except IntegrityError as error:
            raise RefusedError(
                f"another run holds '{made.lock}' since just now; look at 'tillwatch runbook runs'"
            ) from error
        self._worker.wake()
        return self.get(number)

    def _may_start(self, connection: Connection, book: Runbook, lock: str, now: datetime) -> None:
        if switch := run_records.switched_off(connection, book.id):
            raise RefusedError(f"runbook '{book.id}' is switched off by {switch.actor}: {switch.reason}")
        if (holder := runs.holder(connection, lock)) is not None:
            message = f"run {holder} works on '{lock}' already; join it at /runs/{holder}"
            raise TargetHeld(message, run=holder)
        limit = book.head.limits.max_runs_per_day
        if runs.count_since(connection, book.id, now - _DAY) >= limit:
            message = (
                f"runbook '{book.id}' ran {limit} times in a day already, its limit; find out why it does not help"
            )
            raise RefusedError(message)

    def run_now(self, run: int) -> Run:
        """Carry the run out here, without a server, until it is over or waits for people."""
        return self._worker.run_now(run)

    def get(self, run: int) -> Run:
        return self._row(run).run

    def list(self, *, incident: int | None = None, limit: int = 50, before: int | None = None) -> Sequence[Run]:
        """Newest first."""
        with self._database.read() as connection:
            return runs.listed(connection, incident=incident, limit=limit, before=before)

    def records(self, run: int) -> Sequence[run_records.Record]:
        """Who did what in this run, in order."""
        with self._database.read() as connection:
            return run_records.records(connection, run)

    def approve(
        self, run: int, actor: str, role: str, decision: str = "approve", *, digest: str = "", reason: str = ""
    ) -> Run:
        """Sign what the run waits for. `digest`, when given, must be that of the plan the person was shown."""
        _named(actor)

        def job(connection: Connection) -> None:
            row = self._row(run, connection)
            waiting = row.run.waiting
            if row.run.state is not RunState.WAITING_APPROVAL:
                raise RefusedError(f"run {run} is {row.run.state}; it waits for no approval")
            admit(waiting, actor=actor, role=role, decision=decision, requester=row.run.requested_by)
            now = self._database.now(connection)
            if now >= datetime.fromisoformat(str(waiting["expires_at"])):
                raise RefusedError(f"the approval of run {run} expired; start a new run")
            signed = str(waiting["digest"])
            if digest and digest != signed:
                raise RefusedError(f"the plan of run {run} changed since it was shown; look at it again")
            vote = Vote(
                step=str(waiting["step"]),
                digest=signed,
                actor=actor,
                role=role,
                decision=decision,
                reason=reason[:MAX_TEXT_CHARACTERS],
                at=now,
            )
            if not run_records.add_vote(connection, run, vote):
                raise RefusedError(f"{actor} has voted on this plan already")
            runs.change_unclaimed(connection, run, wake_at=now)
            data = {"step": vote.step, "role": role, "decision": decision, "digest": signed, "reason": vote.reason}
            self._note(connection, run, now, actor, "voted", data, incident=row.run.incident)

        self._database.write(job)
        self._worker.wake()
        return self.get(run)

    def confirm_manual(self, run: int, step: str, actor: str, text: str = "", *, done: bool = True) -> Run:
        """A person did what the step asks, or could not (`done=False`: the step fails)."""
        _named(actor)

        def job(connection: Connection) -> None:
            row = self._row(run, connection)
            if row.run.state is not RunState.WAITING_MANUAL or row.run.waiting.get("step") != step:
                raise RefusedError(f"run {run} is {row.run.state} and does not wait for step '{step}'")
            asked: Any = row.run.waiting.get("ask") or {}
            if done and asked.get("evidence") == "required" and not text.strip():
                raise UsageError(f"step '{step}' asks for evidence; say what you saw or did")
            now = self._database.now(connection)
            number = next(at for at, record in enumerate(row.run.steps) if record.id == step)
            output = {"by": actor, "text": text[:MAX_TEXT_CHARACTERS], "at": now.isoformat()}
            state = StepState.DONE if done else StepState.FAILED
            error = "" if done else f"{actor}: {text[:MAX_TEXT_CHARACTERS] or 'could not be done'}"
            if not runs.confirm_step(connection, run, number, state=state, output=output, error=error):
                raise RefusedError(f"step '{step}' of run {run} was confirmed already")
            runs.change_unclaimed(connection, run, wake_at=now)
            self._note(connection, run, now, actor, "confirmed", {"step": step, **output}, incident=row.run.incident)

        self._database.write(job)
        self._worker.wake()
        return self.get(run)

    def stop(self, run: int, actor: str) -> Run:
        """Ask the run to stop and take back what it did. A run that needs a person is closed as it stands."""
        _named(actor)

        def job(connection: Connection) -> None:
            row = self._row(run, connection)
            now = self._database.now(connection)
            if row.run.state is RunState.NEEDS_HUMAN:
                reason = f"{row.run.reason}; closed by {actor}"
                runs.change_unclaimed(connection, run, state=RunState.KILLED.value, reason=reason, lock=None)
            elif row.run.state.is_final:
                raise RefusedError(f"run {run} is over ({row.run.state}); there is nothing to stop")
            elif row.ending is not None:
                raise RefusedError(f"run {run} goes back already; let it finish, or use the kill switch")
            else:
                runs.change_unclaimed(connection, run, stop_requested_by=actor, wake_at=now)
            self._note(connection, run, now, actor, "stopped", {}, incident=row.run.incident)

        self._database.write(job)
        self._worker.wake()
        return self.get(run)

    def resume(self, run: int, actor: str = "system", *, decision: str = "") -> Run:
        """Put a run back to work. One that needs a person needs a decision too: done, retry or undo.

        Without one, a step that merely failed is tried again; a step nobody knows the outcome of never is.
        """
        _named(actor)

        def job(connection: Connection) -> None:
            row = self._row(run, connection)
            now = self._database.now(connection)
            if row.run.state is not RunState.NEEDS_HUMAN:
                if row.run.state.is_final:
                    raise RefusedError(f"run {run} is over ({row.run.state}); start a new one")
                runs.change_unclaimed(connection, run, wake_at=now)
                return
            self._reopen(connection, row, now, actor, decision)

        self._database.write(job)
        self._worker.wake()
        return self.get(run)

    def _reopen(self, connection: Connection, row: RunRow, now: datetime, actor: str, decision: str) -> None:
        run = row.run.id
        unknown = next((record.id for record in row.run.steps if record.state is StepState.UNKNOWN), "")
        if unknown and not decision:
            raise UsageError(
                f"nobody knows whether step '{unknown}' of run {run} happened; find out, then resume with "
                "--decision done, retry or undo"
            )
        if decision and decision not in engine.DECISIONS:
            raise UsageError(f"'{decision}' is no decision; say {', '.join(engine.DECISIONS)}")
        made = Snapshot.from_json(row.plan)
        holder = runs.holder(connection, made.lock)
        if holder not in {None, run}:
            raise TargetHeld(f"run {holder} works on '{made.lock}' now; join it at /runs/{holder}", run=holder or 0)
        try:
            opened = engine.reopen(row, made, decision or "retry")
        except ActionError as error:
            raise RefusedError(f"run {run}: {error}") from error
        values = {
            "state": opened.state,
            "ending": opened.ending.value if opened.ending else "",
            "finished_at": None,
            "stop_requested_by": "",
            "lock": made.lock,
            "deadline_at": now + timedelta(seconds=made.deadline_seconds),
        }
        runs.reopen(connection, run, opened.number, step=opened.step, values=values)
        data = {"decision": decision or "retry", "step": row.run.steps[opened.number].id}
        self._note(connection, run, now, actor, "reopened", data, incident=row.run.incident)

    def switch(self, runbook: str, *, is_on: bool, actor: str, reason: str = "") -> None:
        """The kill switch of one runbook, or of all (`*`): on forbids every further effect."""
        _named(actor)
        if runbook != EVERY_RUNBOOK:
            self._book(runbook)
        self._database.write(
            lambda connection: run_records.set_switch(
                connection, runbook, is_on=is_on, actor=actor, reason=reason, now=self._database.now(connection)
            )
        )

    def _note(
        self,
        connection: Connection,
        run: int,
        now: datetime,
        actor: str,
        kind: str,
        data: Mapping[str, object],
        *,
        incident: int | None,
        made: Snapshot | None = None,
    ) -> None:
        run_records.record(connection, run, at=now, actor=actor, kind=kind, data=data)
        if incident is not None:
            told = made or Snapshot.from_json(self._row(run, connection).plan)
            self._timeline(connection, incident, f"run_{kind}", actor, about(told, run, data))

    def _book(self, runbook: str) -> Runbook:
        return catalogue.find(self.books, runbook)

    def _row(self, run: int, connection: Connection | None = None) -> RunRow:
        if connection is None:
            with self._database.read() as fresh:
                return self._row(run, fresh)
        row = runs.row(connection, run)
        if row is None:
            raise UsageError(f"there is no run {run}; list them with 'tillwatch runbook runs'")
        return row


def _named(actor: str) -> None:
    if not actor.strip():
        raise UsageError("who asks? Sign in, or pass --actor NAME")
