"""`tillwatch demo`: a real ERP, shops, live synchronisation, and the whole loop on one machine."""

import contextlib
import signal
import webbrowser
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from tillwatch.cli.context import ExitCode, emit, language, say
from tillwatch.clock import Clock, SystemClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import TillwatchError, UsageError
from tillwatch.lab import demo as lab_demo
from tillwatch.lab import fleet, stories
from tillwatch.lab.api import Api
from tillwatch.lab.layout import Lab
from tillwatch.lab.story import STAGES, Driver, Fault, Told
from tillwatch.model.incident import TimelineEntry
from tillwatch.web.formats import Formats
from tillwatch.web.language import CHINESE, ENGLISH, texts
from tillwatch.web.views.timeline import entry_views


def demo(
    ctx: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port of the web page; 8080 or a free one by default.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    fault: Annotated[str, typer.Option(help=f"What to break: {', '.join(stories.FAULTS)}.")] = "",
    once: Annotated[bool, typer.Option("--once", help="Drive the fault's story to its end, then stop.")] = False,
    crash_at: Annotated[
        str, typer.Option(help="With --once: kill -9 the server there too (incident, run or approved).")
    ] = "",
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the lab lives; kept between runs.")] = None,
) -> None:
    """Run the demo chain until Ctrl-C. In a second terminal, `--fault NAME` breaks something in the running demo."""
    if once and not fault:
        raise UsageError(f"--once needs --fault; choose one of {', '.join(stories.FAULTS)}")
    if crash_at and crash_at not in STAGES:
        raise UsageError(f"there is no stage '{crash_at}'; choose one of {', '.join(STAGES)}")
    chosen = stories.named(fault) if fault else None
    clock = SystemClock()
    tell = _teller(clock)
    root = folder or lab_demo.default_folder()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if chosen and (lab := lab_demo.running(root)):
        tell(f"using the demo that runs at {lab.url}")
        _break(ctx, lab, chosen, clock, tell, once=once, crash_at=crash_at)
        return
    with lab_demo.Demo(root, port=port, clock=clock, say=tell) as running:
        tell(f"ready: {running.lab.url}   messages: {running.lab.inbox_url}   files: {running.lab.root}")
        if chosen:
            _break(ctx, running.lab, chosen, clock, tell, once=once, crash_at=crash_at)
        if not once:
            if not no_browser:
                with contextlib.suppress(webbrowser.Error):
                    webbrowser.open(running.lab.url)
            tell("Ctrl-C stops everything")
            running.wait()


def _break(
    ctx: typer.Context, lab: Lab, fault: Fault, clock: Clock, tell: Callable[[str], None], *, once: bool, crash_at: str
) -> None:
    if not once:
        fault.inject(lab)
        tell(f"injected {fault.name}; watch {lab.url}")
        return

    def at(stage: str) -> None:
        if stage == crash_at:
            tell("killing the server (SIGKILL)")
            fleet.server(lab).kill()

    api, messages = Api(lab.url, clock=clock), Api(lab.inbox_url, clock=clock)
    driver = Driver(lab, api, clock=clock, say=tell, inbox=lambda: messages.get("/messages"), at=at)
    try:
        told = driver.tell(fault)
    except TillwatchError as error:
        say(f"the story of {fault.name} did not come to its end: {error}")
        raise typer.Exit(ExitCode.PROBLEM_FOUND) from error
    finally:
        api.close()
        messages.close()
    chain = load(lab.chain, secrets=False)
    emit(ctx, _document(told), lambda target: _timeline(target, told, chain, language(ctx, chain), clock.now()))


def _document(told: Told) -> Mapping[str, Any]:
    """`demo --once --json`: what was broken, the whole incident, the runs, and how long it took."""
    return {"fault": told.fault, "incident": told.incident, "runs": told.runs, "seconds": told.seconds}


def _timeline(target: Console, told: Told, chain: ChainConfig, spoken: str, now: datetime) -> None:
    """The incident's life in the words of its page."""
    incident = told.incident
    t = texts(CHINESE if spoken == "zh" else ENGLISH)
    f = Formats(t=t, zone=chain.chain.timezone, currency=chain.chain.currency, now=now)
    target.print(f"{incident['title']}  {t.or_raw('state', incident['state'])}", markup=False)
    entries = [
        TimelineEntry(
            at=datetime.fromisoformat(entry["at"]), kind=entry["kind"], actor=entry["actor"], data=entry["data"]
        )
        for entry in incident["timeline"]
    ]
    for line in reversed(entry_views(entries, chain, t, f)):
        who = f" ({line.actor})" if line.actor else ""
        target.print(f"  {f.seconds_clock(line.at)}  {line.text}{who}", markup=False)
    target.print(f"detected after {told.seconds['detected']:.1f} s, resolved after {told.seconds['resolved']:.1f} s")


def _teller(clock: Clock) -> Callable[[str], None]:
    """Progress on stderr with the seconds since the start."""
    started = clock.monotonic()
    return lambda text: say(f"[{clock.monotonic() - started:6.1f} s] {text}")


def _interrupt(*_: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does. A second signal must not cut the stopping short: it takes seconds."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
