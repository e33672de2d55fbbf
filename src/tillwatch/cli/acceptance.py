"""`tillwatch acceptance list|run|sign|verify`: prove a migration, sign for it, and check a later restore against it."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from tillwatch.acceptance import manifest as manifests
from tillwatch.acceptance.kept import Named
from tillwatch.acceptance.manifest import Manifest
from tillwatch.acceptance.run import Acceptances
from tillwatch.app import App
from tillwatch.cli.context import ExitCode, config, emit, language, opened, say, table
from tillwatch.clock import SystemClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.model.text import pick

app = typer.Typer(help="Accept a migration, and check a restore against what was accepted.", no_args_is_help=True)

_FILE = Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest written by 'acceptance run'.")]


@app.command("list")
def list_acceptances(ctx: typer.Context) -> None:
    """Every declared acceptance with its audits."""
    chain = config(ctx, secrets=False)
    words = language(ctx, chain)
    rows = [(one.id, pick(one.name, words), ", ".join(one.audits)) for one in chain.acceptances]
    document = [{"acceptance": one.id, "name": one.name, "audits": one.audits} for one in chain.acceptances]
    emit(ctx, document, table(("ACCEPTANCE", "NAME", "AUDITS"), rows))


@app.command("run")
def run(
    ctx: typer.Context,
    acceptance: Annotated[str, typer.Argument(metavar="ID", help="The acceptance to run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the manifest goes.")],
) -> None:
    """Compare every dataset, measure both systems, write the manifest. Exit code 0 when both hold the same.

    That is: every audit is clean, and counts, sums and digests are equal too.
    """
    if output.exists():
        raise UsageError(f"'{output}' is there already; a manifest is never written over")
    with opened(ctx) as application:
        made = _acceptances(application).run(application.config.acceptance(acceptance))
    _write(output, made)
    emit(ctx, made.model_dump(mode="json"), lambda console: _draw(console, made, output))
    if not made.accepted:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)


@app.command("sign")
def sign(
    ctx: typer.Context,
    manifest: _FILE,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is accepted.")],
    despite: Annotated[
        bool, typer.Option("--despite-differences", help="Sign although the systems do not hold the same.")
    ] = False,
) -> None:
    """Sign a manifest, by name and with a reason. What was signed cannot be changed without it showing."""
    found = _read(manifest)
    if broken := manifests.broken_signatures(found):
        raise UsageError(f"'{manifest}' was changed after {', '.join(broken)} signed it; it is not signed again")
    signed = manifests.sign(found, by=by, reason=reason, at=SystemClock().now(), despite=despite)
    _write(manifest, signed)
    emit(ctx, signed.model_dump(mode="json"), lambda console: _draw(console, signed, manifest))


@app.command("keep")
def keep(
    ctx: typer.Context,
    manifest: _FILE,
    folder: Annotated[Path, typer.Option("--rows", metavar="DIR", help="Where the rows go, one file an audit.")],
    side: Annotated[Literal["left", "right"], typer.Option("--side", help="The new system, or the old one.")] = "right",
) -> None:
    """Keep the very rows the manifest was made of, so that 'verify --rows' can name those that differ later."""
    with opened(ctx) as application:
        files = _acceptances(application).keep(_read(manifest), folder, side=side)
    rows = [(audit, file, file.stat().st_size) for audit, file in files.items()]
    emit(ctx, {audit: str(file) for audit, file in files.items()}, table(("AUDIT", "FILE", "BYTES"), rows))


@app.command("verify")
def verify(
    ctx: typer.Context,
    manifest: _FILE,
    side: Annotated[Literal["left", "right"], typer.Option("--side", help="The new system, or the old one.")] = "right",
    system: Annotated[str, typer.Option("--system", metavar="ID", help="Read a restored copy instead.")] = "",
    kept: Annotated[
        Path | None,
        typer.Option("--rows", metavar="DIR", help="Rows kept by 'acceptance keep': name those that differ."),
    ] = None,
) -> None:
    """Measure a system again and compare with the manifest. Exit code 0 when it holds the same, 1 when it does not."""
    found = _read(manifest)
    broken = manifests.broken_signatures(found)
    with opened(ctx) as application:
        verified = _acceptances(application).verify(found, side=side, system=system, folder=kept)
    changed = {audit: one.numbers for audit, one in verified.items()}
    named = {audit: one.rows for audit, one in verified.items()} if kept and any(changed.values()) else {}
    same = not broken and not any(changed.values())
    document = {
        "same": same,
        "broken_signatures": broken,
        "signatures": len(found.signatures),
        "datasets": changed,
        "rows": named,
    }
    rows = [
        (audit, what, pair["kept"], pair["found"]) for audit, pairs in changed.items() for what, pair in pairs.items()
    ]
    rows += [(audit, *_named(row)) for audit, differing in named.items() for row in differing]
    emit(ctx, document, table(("AUDIT", "WHAT", "IN THE MANIFEST", "FOUND"), rows))
    for name in broken:
        say(f"the manifest was changed after {name} signed it")
    if not same:
        raise typer.Exit(ExitCode.PROBLEM_FOUND)
    say(f"{len(changed)} datasets hold what the manifest says; signatures: {len(found.signatures)}")


def _named(row: Named) -> tuple[str, str, str]:
    """What differs, the row as it was kept and as it was found."""
    key, fields = row["key"], row["fields"]
    assert isinstance(key, dict)
    assert isinstance(fields, list)

    def cells(values: object) -> str:
        chosen = (
            {name: value for name, value in values.items() if name in (fields or values)}
            if isinstance(values, dict)
            else {}
        )
        return ", ".join(f"{name}: {'NULL' if value is None else value}" for name, value in chosen.items())

    return f"{row['kind']} {'/'.join(map(str, key.values()))}", cells(row["kept"]), cells(row["found"])


def _acceptances(application: App) -> Acceptances:
    return Acceptances(
        config=application.config, audits=application.audits, open=application.sources.get, clock=application.clock
    )


def _read(file: Path) -> Manifest:
    try:
        return manifests.load(file.read_text(encoding="utf-8"), file=str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{file}' cannot be read: {error}") from error


def _write(file: Path, manifest: Manifest) -> None:
    """All or nothing: half a manifest proves nothing."""
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(manifests.dump(manifest), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise StoreError(f"'{file}' cannot be written: {error.strerror}; name another file") from error


def _draw(console: Console, manifest: Manifest, file: Path) -> None:
    rows = [
        (
            one.audit,
            one.verdict,
            one.left.rows,
            one.right.rows,
            one.missing,
            one.extra,
            one.changed,
            one.right.sha256[:12],
        )
        for one in manifest.datasets
    ]
    table(("AUDIT", "VERDICT", "OLD", "NEW", "MISSING", "EXTRA", "CHANGED", "SHA256"), rows)(console)
    unequal = [
        (one.audit, what, pair.left, pair.right) for one in manifest.datasets for what, pair in one.unequal.items()
    ]
    if unequal:
        table(("AUDIT", "UNEQUAL", "OLD", "NEW"), unequal)(console)
    for moving in (one for one in manifest.datasets if not one.stable):
        console.print(
            f"{moving.audit}: the systems never stood still while it was measured; run it again", markup=False
        )
    for signature in manifest.signatures:
        console.print(f"signed by {signature.by}: {signature.reason}", markup=False)
    console.print(str(file), markup=False)
