"""`tillwatch runbook …`: read, plan and run runbooks. Runs are carried out here, so they work with the server down."""

import getpass
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, config, emit, language, local_time, opened, say, table
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.runbook import Run, RunState
from tillwatch.model.text import pick
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.cards import DryRun, RunbookCard
from tillwatch.runbook.lint import load_all

app = typer.Typer(help="Read, plan and run runbooks.", no_args_is_help=True)

Params = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Parameters.")]
Incident = Annotated[int | None, typer.Option("--incident", metavar="N", help="Take parameters from this incident.")]
Actor = Annotated[str, typer.Option("--actor", metavar="NAME", help="Who acts. Default: the system user.")]
RunNumber = Annotated[int, typer.Argument(metavar="RUN", help="Number of a run.")]

_WAITS = {RunState.WAITING_APPROVAL, RunState.WAITING_MANUAL}
_EXIT = {
    RunState.SUCCEEDED: ExitCode.OK,
    RunState.ROLLED_BACK: ExitCode.PROBLEM_FOUND,
    RunState.NEEDS_HUMAN: ExitCode.PROBLEM_FOUND,
    RunState.KILLED: ExitCode.REFUSED,
    RunState.EXPIRED: ExitCode.REFUSED,
}


@app.command("list")
def list_runbooks(ctx: typer.Context) -> None:
    """Every runbook with the alerts it serves."""
    chain = config(ctx, secrets=False)
    books = load_all(chain, REGISTRY)
    speech = language(ctx, chain)
    rows = [
        (book.id, pick(book.head.title.text(), speech), ", ".join(book.head.serves), f"{book.head.minutes} min")
        for book in books.values()
    ]
    document = [
        {
            "id": book.id,
            "title": book.head.title.text(),
            "serves": list(book.head.serves),
            "owner": book.head.owner,
            "minutes": book.head.minutes,
        }
        for book in books.values()
    ]
    emit(ctx, document, table(("RUNBOOK", "TITLE", "SERVES", "TAKES"), rows))


@app.command("lint")
def lint(ctx: typer.Context) -> None:
    """Check every runbook of the chain directory; every problem with its line. Exit code 2 when there is one."""
    books = load_all(config(ctx, secrets=False), REGISTRY)
    document = {"runbooks": len(books), "problems": []}
    emit(ctx, document, lambda console: console.print(f"{len(books)} runbooks, no problems", markup=False))


