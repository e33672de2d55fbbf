"""The `tillwatch` command: global options, the commands, and exit codes for every error."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tillwatch import __version__
from tillwatch.cli import (
    acceptance,
    alert,
    audit,
    channel,
    check,
    demo,
    incident,
    oncall,
    probe,
    repair,
    route,
    runbook,
    scaffold,
    serve,
    silence,
    source,
    validate,
)
from tillwatch.cli.context import ExitCode, Options, say
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import TillwatchError, UsageError
from tillwatch.model.text import LANGUAGES, language_of

#: Global options that take a value, and those that do not. People may write them anywhere on the line.
_WITH_VALUE = ("-C", "--chain", "--lang")
_FLAGS = ("--json",)

app = typer.Typer(
    name="tillwatch",
    help="Monitoring, consistency audits, incidents and runbooks for retail chains that run on an ERP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tillwatch {__version__}\n")
        raise typer.Exit


@app.callback()
def _global_options(
    ctx: typer.Context,
    chain: Annotated[
        Path, typer.Option("-C", "--chain", metavar="DIR", help="Chain directory.", envvar="TILLWATCH_CHAIN")
    ] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    lang: Annotated[str, typer.Option("--lang", metavar="en|zh", help="Language of the output.")] = "",
    version: Annotated[  # noqa: ARG001 - read by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if lang and lang.split("-")[0].lower() not in LANGUAGES:
        raise UsageError(f"--lang '{lang}' is not a language we speak{did_you_mean(lang, LANGUAGES, what='choose')}")
    ctx.obj = Options(chain=chain, json=json, language=language_of(lang) if lang else "")


app.command("init")(scaffold.init)
app.command("schema")(scaffold.schema)
app.command("check")(check.check)
app.command("doctor")(check.doctor)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.add_typer(channel.app, name="channel")
app.add_typer(alert.app, name="alert")
app.add_typer(silence.app, name="silence")
app.add_typer(incident.app, name="incident")
app.add_typer(oncall.app, name="oncall")
app.add_typer(route.app, name="route")
app.add_typer(audit.app, name="audit")
app.add_typer(repair.app, name="repair")
app.add_typer(validate.app, name="validate")
app.add_typer(acceptance.app, name="acceptance")
app.add_typer(probe.app, name="probe")
app.add_typer(source.app, name="source")
app.add_typer(runbook.app, name="runbook")


def hoist(arguments: Sequence[str]) -> list[str]:
    """Global options first, wherever they were written; everything from `--` on is left alone."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS:
            first.append(word)
        elif word in _WITH_VALUE:
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(tuple(f"{name}=" for name in _WITH_VALUE if name.startswith("--"))):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code. Nothing leaves as a bare traceback with code 1."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show 朝阳店 must not end the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        app(args=hoist(sys.argv[1:] if arguments is None else arguments), prog_name="tillwatch")
    except TillwatchError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.COULD_NOT_RUN)
    except Exception:
        say(traceback.format_exc().rstrip())
        say("This is a defect of tillwatch, not of your chain directory; please report it with the lines above.")
        sys.exit(ExitCode.COULD_NOT_RUN)
    sys.exit(ExitCode.OK)
