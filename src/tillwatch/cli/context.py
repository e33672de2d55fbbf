"""What every command shares: global options, the opened app, one way to print and one way to fail."""

import dataclasses
import enum
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from tillwatch.app import App, build
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import TillwatchError
from tillwatch.model.text import language_of

#: A line that is read by a program is never wrapped.
_PIPED_WIDTH = 10_000


class ExitCode(enum.IntEnum):
    """Stable since the first release."""

    OK = 0
    PROBLEM_FOUND = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    REFUSED = 4
    INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Options:
    """The global options. `language` is `en`, `zh` or empty for the chain's own."""

    chain: Path = Path()
    json: bool = False
    language: str = ""


def options(ctx: typer.Context) -> Options:
    found = ctx.find_root().obj
    return found if isinstance(found, Options) else Options()


def config(ctx: typer.Context, *, secrets: bool = True) -> ChainConfig:
    """The chain directory of this call. Raises ConfigError with every problem."""
    return load(options(ctx).chain, secrets=secrets)


@contextmanager
def opened(ctx: typer.Context) -> Iterator[App]:
    """The whole app on this chain directory: store, sources, probes, audits, runbooks. No loop runs in it.

    `with opened(ctx) as app:` closes it at the end. Raises ConfigError or StoreError when it cannot be opened.
    """
    app = build(config(ctx))
    try:
        yield app
    finally:
        app.stop()


def language(ctx: typer.Context, chain: ChainConfig) -> str:
    """The language people read this output in: `--lang`, else the chain's."""
    return options(ctx).language or language_of(chain.chain.locale)


def console() -> Console:
    """Where results for people go: stdout. Colour only on a terminal and without NO_COLOR."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def say(message: str) -> None:
    """Tell a person something beside the result, on stderr."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the place for messages


def emit(ctx: typer.Context, document: object, render: Callable[[Console], object]) -> None:
    """Print the result once: `document` as JSON with `--json`, else whatever `render` draws on the console."""
    if options(ctx).json:
        sys.stdout.write(json.dumps(plain(document), ensure_ascii=False, indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    render(console())


def fail(error: TillwatchError) -> NoReturn:
    """End the command with the error's own words on stderr and its exit code."""
    say(str(error))
    raise typer.Exit(error.exit_code)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Callable[[Console], None]:
    """A renderer for `emit`: a plain table without lines, never wrapped when piped."""

    def render(target: Console) -> None:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            grid.add_column(column, overflow="fold")
        for row in rows:
            grid.add_row(*("" if cell is None else str(cell) for cell in row))
        target.print(grid, markup=False)

    return render


def local_time(chain: ChainConfig, instant: datetime | None) -> str:
    """An instant in the chain's zone with its offset; empty when there is none."""
    if instant is None:
        return ""
    return instant.astimezone(chain.chain.timezone).isoformat(sep=" ", timespec="seconds")


def plain(value: Any) -> Any:
    """`value` as JSON types: decimals as text, instants in ISO 8601, durations in seconds, dataclasses as objects."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return _leaf(value)


def _leaf(value: object) -> object:
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")
