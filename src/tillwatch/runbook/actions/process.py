"""Start and stop what the chain directory allows, and nothing else: argument lists, no shell, nothing inherited."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from tillwatch.config.schema import Offender
from tillwatch.errors import ActionError, OutcomeUnknown
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import (
    MAX_ITEMS_SHOWN,
    Action,
    ActionContext,
    Output,
    Params,
    PlanReport,
    Stopped,
)

#: What a started program sees of our environment; secrets of the server are not among it.
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PYTHONPATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV")
_ENVIRONMENT_PREFIXES = ("TILLWATCH_LAB", "XDG_")
MAX_OUTPUT_CHARACTERS = 2_000
#: How long a process may take to end after a polite signal.
TERM_SECONDS = 10.0
#: A runbook that would end more processes than this has the wrong pattern.
MAX_PROCESSES = 20
_LOOK_SECONDS = 0.05


class ServiceParams(Params):
    service: str


class _Service(Action[ServiceParams]):
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = ServiceParams
    verb: ClassVar[Literal["start", "stop"]]
    verb_zh: ClassVar[str]

    def plan(self, ctx: ActionContext[ServiceParams]) -> PlanReport:
        argv = self._argv(ctx)
        return PlanReport(
            summary={
                "zh": f"{self.verb_zh}服务 {ctx.params.service}",
                "en": f"{self.verb} service {ctx.params.service}",
            },
            proposed=" ".join(argv),
        )

    def do(self, ctx: ActionContext[ServiceParams]) -> Output:
        argv = self._argv(ctx)
        code, text = run(argv, ctx, ctx.services.config.root)
        if code != 0:
            raise ActionError(f"'{' '.join(argv)}' ended with {code}: {text or 'no output'}", retryable=True)
        return {"service": ctx.params.service, "exit_code": code, "text": text}

    def _argv(self, ctx: ActionContext[ServiceParams]) -> tuple[str, ...]:
        service = ctx.services.config.service(ctx.params.service)
        argv = service.start if self.verb == "start" else service.stop
        if not argv:
            raise ActionError(f"service '{service.id}' has no '{self.verb}' in tillwatch.yaml; add its argument list")
        return argv


class StartService(_Service):
    """Runs the declared start command. Starting what runs must be a success of that command."""

    name: ClassVar[str] = "process.start_service"
    verb: ClassVar[Literal["start", "stop"]] = "start"
    verb_zh: ClassVar[str] = "启动"


class StopService(_Service):
    """Runs the declared stop command. Stopping what does not run must be a success of that command."""

    name: ClassVar[str] = "process.stop_service"
    verb: ClassVar[Literal["start", "stop"]] = "stop"
    verb_zh: ClassVar[str] = "停止"


def run(argv: Sequence[str], ctx: ActionContext[ServiceParams], folder: Path) -> tuple[int, str]:
    """(exit code, the end of its output). Ends it when told to stop or when the time is up.

    Output goes to a file and not to a pipe: a daemon left behind would hold a pipe open for ever. The program gets its
    own session, so that it outlives this process when it is meant to.
    """
    clock = ctx.services.clock
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                program(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(),
                close_fds=True,
                start_new_session=True,
            )
        except OSError as error:
            raise ActionError(
                f"'{argv[0]}' cannot be started: {error.strerror}; check the path in tillwatch.yaml"
            ) from error
        until = clock.monotonic() + ctx.timeout.total_seconds()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            if ctx.stop() or clock.monotonic() >= until:
                process.kill()
                process.wait()
                raise Stopped(f"'{' '.join(argv)}' did not end in time and was killed; what it had done is not known")
        output.seek(0)
        text = output.read().decode("utf-8", "replace").strip()
        return process.returncode, text[-MAX_OUTPUT_CHARACTERS:]


def program(argv: Sequence[str]) -> list[str]:
    """`python` means the interpreter that runs us: a server started by its path has no such name on its PATH."""
    return [sys.executable if argv[0] in {"python", "python3"} else argv[0], *argv[1:]]


def environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    path = os.environ.get("PATH", os.defpath)
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One process; number and start time together name it, a number alone is given to others later."""

    pid: int
    created: float
    argv: str
    memory_mb: int
    cpu_seconds: float

    def shown(self) -> dict[str, object]:
        return {
            "pid": self.pid,
            "argv": self.argv[:200],
            "memory_mb": self.memory_mb,
            "cpu_seconds": round(self.cpu_seconds, 1),
        }


