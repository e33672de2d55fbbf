"""What a container may use of its machine: cgroup limits, version 1 and 2. Without limits, None."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Version 1 writes "no limit" as the largest number of pages.
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A limit and what is used of it, both of the group whose limit binds first."""

    limit: float
    used: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    #: Bytes; `used` leaves out cache that the kernel gives back at once.
    memory: Usage | None = None
    #: Limit in CPUs, used in CPU seconds since the group exists.
    cpu: Usage | None = None


def read(*, proc: Path, root: Path, machine_memory_bytes: int, machine_cpus: int) -> Limits:
    """The limits that bind this process, read below `root` (usually /sys/fs/cgroup).

    A limit may stand on any ancestor; the tightest counts. Limits that allow the whole machine are no limits.
    """
    paths = _paths(proc / "self" / "cgroup")
    if (root / "cgroup.controllers").exists():
        groups = list(_ancestors(root, paths.get("", "/")))
        memory = _tightest(_memory_v2(group) for group in groups)
        cpu = _tightest(_cpu_v2(group) for group in groups)
    else:
        memory = _tightest(_memory_v1(group) for group in _ancestors(root / "memory", paths.get("memory", "/")))
        cpu = _tightest(
            _cpu_v1(group, root / "cpuacct" / group.relative_to(root / "cpu"))
            for group in _ancestors(root / "cpu", paths.get("cpu", "/"))
        )
    return Limits(
        memory=memory if memory and memory.limit < machine_memory_bytes else None,
        cpu=cpu if cpu and cpu.limit < machine_cpus else None,
    )


def _paths(file: Path) -> dict[str, str]:
    """Controller: path of our group; version 2 has the empty controller."""
    found: dict[str, str] = {}
    for line in _text(file).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _ancestors(mount: Path, path: str) -> Iterator[Path]:
    """Our group and those above it, as far as this mount shows them; a container often sees only its own root."""
    group = mount / path.strip("/")
    while True:
        if group.is_dir():
            yield group
        if group == mount:
            return
        group = group.parent


def _tightest(found: Iterator[Usage | None]) -> Usage | None:
    return min((usage for usage in found if usage is not None), key=lambda usage: usage.limit, default=None)


def _memory_v2(group: Path) -> Usage | None:
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or used is None:
        return None
    return Usage(limit=limit, used=max(0.0, used - _field(group / "memory.stat", "inactive_file")))


def _cpu_v2(group: Path) -> Usage | None:
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return Usage(limit=int(quota) / int(period), used=_field(group / "cpu.stat", "usage_usec") / 1e6)


def _memory_v1(group: Path) -> Usage | None:
    limit, used = _number(group / "memory.limit_in_bytes"), _number(group / "memory.usage_in_bytes")
    if limit is None or used is None or not 0 <= limit < _UNLIMITED_BYTES:
        return None
    return Usage(limit=limit, used=max(0.0, used - _field(group / "memory.stat", "total_inactive_file")))


def _cpu_v1(group: Path, accounting: Path) -> Usage | None:
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    nanoseconds = _number(accounting / "cpuacct.usage")
    if nanoseconds is None:
        nanoseconds = _number(group / "cpuacct.usage")
    if quota is None or quota <= 0 or not period or nanoseconds is None:
        return None
    return Usage(limit=quota / period, used=nanoseconds / 1e9)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(file: Path) -> float | None:
    text = _text(file).strip()
    return float(text) if text.removeprefix("-").isdigit() else None


def _field(file: Path, name: str) -> float:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return float(value)
    return 0.0
