"""`tillwatch source`: talk to one system, read only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, config, emit, language, local_time, table
from tillwatch.clock import SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.audit import Row
from tillwatch.model.text import pick
from tillwatch.sources import registry
from tillwatch.sources.base import CheckOutcome, Source

app = typer.Typer(help="Talk to one system: reads only, changes nothing.", no_args_is_help=True)

#: Rows shown without --limit; enough to see what a dataset looks like.
DEFAULT_LIMIT = 20
#: A terminal is no place for more; an audit reads everything.
MAX_LIMIT = 100_000

System = Annotated[str, typer.Argument(help="The system's id.")]


@contextmanager
def _opened(chain: ChainConfig, system: str) -> Iterator[Source]:
    """One source, logged off at the end. Raises UsageError for an unknown system."""
    sources = registry.build(chain, clock=SystemClock())
    try:
        yield sources.get(system)
    finally:
        sources.close()


@app.command("list")
def list_sources(ctx: typer.Context) -> None:
    """Every system, its kind of source and what can be done with it. Connects to none."""
    chain = config(ctx)
    sources = registry.build(chain, clock=SystemClock())
    rows = [
        {
            "id": system.id,
            "kind": system.source,
            "site": system.site,
            "name": dict(system.name),
            "capabilities": sources.get(system.id).capabilities,
        }
        for system in chain.systems
    ]
    sources.close()
    words = language(ctx, chain)
    cells = [(system.id, system.source, system.site, pick(system.name, words, system.id)) for system in chain.systems]
    emit(ctx, rows, table(("SYSTEM", "KIND", "SITE", "NAME"), cells))


@app.command("check")
def check(ctx: typer.Context, system: System) -> None:
    """Reach it, log in once, look at every dataset. Exit 1 when a step fails."""
    with _opened(config(ctx), system) as source:
        checks = source.check()
    failed = any(step.outcome is CheckOutcome.FAIL for step in checks)
    cells = [(step.name, step.outcome, step.cause, f"{step.seconds:.3f} s", step.message) for step in checks]
    document = {"system": system, "ok": not failed, "checks": checks}
    emit(ctx, document, table(("STEP", "OUTCOME", "CAUSE", "TIME", "MESSAGE"), cells))
    if failed:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("describe")
def describe(ctx: typer.Context, system: System) -> None:
    """What is there: product, version, datasets and the columns that feed their fields."""
    with _opened(config(ctx), system) as source:
        found = source.describe()
    cells = [
        (dataset.name, field.name, field.column, field.type)
        for dataset in found.datasets.values()
        for field in dataset.fields.values()
    ]

    def render(console: Console) -> None:
        console.print(f"{found.system}: {found.product} {found.version}", markup=False)
        table(("DATASET", "FIELD", "COLUMN", "TYPE"), cells)(console)

    emit(ctx, found, render)


@app.command("read")
def read(
    ctx: typer.Context,
    system: System,
    dataset: Annotated[str, typer.Argument(help="The dataset's canonical name.")],
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MAX_LIMIT, help="Stop after so many rows.")
    ] = DEFAULT_LIMIT,
    field: Annotated[list[str] | None, typer.Option("--field", help="Only this field; may be given again.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="FIELD=VALUE", help="Only rows with this value; may be given again."),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only rows changed since (ISO 8601).")] = "",
) -> None:
    """Rows of one dataset, as an audit would see them."""
    chain = config(ctx)
    keys = [_key(text) for text in key] if key else None
    with _opened(chain, system) as source:
        reading = source.read(dataset, field or None, since=_instant(chain, since), keys=keys)
        rows: list[Row] = []
        with reading:
            for batch in reading:
                rows += batch
                if len(rows) > limit:
                    break
    shown = rows[:limit]
    names = list(shown[0]) if shown else list(field or ())
    cells = [[_cell(chain, row[name]) for name in names] for row in shown]
    document = {"system": system, "dataset": dataset, "rows": shown, "more": len(rows) > limit}
    emit(ctx, document, table(names, cells) if names else lambda console: console.print("no rows"))


def _key(text: str) -> dict[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--key {text!r} is not FIELD=VALUE; write for example --key sku=001234")
    return {name: value}


def _instant(chain: ChainConfig, text: str) -> datetime | None:
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text!r} is not a time; write for example 2026-11-24T09:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=chain.chain.timezone)


def _cell(chain: ChainConfig, value: object) -> object:
    """NULL and the empty string must not look the same to somebody who hunts a difference."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return local_time(chain, value)
    return repr(value) if value == "" else value
