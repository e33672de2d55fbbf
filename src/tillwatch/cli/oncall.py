"""`tillwatch oncall now|list`: whose turn it is. Answered from the chain directory alone; no store is opened."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from tillwatch.cli.context import ExitCode, config, emit, language, local_time, say, table
from tillwatch.clock import SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.text import pick
from tillwatch.oncall.days import placed
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import merged, outlook
from tillwatch.oncall.rota import Turn

app = typer.Typer(help="On-call: whose turn it is.", no_args_is_help=True)

DEFAULT_DAYS = 14
MAX_DAYS = 366

RotaArgument = Annotated[str, typer.Argument(metavar="ROTA", help="One rota; all of them when not given.")]


@app.command("now")
def now(
    ctx: typer.Context,
    rota: RotaArgument = "",
    at: Annotated[str, typer.Option("--at", help="Another moment, for example 2026-10-01T08:00.")] = "",
) -> None:
    """Who is on call, until when, and who is next. Exit code 1 when a rota that should not be empty is."""
    chain = config(ctx, secrets=False)
    moment = _moment(chain, at)
    duty, speech = Duty.of(chain), language(ctx, chain)
    found = [outlook(duty.schedules[id], moment) for id in _rotas(chain, rota)]
    documents = [
        {**_turn(chain, one.now, speech), "next": _turn(chain, one.next, speech) if one.next else None} for one in found
    ]
    rows = [
        (
            one.now.rota,
            _name(chain, one.now.person, speech) or "-",
            one.now.why.value,
            local_time(chain, one.now.ends),
            _name(chain, one.next.person, speech) if one.next else "-",
        )
        for one in found
    ]
    emit(ctx, documents, table(("ROTA", "ON CALL", "WHY", "UNTIL", "NEXT"), rows))
    empty = [one.now.rota for one in found if not one.now.person and not chain.rota(one.now.rota).may_be_empty]
    if empty:
        say(f"nobody is on call: {', '.join(empty)}")
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("list")
def list_turns(
    ctx: typer.Context,
    rota: RotaArgument = "",
    days: Annotated[int, typer.Option("--days", min=1, max=MAX_DAYS, help="So many days from now.")] = DEFAULT_DAYS,
    at: Annotated[str, typer.Option("--at", help="From another moment on.")] = "",
) -> None:
    """The turns of the coming days, with the hours that are nobody's."""
    chain = config(ctx, secrets=False)
    moment = _moment(chain, at)
    duty, speech = Duty.of(chain), language(ctx, chain)
    turns = [
        turn
        for id in _rotas(chain, rota)
        for turn in merged(duty.schedules[id].turns(moment, moment + timedelta(days=days)))
    ]
    rows = [
        (
            one.rota,
            local_time(chain, one.begins),
            local_time(chain, one.ends),
            _name(chain, one.person, speech) or "-",
            one.why.value,
        )
        for one in turns
    ]
    documents = [_turn(chain, one, speech) for one in turns]
    emit(ctx, documents, table(("ROTA", "FROM", "UNTIL", "ON CALL", "WHY"), rows))


def _rotas(chain: ChainConfig, rota: str) -> list[str]:
    return [chain.rota(rota).id] if rota else [one.id for one in chain.rotas]


def _moment(chain: ChainConfig, text: str) -> datetime:
    if not text:
        return SystemClock().now()
    try:
        return placed(datetime.fromisoformat(text), chain.chain.timezone)
    except ValueError as error:
        raise UsageError(f"--at '{text}' is not a time; write for example 2026-10-01T08:00") from error


def _name(chain: ChainConfig, person: str, speech: str) -> str:
    return pick(chain.person(person).name, speech, person) if person else ""


def _turn(chain: ChainConfig, turn: Turn, speech: str) -> dict[str, Any]:
    return {
        "rota": turn.rota,
        "person": turn.person,
        "name": _name(chain, turn.person, speech),
        "why": turn.why.value,
        "from": turn.begins.astimezone(chain.chain.timezone),
        "until": turn.ends.astimezone(chain.chain.timezone),
    }
