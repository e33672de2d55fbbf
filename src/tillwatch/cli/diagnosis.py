"""What `doctor` and `check --live` try: one finding each, with the fix."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url, text

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import ConfigError, TillwatchError
from tillwatch.notify import registry as channels
from tillwatch.sources import registry as sources
from tillwatch.sources.base import CheckOutcome
from tillwatch.store.db import Database

#: The store of a busy chain grows by some ten megabytes a day; with less than this a weekend can fill the disk.
FREE_BYTES_MIN = 200 * 1024 * 1024

PROMTOOL_TIMEOUT_SECONDS = 30

_PROGRAMS = {
    "promtool": "tests alert rules; install the package 'prometheus'",
    "prometheus": "evaluates the rules in alerts/rules; install the package 'prometheus', or run it elsewhere",
}
_FIX_BY_CAUSE = {
    "dns": "check the host name in the system's url",
    "tcp": "check that the system runs and that host and port in its url are right",
    "tls": "check the system's certificate and the clock of this machine",
    "timeout": "check that the system is not overloaded and the network between is open",
    "auth": "check user and password of the system in tillwatch.yaml; nothing tries them again by itself",
    "authz": "give this user the rights the system's page in the docs lists",
    "data": "compare the system's datasets in tillwatch.yaml with its tables",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing tried. `outcome`: ok, warn, fail or skipped."""

    name: str
    outcome: CheckOutcome
    message: str = ""
    #: What to do; empty when nothing needs doing.
    fix: str = ""


def failed(findings: Sequence[Finding]) -> bool:
    return any(finding.outcome is CheckOutcome.FAIL for finding in findings)


def everything(root: Path, clock: Clock) -> list[Finding]:
    """Chain directory, store, systems, channels, programs; what depends on a broken part is skipped and says so."""
    findings = list(_programs(shutil.which))
    try:
        config = load(root)
    except ConfigError as error:
        lines = "; ".join(str(problem) for problem in error.problems)
        broken = Finding(name="chain directory", outcome=CheckOutcome.FAIL, message=lines, fix="run 'tillwatch check'")
        rest = [
            Finding(name=name, outcome=CheckOutcome.SKIPPED, message="the chain directory cannot be read")
            for name in ("store", "systems", "channels")
        ]
        return [broken, *rest, *findings]
    counted = f"{len(config.systems)} systems, {len(config.probes)} probes, {len(config.audits)} audits"
    readable = Finding(name="chain directory", outcome=CheckOutcome.OK, message=counted)
    parts = (_store(config, clock), systems(config, clock), _channels(config, clock), _rules(config, shutil.which))
    return [readable, *(finding for part in parts for finding in part), *findings]


def systems(config: ChainConfig, clock: Clock) -> list[Finding]:
    """Every system's own checks: one login each, none repeated."""
    try:
        opened = sources.build(config, clock=clock)
    except ConfigError as error:
        return [
            Finding(name="systems", outcome=CheckOutcome.FAIL, message=str(problem), fix="correct this line")
            for problem in error.problems
        ]
    findings: list[Finding] = []
    for system in opened.ids:
        try:
            for step in opened.get(system).check():
                fix = _FIX_BY_CAUSE.get(step.cause.value, "") if step.outcome is not CheckOutcome.OK else ""
                findings.append(
                    Finding(name=f"system {system}: {step.name}", outcome=step.outcome, message=step.message, fix=fix)
                )
        except TillwatchError as error:
            findings.append(_failure(f"system {system}", error))
    try:
        opened.close()
    except TillwatchError as error:
        findings.append(Finding(name="systems: log off", outcome=CheckOutcome.WARN, message=str(error)))
    return findings


def _failure(name: str, error: TillwatchError) -> Finding:
    cause = getattr(error, "cause", "")
    return Finding(
        name=name, outcome=CheckOutcome.FAIL, message=str(error), fix=_FIX_BY_CAUSE.get(str(cause), "see the message")
    )


def _store(config: ChainConfig, clock: Clock) -> Iterator[Finding]:
    """Open it and ask one question. A SQLite file that is not there yet is not made here."""
    url = make_url(config.store.url)
    path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
    if path is not None and not path.exists():
        folder = next(parent for parent in path.parents if parent.exists())
        writable = os.access(folder, os.W_OK)
        yield Finding(
            name="store",
            outcome=CheckOutcome.OK if writable else CheckOutcome.FAIL,
            message=f"{path} is made at the first start" if writable else f"{folder} cannot be written",
            fix="" if writable else "give this user the right to write there, or move store.url",
        )
        yield from _disk(folder)
        return
    try:
        database = Database.open(config.store.url, clock=clock, root=config.root)
        try:
            with database.read() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            database.close()
    except TillwatchError as error:
        yield Finding(name="store", outcome=CheckOutcome.FAIL, message=str(error), fix="check store.url")
        return
    yield Finding(name="store", outcome=CheckOutcome.OK, message=database.dialect)
    if path is not None:
        yield from _disk(path.parent)


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    enough = free >= FREE_BYTES_MIN
    yield Finding(
        name="disk",
        outcome=CheckOutcome.OK if enough else CheckOutcome.WARN,
        message=f"{free // (1024 * 1024)} MB free in {folder}",
        fix="" if enough else "free space, or move store.url to another disk",
    )


def _channels(config: ChainConfig, clock: Clock) -> Iterator[Finding]:
    """Only built, never used: a test message is something people see."""
    try:
        notifiers = channels.build(config, clock=clock)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(name="channels", outcome=CheckOutcome.FAIL, message=str(problem), fix="correct this line")
        return
    for channel in config.channels:
        yield Finding(
            name=f"channel {channel.id}",
            outcome=CheckOutcome.OK,
            message=f"{notifiers.get(channel.id).describe()}; not tried, run 'tillwatch channel test {channel.id}'",
        )
    notifiers.close()


def _rules(config: ChainConfig, which: Callable[[str], str | None]) -> Iterator[Finding]:
    """Prometheus' own opinion of the rule files, when its tool is here."""
    promtool = which("promtool")
    if promtool is None or not config.rules:
        why = "promtool is not here" if config.rules else "no rules"
        yield Finding(name="rules", outcome=CheckOutcome.SKIPPED, message=why)
        return
    try:
        ended = subprocess.run(
            [promtool, "check", "rules", *map(str, config.rules)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROMTOOL_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(name="rules", outcome=CheckOutcome.WARN, message=f"promtool did not run: {error}")
        return
    words = " ".join((ended.stderr or ended.stdout).replace(f"{config.root}/", "").split())
    if ended.returncode:
        fix = "correct the rule file; 'promtool check rules FILE' says more"
        yield Finding(name="rules", outcome=CheckOutcome.FAIL, message=words, fix=fix)
    else:
        yield Finding(name="rules", outcome=CheckOutcome.OK, message=f"{len(config.rules)} files")


def _programs(which: Callable[[str], str | None]) -> Iterator[Finding]:
    for program, purpose in _PROGRAMS.items():
        path = which(program)
        yield Finding(
            name=program,
            outcome=CheckOutcome.OK if path else CheckOutcome.WARN,
            message=path or "not on PATH",
            fix="" if path else purpose,
        )
