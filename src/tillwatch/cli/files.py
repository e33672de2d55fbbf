"""A run's report as a file: the options, what is refused before anything is read, and the writing."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from tillwatch.cli.context import emit, options
from tillwatch.errors import StoreError, UsageError

Run = Annotated[int, typer.Argument(metavar="RUN", help="Number of a run.")]
Format = Annotated[str, typer.Option("--format", metavar="csv|xlsx|html", help="Kind of file.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")]


def refuse_mixture(ctx: typer.Context, format: str, output: Path | None) -> None:
    """Raises UsageError when stdout cannot take the file."""
    if output is None and options(ctx).json:
        raise UsageError("with --json stdout holds the document; name the file with --output FILE")
    if output is None and format == "xlsx" and sys.stdout.isatty():
        raise UsageError("an xlsx file is not text; name the file with --output FILE or redirect stdout")


def write(ctx: typer.Context, run: int, format: str, content: BinaryIO, output: Path) -> None:
    """Write `content` to `output` and say so. Raises StoreError."""
    try:
        with output.open("wb") as file:
            shutil.copyfileobj(content, file)
            size = file.tell()
    except OSError as error:
        raise StoreError(f"'{output}' cannot be written: {error.strerror}; name another file with --output") from error
    result = {"run": run, "format": format, "file": str(output), "bytes": size}
    emit(ctx, result, lambda console: console.print(f"{output}: {size} bytes", markup=False))
