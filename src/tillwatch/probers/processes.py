"""Who uses the machine: the processes with the most CPU and memory, as evidence a person can act on."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from tillwatch.probers.scrub import scrub_argv

#: The few that matter; a longer list is not read at night.
TOP = 5
_MAX_ARGV_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Process:
    pid: int
    #: Distinguishes a process from a later one with the same pid.
    created: float
    name: str
    argv: tuple[str, ...]
    user: str
    cpu_seconds: float
    rss_bytes: int


def scan() -> dict[int, Process]:
    """Every process we may look at; what ends or is forbidden while we look is left out."""
    found: dict[int, Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            found[process.pid] = Process(
                pid=process.pid,
                created=process.create_time(),
                name=process.name(),
                argv=tuple(_argv(process)),
                user=_user(process),
                cpu_seconds=times.user + times.system,
                rss_bytes=process.memory_info().rss,
            )
    return found


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _user(process: psutil.Process) -> str:
    try:
        return process.username()
    except (psutil.Error, KeyError):
        return ""


def top(
    before: Mapping[int, Process], after: Mapping[int, Process], *, seconds: float
) -> Sequence[Mapping[str, object]]:
    """The TOP by CPU between two scans `seconds` apart, then the TOP by memory not among them. 100 % is one CPU."""
    busy: dict[int, float] = {}
    for pid, process in after.items():
        earlier = before.get(pid)
        known = earlier is not None and earlier.created == process.created
        spent = process.cpu_seconds - (earlier.cpu_seconds if earlier is not None and known else 0.0)
        busy[pid] = 100 * max(0.0, spent) / seconds if known and seconds > 0 else 0.0
    by_cpu = sorted((pid for pid in after if busy[pid] > 0), key=lambda pid: (-busy[pid], pid))[:TOP]
    by_memory = sorted((pid for pid in after if after[pid].rss_bytes), key=lambda pid: (-after[pid].rss_bytes, pid))[
        :TOP
    ]
    chosen = dict.fromkeys([*by_cpu, *by_memory])
    return [_shown(after[pid], busy[pid]) for pid in chosen]


def _shown(process: Process, cpu_percent: float) -> Mapping[str, object]:
    argv, left = [], _MAX_ARGV_CHARACTERS
    for argument in scrub_argv(process.argv):
        argv.append(argument if len(argument) <= left else f"{argument[:left]}…")
        left -= len(argument)
        if left <= 0:
            break
    return {
        "pid": process.pid,
        "name": process.name,
        "argv": argv,
        "user": process.user,
        "cpu_percent": round(cpu_percent, 1),
        "rss_bytes": process.rss_bytes,
    }
