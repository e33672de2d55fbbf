"""Writes docs/reference from the code; with `--check` it only tells whether the pages are fresh."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import typer

from tillwatch.cli.main import app as command_line
from tillwatch.config.export import json_schema
from tillwatch.config.schema import FILE_KINDS
from tillwatch.metrics.table import METRICS, PROBE_LABELS
from tillwatch.notify.registry import OPTIONS as CHANNELS
from tillwatch.probers.registry import builtin
from tillwatch.runbook.actions import REGISTRY

FOLDER = Path(__file__).parent / "reference"
_GENERATED = "This page is written by `make docs` from the code.\n"


def pages() -> dict[str, str]:
    """Every page by its path below docs/reference."""
    found = {
        "metrics.md": "\n".join(_metrics()) + "\n",
        "cli.md": "\n".join(_commands()) + "\n",
        "plugins.md": "\n".join(_plugins()) + "\n",
    }
    for kind in FILE_KINDS:
        found[f"schema/{kind}.json"] = (
            json.dumps(json_schema(kind), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        )
    return found


def _metrics() -> Iterator[str]:
    yield f"# Metrics\n\n{_GENERATED}"
    yield f"Series of probes carry, besides the labels shown, those of {', '.join(PROBE_LABELS)} that apply.\n"
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        labels = ", ".join([*metric.labels, *(["…"] if metric.from_probes else [])])
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


def _commands() -> Iterator[str]:
    yield f"# Command line\n\n{_GENERATED}"
    yield "Global options may stand anywhere: `-C DIR` the chain directory, `--json` one JSON document, `--lang en|zh`."
    yield (
        "Exit codes: 0 ok · 1 a problem was found · 2 usage or configuration · 3 could not run · 4 refused · "
        "130 interrupted.\n"
    )
    root = typer.main.get_command(command_line)
    yield from _command("tillwatch", root)


def _command(path: str, command: click.Command) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is not None:
        for name in sorted(children):
            yield from _command(f"{path} {name}", children[name])
        return
    yield f"## `{path}`\n"
    yield f"{(command.help or '').strip()}\n"
    rows = [row for row in map(_parameter, command.params) if row]
    if rows:
        yield "| parameter | meaning |"
        yield "|---|---|"
        yield from rows
        yield ""


def _parameter(parameter: click.Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if not names.startswith("`-"):
        names = f"`{(parameter.metavar or parameter.name or '').upper()}`"
    text = " ".join(str(getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    return "" if parameter.name == "help" else f"| {names} | {text} |"


def _plugins() -> Iterator[str]:
    yield f"# Probers, channels and actions\n\n{_GENERATED}"
    yield "## Probers\n\nThe `prober:` of a probe, and the keys of its `options:`.\n"
    for kind, prober in sorted(builtin().items()):
        yield from _options(kind, prober.Options.model_json_schema())
    yield "## Channels\n\nThe `kind:` of a channel, and its other keys.\n"
    for kind, options in sorted(CHANNELS.items()):
        yield from _options(kind, options.model_json_schema())
    yield "## Actions\n\nThe `do:` of a runbook step, and the keys of its `with:`.\n"
    for name in sorted(REGISTRY):
        action = REGISTRY[name]
        yield from _options(name, action.Params.model_json_schema(), remark=f"Effect: {action.effect}.")


def _options(title: str, schema: Mapping[str, Any], *, remark: str = "") -> Iterator[str]:
    yield f"### `{title}`\n"
    if remark:
        yield f"{remark}\n"
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        yield "No keys.\n"
        return
    required = set(schema.get("required", ()))
    yield "| key | type | default |"
    yield "|---|---|---|"
    for key, shape in properties.items():
        default = "required" if key in required else f"`{json.dumps(shape.get('default'), ensure_ascii=False)}`"
        yield f"| `{key}` | {_type(shape)} | {default} |"
    yield ""


def _type(shape: Mapping[str, Any]) -> str:
    if "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape["enum"])
    if "anyOf" in shape:
        return " or ".join(_type(item) for item in shape["anyOf"])
    if "$ref" in shape:
        return str(shape["$ref"]).rsplit("/", 1)[-1]
    return str(shape.get("type", shape.get("const", "any")))


def main(check: bool) -> int:
    stale = 0
    for name, text in pages().items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            sys.stderr.write(f"docs/reference/{name}: not what the code says; run 'make docs'\n")
            stale += 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
