"""`tillwatch init` and `tillwatch schema`: a chain directory to start from, and what its files may hold."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from tillwatch.cli.context import emit, options, say
from tillwatch.config.export import json_schema
from tillwatch.config.load import load, pack_root
from tillwatch.config.schema import FILE_KINDS
from tillwatch.errors import UsageError

#: What a chain directory consists of: the folders an on-call team owns, and the suffixes they hold.
PACK_FILE = "tillwatch.yaml"
PACK_FOLDERS = {
    "probes": {".yaml", ".py"},
    "alerts": {".yaml", ".yml", ".j2"},
    "runbooks": {".md", ".yaml"},
    "dashboards": {".json"},
}
_GITIGNORE = "# Our own state, never the configuration.\n/var/\n"


def pack_files(root: Path) -> list[Path]:
    """Every file of the pack, relative to `root`, in name order."""
    found = [Path(PACK_FILE)]
    for folder, suffixes in PACK_FOLDERS.items():
        found += [
            path.relative_to(root)
            for path in sorted((root / folder).rglob("*"))
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
        ]
    return found


def init(
    ctx: typer.Context, directory: Annotated[Path, typer.Argument(help="A new or empty folder.")] = Path()
) -> None:
    """Make a chain directory that works: a copy of the reference chain to edit."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"'{directory}' is a file; name a folder")
    if directory.is_dir() and any(directory.iterdir()):
        raise UsageError(f"'{directory}' is not empty; nothing was written. Name a new folder")
    source = pack_root()
    files = pack_files(source)
    try:
        for file in files:
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, directory / file)
        (directory / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"'{directory}' cannot be written: {error.strerror}") from error
    load(directory, secrets=False)
    document = {"root": directory.absolute(), "files": [file.as_posix() for file in files] + [".gitignore"]}
    emit(
        ctx, document, lambda console: console.print(f"{len(files) + 1} files in {directory.absolute()}", markup=False)
    )
    if not options(ctx).json:
        say(f"Next: edit {directory / PACK_FILE}, then run 'tillwatch -C {directory} check'.")


def schema(
    ctx: typer.Context,
    kind: Annotated[
        str, typer.Argument(help="chain, checks, routes, oncall or calendar; all of them when not given.")
    ] = "",
) -> None:
    """Print the JSON Schema of the chain directory's files."""
    document = json_schema(kind) if kind else {name: json_schema(name) for name in FILE_KINDS}
    emit(ctx, document, lambda console: console.print_json(data=document))
