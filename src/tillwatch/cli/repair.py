"""`tillwatch repair plan|apply|undo`: from drift to documents in the other system, dry by default."""

import getpass
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.audit.sending import Preview
from tillwatch.audit.sentences import reason
from tillwatch.audit.verdict import money
from tillwatch.cli.context import ExitCode, emit, language, opened, say, table
from tillwatch.model.repair import RepairItem, RepairPlan, RepairResult, UndoResult
from tillwatch.model.text import pick

app = typer.Typer(help="Plan, apply and take back repairs of what an audit found.", no_args_is_help=True)


@app.command("plan")
def plan(
    ctx: typer.Context, run: Annotated[int, typer.Argument(metavar="RUN", help="Number of an audit run.")]
) -> None:
    """Turn the differences of a run into documents. Nothing is sent. A run has one plan: asking again shows it."""
    with opened(ctx) as application:
        words = language(ctx, application.config)
        made: RepairPlan = application.repairs.plan_repair(run, actor=_actor())
    emit(ctx, _document(made), lambda console: _draw_plan(console, made, words))
    say(f"nothing was sent; 'tillwatch repair apply {made.id}' shows what would be, with --yes it is")


@app.command("apply")
def apply(
    ctx: typer.Context,
    plan: Annotated[int, typer.Argument(metavar="PLAN", help="Number of a repair plan.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send the documents; without it nothing is sent.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Send at most so many documents.")] = None,
) -> None:
    """Show what applying a plan would do now, or with --yes do it. Applying again sends only what is not there.

    Exit code 1 when something is left to do: failed, unknown or not reached.
    """
    with opened(ctx) as application:
        words = language(ctx, application.config)
        if not yes:
            previews: list[Preview] = list(application.repairs.preview(plan))
        else:
            result: RepairResult = application.repairs.apply_repair(plan, actor=_actor(), limit=limit)
    if not yes:
        document = {"plan": plan, "dry_run": True, "items": [_previewed(preview) for preview in previews]}
        emit(ctx, document, lambda console: _draw_preview(console, previews, words))
        say("dry run: nothing was sent; add --yes to send it")
        return
    emit(ctx, _applied(result), lambda console: _draw_result(console, result, words))
    if not result.complete:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("undo")
def undo(
    ctx: typer.Context,
    plan: Annotated[int, typer.Argument(metavar="PLAN", help="Number of a repair plan.")],
    yes: Annotated[bool, typer.Option("--yes", help="Take the documents back; without it nothing is sent.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Take back at most so many documents.")] = None,
) -> None:
    """Show what taking a repair back would do now, or with --yes do it. What was used since stays, with the reason.

    Exit code 1 when a document still stands or nobody can tell.
    """
    with opened(ctx) as application:
        words = language(ctx, application.config)
        if not yes:
            previews: list[Preview] = list(application.repairs.preview_undo(plan))
        else:
            result: UndoResult = application.repairs.undo_repair(plan, actor=_actor(), limit=limit)
    if not yes:
        document = {"plan": plan, "dry_run": True, "items": [_previewed(preview) for preview in previews]}
        emit(ctx, document, lambda console: _draw_preview(console, previews, words))
        say("dry run: nothing was taken back; add --yes to do it")
        return
    emit(ctx, _undone(result), lambda console: _draw_undone(console, result, words))
    if not result.complete:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


def _actor() -> str:
    """Who stands in the journal."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def _item(item: RepairItem) -> dict[str, object]:
    return {
        "number": item.number,
        "key": dict(item.key),
        "kind": item.kind,
        "action": item.action,
        "status": item.status,
        "reason": item.reason,
        "attempts": item.attempts,
        "value_at_risk": money(item.value_at_risk),
        "document": dict(item.document),
        "receipt": dict(item.receipt),
    }


def _document(made: RepairPlan) -> dict[str, object]:
    """The document of `repair plan --json`."""
    return {
        "plan": made.id,
        "run": made.run,
        "audit": made.audit,
        "system": made.system,
        "digest": made.digest,
        "created_at": made.created_at,
        "created_by": made.created_by,
        "items": [_item(item) for item in made.items],
    }


def _previewed(preview: Preview) -> dict[str, object]:
    planned = preview.plan
    return {
        **_item(preview.item),
        "would": planned.operation if planned and not preview.reason else "nothing",
        "why_not": preview.reason,
        "before": planned.before if planned else None,
        "steps": [dict(step) for step in planned.steps] if planned else [],
    }


def _applied(result: RepairResult) -> dict[str, object]:
    """The document of `repair apply --yes --json`."""
    return {
        "plan": result.plan,
        "dry_run": False,
        "complete": result.complete,
        "ok": [_item(item) for item in result.ok],
        "failed": [_item(item) for item in result.failed],
        "skipped": [_item(item) for item in result.skipped],
        "unknown": [_item(item) for item in result.unknown],
        "left_over": result.left_over,
        "reason": result.reason,
    }


def _undone(result: UndoResult) -> dict[str, object]:
    """The document of `repair undo --yes --json`."""
    return {
        "plan": result.plan,
        "dry_run": False,
        "complete": result.complete,
        "undone": [_item(item) for item in result.undone],
        "kept": [_item(item) for item in result.kept],
        "unknown": [_item(item) for item in result.unknown],
        "reason": result.reason,
    }


def _rows(items: Sequence[RepairItem], words: str) -> list[tuple[object, ...]]:
    return [
        (
            item.number,
            "/".join(item.key.values()),
            item.action,
            item.status,
            money(item.value_at_risk),
            reason(item.reason, words),
        )
        for item in items
    ]


_COLUMNS = ("ITEM", "KEY", "ACTION", "STATUS", "AT RISK", "REASON")


def _draw_plan(console: Console, made: RepairPlan, words: str) -> None:
    console.print(f"plan {made.id} for run {made.run} of {made.audit}, into {made.system}", markup=False)
    table(_COLUMNS, _rows(made.items, words))(console)


def _draw_preview(console: Console, previews: Sequence[Preview], words: str) -> None:
    rows = []
    for preview in previews:
        would = preview.plan.operation if preview.plan and not preview.reason else "nothing"
        steps = "; ".join(pick(step, words) for step in preview.plan.steps) if preview.plan else ""
        rows.append(
            (preview.item.number, "/".join(preview.item.key.values()), would, reason(preview.reason, words) or steps)
        )
    table(("ITEM", "KEY", "WOULD", "DETAIL"), rows)(console)


def _draw_result(console: Console, result: RepairResult, words: str) -> None:
    table(_COLUMNS, _rows((*result.ok, *result.failed, *result.unknown, *result.skipped), words))(console)
    left = f", {result.left_over} not reached" if result.left_over else ""
    why = f" ({reason(result.reason, words)})" if result.reason else ""
    console.print(
        f"{len(result.ok)} done, {len(result.failed)} failed, {len(result.unknown)} unknown, "
        f"{len(result.skipped)} skipped{left}{why}",
        markup=False,
    )


def _draw_undone(console: Console, result: UndoResult, words: str) -> None:
    table(_COLUMNS, _rows((*result.undone, *result.kept, *result.unknown), words))(console)
    why = f" ({reason(result.reason, words)})" if result.reason else ""
    counts = f"{len(result.undone)} taken back, {len(result.kept)} kept, {len(result.unknown)} unknown"
    console.print(f"{counts}{why}", markup=False)
