"""One look at the machine: counters and levels, nothing judged. It may block (a dead network disk): use a thread."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tillwatch.model.probe import Measurement
from tillwatch.probers import cgroup

#: File systems that hold no data of their own or cannot fill up.
# fmt: off
_NOT_DISKS = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs",
    "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs",
})
# fmt: on
_PRESSURE_NAMES = {
    ("cpu", "some"): "node_pressure_cpu_waiting_seconds_total",
    ("memory", "some"): "node_pressure_memory_waiting_seconds_total",
    ("memory", "full"): "node_pressure_memory_stalled_seconds_total",
    ("io", "some"): "node_pressure_io_waiting_seconds_total",
    ("io", "full"): "node_pressure_io_stalled_seconds_total",
}


@dataclass(frozen=True, kw_only=True)
class Disk:
    mountpoint: str
    device: str
    fstype: str
    size_bytes: int
    free_bytes: int
    available_bytes: int
    files: int
    files_free: int
    readonly: bool

    @property
    def used_ratio(self) -> float:
        """As `df` shows it: what root keeps for itself counts as neither used nor available."""
        used = self.size_bytes - self.free_bytes
        usable = used + self.available_bytes
        return used / usable if usable else 0.0


@dataclass(frozen=True, kw_only=True)
class Pressure:
    """Pressure stall information of one resource, as ratios of time and total seconds."""

    some_ratio_10s: float
    some_seconds: float
    full_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The machine at one instant."""

    at_monotonic: float
    cpus: int
    cpu_busy_seconds: float
    cpu_total_seconds: float
    memory_total_bytes: int
    memory_available_bytes: int
    load: tuple[float, float, float]
    limits: cgroup.Limits
    disks: tuple[Disk, ...]
    pressure: Mapping[str, Pressure]
    oom_kills: int | None
    measurements: tuple[Measurement, ...] = field(repr=False)


