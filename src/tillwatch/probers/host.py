"""Is the machine itself well? CPU, memory and disks within their limits, a clock that is right, and who is to blame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, ClassVar

import httpx
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome
from tillwatch.probers import clock_offset, host_reading, processes
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.host_reading import Snapshot
from tillwatch.probers.workers import Workers

#: CPU use is a difference of two looks; without an earlier one we look twice within this time.
FIRST_WINDOW_SECONDS = 1.0
#: Processes are compared over this time, only when the machine is in trouble.
PROCESS_WINDOW_SECONDS = 0.5
#: A look older than this many intervals says nothing about now.
MAX_AGE_INTERVALS = 3

Percent = Annotated[Decimal, Key(gt=0, le=100)]


def _url(text: str) -> str:
    if text and httpx.URL(text).scheme not in {"http", "https"}:
        raise ValueError(f"'{text}' is not a URL; write for example http://10.0.0.5/")
    return text


class HostOptions(Strict):
    cpu_percent_max: Percent = Decimal(95)
    memory_percent_max: Percent = Decimal(95)
    disk_percent_max: Percent = Decimal(95)
    #: Only these mount points; empty means every file system that can fill up.
    disks: tuple[str, ...] = ()
    #: Share of the last 10 seconds in which some task waited for memory; not judged when absent.
    memory_pressure_percent_max: Percent | None = None
    load_per_cpu_max: Annotated[Decimal, Key(gt=0)] | None = None
    clock_offset_max: Duration = timedelta(seconds=5)
    #: Whose clock to compare with; the first HTTP system of the chain when empty.
    clock_peer: Annotated[str, AfterValidator(_url)] = ""


@dataclass(frozen=True, kw_only=True)
class Use:
    """How much of what may be used is used, 0 to 1, and whether a container's limit decides."""

    cpu_ratio: float
    memory_ratio: float
    limited: bool = False


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One limit that is crossed."""

    message: str
    message_zh: str
    #: CPU or memory: then the processes are of interest.
    has_culprits: bool = False
    cause: Cause = Cause.SATURATION


class HostProber:
    kind: ClassVar[str] = "host"
    Options: ClassVar[type[BaseModel]] = HostOptions

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._earlier: dict[str, Snapshot] = {}

    def problems(self, target: Target) -> Sequence[str]:
        if target.probe.target:
            return ("a host probe looks at the machine it runs on; remove the key 'target'",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options = target.options
        assert isinstance(options, HostOptions)
        with recorder.timing("read"):
            before, now = await self._two_looks(target, recorder)
        use = used(before, now)
        for item in now.measurements:
            recorder.measure(item.name, item.value, **item.labels)
        recorder.measure("node_time_seconds", recorder.clock.now().timestamp())
        recorder.measure("tillwatch_host_cpu_busy_ratio", use.cpu_ratio)
        recorder.measure("tillwatch_host_memory_used_ratio", use.memory_ratio)
        for line in _spelled(use, now):
            recorder.log(line)
        offset = await self._compare_clock(target, options, recorder)
        troubles = judge(use, now, offset, options)
        if not troubles:
            return OK
        recorder.evidence("host", _evidence(use, now))
        if any(trouble.has_culprits for trouble in troubles):
            await self._name_culprits(target, recorder)
        return Finding(
            outcome=Outcome.FAILED,
            cause=troubles[0].cause,
            message="; ".join(trouble.message for trouble in troubles),
            message_zh="；".join(trouble.message_zh for trouble in troubles),
        )

    async def _two_looks(self, target: Target, recorder: Recorder) -> tuple[Snapshot, Snapshot]:
        probe = target.probe
        earlier = self._earlier.get(probe.id)
        oldest = recorder.clock.monotonic() - MAX_AGE_INTERVALS * probe.every.total_seconds()
        newest = recorder.clock.monotonic() - min(FIRST_WINDOW_SECONDS, target.timeout_seconds / 4)
        if earlier is None or not oldest <= earlier.at_monotonic <= newest:
            earlier = await self._look(probe.id, recorder)
            await recorder.clock.wait(min(FIRST_WINDOW_SECONDS, target.timeout_seconds / 4))
        now = await self._look(probe.id, recorder)
        self._earlier[probe.id] = now
        return earlier, now

    async def _look(self, probe: str, recorder: Recorder) -> Snapshot:
        return await self._workers.call(probe, lambda: host_reading.take(at_monotonic=recorder.clock.monotonic()))

    async def _compare_clock(
        self, target: Target, options: HostOptions, recorder: Recorder
    ) -> clock_offset.Offset | None:
        peer = options.clock_peer or next(iter(target.peers), "")
        if not peer:
            recorder.log("clock not compared: no system is reached over HTTP; set the option 'clock_peer'")
            return None
        with recorder.timing("clock"):
            found = await clock_offset.compare(peer, recorder)
        if found is not None:
            recorder.log(
                f"clock is {found.seconds:+.1f} s against {found.peer}, give or take {found.uncertainty_seconds:.1f} s"
            )
            recorder.measure("tillwatch_clock_offset_seconds", found.seconds, peer=found.peer)
            recorder.measure("tillwatch_clock_offset_uncertainty_seconds", found.uncertainty_seconds, peer=found.peer)
        return found

    async def _name_culprits(self, target: Target, recorder: Recorder) -> None:
        with recorder.timing("processes"):
            before = await self._workers.call(target.probe.id, processes.scan)
            begun = recorder.clock.monotonic()
            await recorder.clock.wait(min(PROCESS_WINDOW_SECONDS, target.timeout_seconds / 8))
            after = await self._workers.call(target.probe.id, processes.scan)
            seconds = recorder.clock.monotonic() - begun
        found = processes.top(before, after, seconds=seconds)
        for process in found:
            argv = process["argv"]
            assert isinstance(argv, list)
            recorder.log(
                f"pid {process['pid']} {process['name']}: {process['cpu_percent']} % CPU, "
                f"{_bytes(int(str(process['rss_bytes'])))}: {' '.join(argv)}"
            )
        recorder.evidence("top_processes", found)


def used(before: Snapshot, now: Snapshot) -> Use:
    """What was used between two looks. A container is measured against its limits, not against its machine."""
    spent = now.cpu_total_seconds - before.cpu_total_seconds
    cpu = (now.cpu_busy_seconds - before.cpu_busy_seconds) / spent if spent > 0 else 0.0
    elapsed = now.at_monotonic - before.at_monotonic
    cpu_limit, memory_limit = now.limits.cpu, now.limits.memory
    if cpu_limit and before.limits.cpu and elapsed > 0:
        cpu = (cpu_limit.used - before.limits.cpu.used) / (elapsed * cpu_limit.limit)
    memory = 1 - now.memory_available_bytes / now.memory_total_bytes
    if memory_limit:
        memory = memory_limit.used / memory_limit.limit
    return Use(
        cpu_ratio=min(1.0, max(0.0, cpu)),
        memory_ratio=min(1.0, max(0.0, memory)),
        limited=cpu_limit is not None or memory_limit is not None,
    )


def judge(use: Use, now: Snapshot, offset: clock_offset.Offset | None, options: HostOptions) -> Sequence[Trouble]:
    """Every limit that is crossed, the machine's own before the clock."""
    found: list[Trouble] = []
    where, where_zh = (" of the container's limit", "（容器限额内）") if use.limited else ("", "")
    for ratio, limit, name, name_zh in (
        (use.cpu_ratio, options.cpu_percent_max, "CPU", "CPU"),
        (use.memory_ratio, options.memory_percent_max, "memory", "内存"),
    ):
        if ratio * 100 > limit:
            message = f"{name} {ratio:.0%}{where} used, more than {limit} %"
            found.append(
                Trouble(
                    message=message,
                    message_zh=f"{name_zh} 使用率 {ratio:.0%}{where_zh}，超过 {limit}%",
                    has_culprits=True,
                )
            )
    stall = now.pressure.get("memory")
    if options.memory_pressure_percent_max is not None and stall is not None:
        percent = stall.some_ratio_10s * 100
        if percent > options.memory_pressure_percent_max:
            limit = options.memory_pressure_percent_max
            message = f"tasks waited for memory {percent:.0f} % of the time, more than {limit} %"
            message_zh = f"任务等待内存的时间占 {percent:.0f}%，超过 {limit}%"
            found.append(Trouble(message=message, message_zh=message_zh, has_culprits=True))
    if options.load_per_cpu_max is not None and now.load[0] / now.cpus > options.load_per_cpu_max:
        per_cpu, limit = now.load[0] / now.cpus, options.load_per_cpu_max
        message = f"load {per_cpu:.1f} per CPU, more than {limit}"
        found.append(Trouble(message=message, message_zh=f"每核负载 {per_cpu:.1f}，超过 {limit}", has_culprits=True))
    found += _full_disks(now, options)
    if offset is not None and offset.certain_seconds > options.clock_offset_max.total_seconds():
        limit_seconds = f"{options.clock_offset_max.total_seconds():g}"
        ahead = offset.seconds > 0
        found.append(
            Trouble(
                message=f"the clock is {abs(offset.seconds):.0f} s {'ahead of' if ahead else 'behind'} {offset.peer}, "
                f"more than {limit_seconds} s; check time synchronisation",
                message_zh=f"本机时钟比 {offset.peer} {'快' if ahead else '慢'} {abs(offset.seconds):.0f} 秒，"
                f"超过 {limit_seconds} 秒，请检查时间同步",
                cause=Cause.NONE,
            )
        )
    return found