class OffenderParams(Params):
    offender: str


class Offenders(Action[OffenderParams]):
    """Which processes are the named offender? Only looks."""

    name: ClassVar[str] = "process.offenders"
    Params: ClassVar[type[Params]] = OffenderParams

    def plan(self, ctx: ActionContext[OffenderParams]) -> PlanReport:
        return _report(ctx, "查找", "look for")

    def do(self, ctx: ActionContext[OffenderParams]) -> Output:
        found = matching(ctx.services.config.offender(ctx.params.offender))
        return {"count": len(found), "processes": [one.shown() for one in found[:MAX_ITEMS_SHOWN]]}


class StopOffender(Action[OffenderParams]):
    """Ends every process the allow-list names: politely, and by force only where the list says so."""

    name: ClassVar[str] = "process.stop_offender"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = OffenderParams

    def plan(self, ctx: ActionContext[OffenderParams]) -> PlanReport:
        return _report(ctx, "结束", "end")

    def do(self, ctx: ActionContext[OffenderParams]) -> Output:
        offender = ctx.services.config.offender(ctx.params.offender)
        found = matching(offender)
        if len(found) > MAX_PROCESSES:
            raise ActionError(
                f"{len(found)} processes match offender '{offender.id}', more than {MAX_PROCESSES}; "
                "make argv_contains in tillwatch.yaml narrower"
            )
        ended: list[dict[str, object]] = []
        for one in found:
            if ctx.stop():
                raise Stopped(f"stopped after {len(ended)} of {len(found)} processes", {"ended": ended})
            if end(one, by_force=offender.stop == "kill"):
                ended.append(one.shown())
        if left := matching(offender):
            pids = ", ".join(str(one.pid) for one in left)
            hint = "" if offender.stop == "kill" else "; it ignores the signal, set stop: kill in tillwatch.yaml"
            raise ActionError(f"offender '{offender.id}' still runs (pid {pids}){hint}", retryable=True)
        return {"count": len(ended), "ended": ended}


def _report(ctx: ActionContext[OffenderParams], verb_zh: str, verb: str) -> PlanReport:
    offender = ctx.services.config.offender(ctx.params.offender)
    found = matching(offender)
    return PlanReport(
        summary={
            "zh": f"{verb_zh}任务 {offender.id}，现有 {len(found)} 个进程",
            "en": f"{verb} {offender.id}, {len(found)} processes now",
        },
        current=", ".join(str(one.pid) for one in found),
        proposed=offender.argv_contains,
        items=tuple(one.shown() for one in found[:MAX_ITEMS_SHOWN]),
        items_total=len(found),
    )


def matching(offender: Offender) -> list[Found]:
    """Processes whose arguments contain the pattern; never this one or those it descends from."""
    me = psutil.Process()
    protected = {me.pid, *(parent.pid for parent in me.parents())}
    return [found for found in _all() if offender.argv_contains in found.argv and found.pid not in protected]


def _all() -> Iterator[Found]:
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            argv = process.cmdline()
            if argv and process.status() != psutil.STATUS_ZOMBIE:
                times = process.cpu_times()
                yield Found(
                    pid=process.pid,
                    created=process.create_time(),
                    argv=" ".join(argv),
                    memory_mb=process.memory_info().rss // 1_048_576,
                    cpu_seconds=times.user + times.system,
                )


def end(found: Found, *, by_force: bool) -> bool:
    """True when the process ended by our signal; False when it was gone already."""
    try:
        process = psutil.Process(found.pid)
        if process.create_time() != found.created:
            return False
        process.terminate()
        try:
            process.wait(TERM_SECONDS)
        except psutil.TimeoutExpired:
            if not by_force:
                return False
            process.kill()
            process.wait(TERM_SECONDS)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied as error:
        raise ActionError(f"pid {found.pid} belongs to another user; run the server as that user") from error
    except psutil.TimeoutExpired as error:
        raise OutcomeUnknown(f"pid {found.pid} does not end even when killed; the kernel holds it") from error
    return True