def take(*, at_monotonic: float, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Snapshot:
    """Look once; about half a millisecond, not counting file systems that answer slowly."""
    times = psutil.cpu_times()
    memory, load = psutil.virtual_memory(), psutil.getloadavg()
    cpus = os.cpu_count() or 1
    disks = tuple(_disks())
    pressure = read_pressure(proc)
    oom_kills = _vmstat(proc, "oom_kill")
    return Snapshot(
        at_monotonic=at_monotonic,
        cpus=cpus,
        cpu_busy_seconds=_busy(times),
        cpu_total_seconds=_total(times),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        load=load,
        limits=cgroup.read(proc=proc, root=cgroups, machine_memory_bytes=memory.total, machine_cpus=cpus),
        disks=disks,
        pressure=pressure,
        oom_kills=oom_kills,
        measurements=(
            *_cpu_and_memory(),
            *_disk_measurements(disks),
            *_io_measurements(),
            *_pressure_measurements(pressure),
            *_kernel_measurements(proc, oom_kills),
        ),
    )


def _total(times: object) -> float:
    # Guest time is part of user time already.
    return sum(value for name, value in _modes(times) if name not in {"guest", "guest_nice"})


def _busy(times: object) -> float:
    return sum(value for name, value in _modes(times) if name not in {"guest", "guest_nice", "idle", "iowait"})


def _modes(times: object) -> Iterator[tuple[str, float]]:
    for name in getattr(times, "_fields", ()):
        yield name, float(getattr(times, name))


def _one(name: str, value: float, **labels: str) -> Measurement:
    return Measurement(name=name, value=float(value), labels=labels)


def _cpu_and_memory() -> Iterator[Measurement]:
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode, seconds in _modes(times):
            if mode not in {"guest", "guest_nice"}:
                yield _one("node_cpu_seconds_total", seconds, cpu=str(number), mode=mode)
    for name, value in zip(("node_load1", "node_load5", "node_load15"), psutil.getloadavg(), strict=True):
        yield _one(name, value)
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    yield _one("node_memory_MemTotal_bytes", memory.total)
    yield _one("node_memory_MemAvailable_bytes", memory.available)
    yield _one("node_memory_MemFree_bytes", memory.free)
    yield _one("node_memory_SwapTotal_bytes", swap.total)
    yield _one("node_memory_SwapFree_bytes", swap.free)
    yield _one("node_boot_time_seconds", psutil.boot_time())


def _disks() -> Iterator[Disk]:
    seen: set[str] = set()
    for part in psutil.disk_partitions(all=True):
        # The root of a container is an overlay, and its space is real.
        if (part.fstype in _NOT_DISKS and part.mountpoint != "/") or part.mountpoint in seen:
            continue
        seen.add(part.mountpoint)
        try:
            found = os.statvfs(part.mountpoint)
        except OSError:
            continue
        if found.f_blocks:
            yield Disk(
                mountpoint=part.mountpoint,
                device=part.device,
                fstype=part.fstype,
                size_bytes=found.f_blocks * found.f_frsize,
                free_bytes=found.f_bfree * found.f_frsize,
                available_bytes=found.f_bavail * found.f_frsize,
                files=found.f_files,
                files_free=found.f_ffree,
                readonly="ro" in part.opts.split(","),
            )


def _disk_measurements(disks: tuple[Disk, ...]) -> Iterator[Measurement]:
    for disk in disks:
        labels = {"device": disk.device, "fstype": disk.fstype, "mountpoint": disk.mountpoint}
        yield _one("node_filesystem_size_bytes", disk.size_bytes, **labels)
        yield _one("node_filesystem_free_bytes", disk.free_bytes, **labels)
        yield _one("node_filesystem_avail_bytes", disk.available_bytes, **labels)
        yield _one("node_filesystem_files", disk.files, **labels)
        yield _one("node_filesystem_files_free", disk.files_free, **labels)
        yield _one("node_filesystem_readonly", disk.readonly, **labels)


def _io_measurements() -> Iterator[Measurement]:
    for device, io in (psutil.disk_io_counters(perdisk=True) or {}).items():
        yield _one("node_disk_read_bytes_total", io.read_bytes, device=device)
        yield _one("node_disk_written_bytes_total", io.write_bytes, device=device)
        yield _one("node_disk_io_time_seconds_total", getattr(io, "busy_time", 0) / 1000, device=device)
    for device, net in psutil.net_io_counters(pernic=True).items():
        yield _one("node_network_receive_bytes_total", net.bytes_recv, device=device)
        yield _one("node_network_transmit_bytes_total", net.bytes_sent, device=device)
        yield _one("node_network_receive_errs_total", net.errin, device=device)
        yield _one("node_network_transmit_errs_total", net.errout, device=device)


def _pressure_measurements(pressure: Mapping[str, Pressure]) -> Iterator[Measurement]:
    for resource, stall in pressure.items():
        yield _one("tillwatch_host_pressure_ratio", stall.some_ratio_10s, resource=resource)
        yield _one(_PRESSURE_NAMES[resource, "some"], stall.some_seconds)
        if stall.full_seconds is not None and (name := _PRESSURE_NAMES.get((resource, "full"))):
            yield _one(name, stall.full_seconds)


def _kernel_measurements(proc: Path, oom_kills: int | None) -> Iterator[Measurement]:
    if oom_kills is not None:
        yield _one("node_vmstat_oom_kill", oom_kills)
    fields = _lines(proc / "sys" / "fs" / "file-nr")
    numbers = fields[0].split() if fields else []
    if len(numbers) == 3:
        yield _one("node_filefd_allocated", int(numbers[0]))
        yield _one("node_filefd_maximum", int(numbers[2]))


def read_pressure(proc: Path) -> dict[str, Pressure]:
    """`/proc/pressure/*`; empty on kernels without it.

    `some avg10=1.23 avg60=… avg300=… total=456` with percent and microseconds, and the same for `full`.
    """
    found: dict[str, Pressure] = {}
    for resource in ("cpu", "memory", "io"):
        rows: dict[str, dict[str, float]] = {}
        for line in _lines(proc / "pressure" / resource):
            kind, *pairs = line.split()
            rows[kind] = {name: float(value) for name, _, value in (pair.partition("=") for pair in pairs)}
        if some := rows.get("some"):
            full = rows.get("full")
            found[resource] = Pressure(
                some_ratio_10s=some["avg10"] / 100,
                some_seconds=some["total"] / 1e6,
                full_seconds=full["total"] / 1e6 if full else None,
            )
    return found


def _vmstat(proc: Path, name: str) -> int | None:
    for line in _lines(proc / "vmstat"):
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