def _full_disks(now: Snapshot, options: HostOptions) -> Sequence[Trouble]:
    found: list[Trouble] = []
    for disk in now.disks:
        if disk.readonly or (options.disks and disk.mountpoint not in options.disks):
            continue
        if disk.used_ratio * 100 > options.disk_percent_max:
            limit = options.disk_percent_max
            left = _bytes(disk.available_bytes)
            found.append(
                Trouble(
                    message=f"disk {disk.mountpoint} {disk.used_ratio:.0%} full ({left} left), more than {limit} %",
                    message_zh=f"磁盘 {disk.mountpoint} 已用 {disk.used_ratio:.0%}（剩余 {left}），超过 {limit}%",
                )
            )
    return found


def _spelled(use: Use, now: Snapshot) -> Sequence[str]:
    limited = " of the container's limit" if use.limited else ""
    lines = [
        f"CPU {use.cpu_ratio:.1%}, memory {use.memory_ratio:.1%}{limited}, load {now.load[0]:.2f} on {now.cpus} CPUs"
    ]
    lines += [f"disk {disk.mountpoint} {disk.used_ratio:.1%} full" for disk in now.disks]
    lines += [f"{name} pressure {stall.some_ratio_10s:.1%} of the last 10 s" for name, stall in now.pressure.items()]
    if now.oom_kills is not None:
        lines.append(f"{now.oom_kills} process(es) killed for lack of memory since the start of the machine")
    return lines


def _evidence(use: Use, now: Snapshot) -> Mapping[str, object]:
    return {
        "cpu_percent": round(use.cpu_ratio * 100, 1),
        "memory_percent": round(use.memory_ratio * 100, 1),
        "container_limits": use.limited,
        "load": [round(value, 2) for value in now.load],
        "cpus": now.cpus,
        "disks": [
            {"mountpoint": disk.mountpoint, "used_percent": round(disk.used_ratio * 100, 1)} for disk in now.disks
        ],
        "pressure_percent": {name: round(stall.some_ratio_10s * 100, 2) for name, stall in now.pressure.items()},
        "oom_kills": now.oom_kills,
    }


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