@app.command("show")
def show(ctx: typer.Context, runbook: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """One runbook as a person on call reads it."""
    with opened(ctx) as application:
        card = application.runbooks.card(runbook)
        chain: ChainConfig = application.config
    emit(ctx, card, lambda console: _draw_card(console, card, language(ctx, chain)))


@app.command("plan")
def plan(
    ctx: typer.Context,
    runbook: Annotated[str, typer.Argument(metavar="ID")],
    params: Params = None,
    incident: Incident = None,
) -> None:
    """What a run would do, by reading only. Exit code 2 when parameters are wrong."""
    with opened(ctx) as application:
        dry = application.runbooks.plan(runbook, _given(params), incident=incident)
        chain: ChainConfig = application.config
    emit(ctx, {**_plain_plan(dry)}, lambda console: _draw_plan(console, dry, language(ctx, chain)))
    if dry.problems:
        say("\n".join(dry.problems.values()))
        raise typer.Exit(ExitCode.USAGE)


@app.command("run")
def run(
    ctx: typer.Context,
    runbook: Annotated[str, typer.Argument(metavar="ID")],
    params: Params = None,
    incident: Incident = None,
    actor: Actor = "",
) -> None:
    """Start a run and carry it out here until it is over or waits for people."""
    with opened(ctx) as application:
        desk = application.runbooks
        number = desk.start(runbook, _given(params), incident=incident, actor=actor or getpass.getuser()).id
        _finish(ctx, application.config, desk.run_now(number))


@app.command("approve")
def approve(
    ctx: typer.Context,
    run: RunNumber,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Default: the role asked for.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Refuse instead.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    digest: Annotated[str, typer.Option("--digest", help="Only if the plan still has this digest.")] = "",
    actor: Actor = "",
) -> None:
    """Sign the plan a run waits with, then carry the run on."""
    with opened(ctx) as application:
        desk = application.runbooks
        asked = str(desk.get(run).waiting.get("role", ""))
        decision = "reject" if reject else "approve"
        desk.approve(run, actor or getpass.getuser(), role or asked, decision, digest=digest, reason=reason)
        _finish(ctx, application.config, desk.run_now(run))


@app.command("confirm")
def confirm(
    ctx: typer.Context,
    run: RunNumber,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that waits.")],
    text: Annotated[str, typer.Option("--text", help="What was seen or done.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="It could not be done.")] = False,
    actor: Actor = "",
) -> None:
    """Say that a step for people is done, then carry the run on."""
    with opened(ctx) as application:
        desk = application.runbooks
        desk.confirm_manual(run, step, actor or getpass.getuser(), text, done=not failed)
        _finish(ctx, application.config, desk.run_now(run))


@app.command("resume")
def resume(
    ctx: typer.Context,
    run: RunNumber,
    decision: Annotated[
        str, typer.Option("--decision", metavar="done|retry|undo", help="For a run that needs a person.")
    ] = "",
    actor: Actor = "",
) -> None:
    """Carry on a run whose worker died, or one that needs a person's decision."""
    with opened(ctx) as application:
        desk = application.runbooks
        desk.resume(run, actor or getpass.getuser(), decision=decision)
        _finish(ctx, application.config, desk.run_now(run))


@app.command("stop")
def stop(ctx: typer.Context, run: RunNumber, actor: Actor = "") -> None:
    """Stop a run and take back what it did."""
    with opened(ctx) as application:
        desk = application.runbooks
        stopped = desk.stop(run, actor or getpass.getuser())
        if stopped.state in _WAITS or stopped.state is RunState.QUEUED:
            stopped = desk.run_now(run)
        document, chain = _document(stopped), application.config
    emit(ctx, document, lambda console: _draw_run(console, stopped, language(ctx, chain)))


@app.command("switch")
def switch(
    ctx: typer.Context,
    runbook: Annotated[str, typer.Argument(metavar="ID|*", help="One runbook, or all.")],
    on: Annotated[bool, typer.Option("--on/--off", help="On forbids every further effect.")] = True,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    actor: Actor = "",
) -> None:
    """The kill switch: on ends running runs where they stand and lets no new one start."""
    with opened(ctx) as application:
        application.runbooks.switch(runbook, is_on=on, actor=actor or getpass.getuser(), reason=reason)
    emit(ctx, {"runbook": runbook, "switch": "on" if on else "off"}, lambda console: console.print("ok"))


@app.command("runs")
def runs(
    ctx: typer.Context,
    incident: Incident = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many, newest first.")] = 20,
) -> None:
    """Runs, newest first."""
    with opened(ctx) as application:
        found = application.runbooks.list(incident=incident, limit=limit)
        chain: ChainConfig = application.config
    rows = [
        (item.id, item.runbook, item.state, item.requested_by, local_time(chain, item.created_at), item.reason)
        for item in found
    ]
    columns = ("RUN", "RUNBOOK", "STATE", "BY", "CREATED", "REASON")
    emit(ctx, [_document(item) for item in found], table(columns, rows))


def _given(params: Sequence[str] | None) -> dict[str, str]:
    given = {}
    for item in params or ():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"'{item}' is no parameter; write NAME=VALUE")
        given[name] = value
    return given


def _document(run: Run) -> dict[str, Any]:
    """The documented shape of `runbook run --json`."""
    return {
        "run": run.id,
        "runbook": run.runbook,
        "state": run.state.value,
        "reason": run.reason,
        "params": dict(run.params),
        "steps": [
            {
                "id": step.id,
                "phase": step.phase.value,
                "state": step.state.value,
                "attempts": step.attempts,
                "seconds": round(step.seconds, 3),
                "output": dict(step.output),
                "error": step.error,
            }
            for step in run.steps
        ],
        "waiting": dict(run.waiting),
        "digest": run.digest,
        "incident": run.incident,
    }


def _plain_plan(dry: DryRun) -> Mapping[str, Any]:
    return {
        "runbook": dry.runbook,
        "params": dict(dry.params),
        "digest": dry.digest,
        "preview": "complete" if dry.is_complete else "partial",
        "problems": dict(dry.problems),
        "steps": list(dry.steps),
    }


def _finish(ctx: typer.Context, chain: ChainConfig, run: Run) -> None:
    emit(ctx, _document(run), lambda console: _draw_run(console, run, language(ctx, chain)))
    if run.state in _WAITS:
        step = run.waiting.get("step", "")
        verb = f"approve {run.id}" if run.state is RunState.WAITING_APPROVAL else f"confirm {run.id} {step}"
        say(f"run {run.id} waits at step '{step}'; go on with: tillwatch runbook {verb}")
        return
    if code := _EXIT.get(run.state, ExitCode.COULD_NOT_RUN):
        raise typer.Exit(code)


def _draw_run(console: Console, run: Run, speech: str) -> None:
    words = f": {run.reason}" if run.reason else ""
    console.print(f"run {run.id} of {run.runbook}: {run.state}{words}", markup=False)
    rows = [
        (step.id, pick(step.title, speech), step.phase, step.state, f"{step.seconds:.1f}s", step.error)
        for step in run.steps
    ]
    table(("STEP", "TITLE", "PHASE", "STATE", "TOOK", "ERROR"), rows)(console)


def _draw_card(console: Console, card: RunbookCard, speech: str) -> None:
    console.print(pick(card.title, speech, card.id), markup=False, style="bold")
    for fact in card.facts.values():
        console.print(f"- {pick(fact, speech)}", markup=False)
    if card.prose:
        console.print(f"\n{pick(card.prose, speech)}", markup=False)
    for step in card.steps:
        console.print(f"\n{pick(step.title, speech)}  [{step.id}: {step.action}, {step.effect}]", markup=False)
        console.print(pick(step.prose, speech), markup=False)


def _draw_plan(console: Console, dry: DryRun, speech: str) -> None:
    rows = []
    for step in dry.steps:
        note = step.error or ("" if step.previewed else "CANNOT PREVIEW")
        approval = f"{step.approval['count']} x {step.approval['role']}" if step.approval else ""
        rows.append((step.id, pick(step.summary, speech), step.effect, approval, pick(step.undo, speech), note))
    table(("STEP", "WOULD", "EFFECT", "APPROVAL", "UNDO", "NOTE"), rows)(console)
    kind = "complete preview" if dry.is_complete else "partial preview"
    console.print(f"{kind}; digest {dry.digest or '-'}", markup=False)
