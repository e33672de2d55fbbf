"""What a container may use."""

from pathlib import Path

import pytest

from tillwatch.probers.cgroup import Limits, Usage, read

GIB = 1024**3


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path / "proc"


def files(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def limits(proc: Path, root: Path) -> Limits:
    return read(proc=proc, root=root, machine_memory_bytes=24 * GIB, machine_cpus=8)


def test_version_2_takes_the_tightest_limit_on_the_way_up(proc: Path, tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    files(root, cgroup__controllers="cpu memory")
    files(
        root / "pod",
        memory__max=str(4 * GIB),
        memory__current=str(3 * GIB),
        memory__stat=f"anon 1\ninactive_file {GIB}",
        cpu__max="max 100000",
        cpu__stat="usage_usec 1",
    )
    files(
        root / "pod/app",
        memory__max="max",
        memory__current=str(GIB),
        cpu__max="150000 100000",
        cpu__stat="usage_usec 2500000\nuser_usec 1",
    )
    (proc / "self/cgroup").write_text("0::/pod/app\n")
    found = limits(proc, root)
    assert found.memory == Usage(limit=4 * GIB, used=2 * GIB)
    assert found.cpu == Usage(limit=1.5, used=2.5)


def test_version_1_reads_each_controller_at_its_own_path(proc: Path, tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    files(
        root / "memory/docker/abc",
        memory__limit_in_bytes=str(2 * GIB),
        memory__usage_in_bytes=str(GIB),
        memory__stat=f"cache 5\ntotal_inactive_file {GIB // 2}",
    )
    files(root / "cpu/docker/abc", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    files(root / "cpuacct/docker/abc", cpuacct__usage="3000000000")
    (proc / "self/cgroup").write_text("4:memory:/docker/abc\n1:cpu:/docker/abc\n2:cpuacct:/docker/abc\n")
    assert limits(proc, root) == Limits(memory=Usage(limit=2 * GIB, used=GIB / 2), cpu=Usage(limit=0.5, used=3.0))


def test_a_container_that_sees_only_its_own_root_is_found_there(proc: Path, tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    files(root / "memory", memory__limit_in_bytes=str(GIB), memory__usage_in_bytes=str(GIB // 4))
    (proc / "self/cgroup").write_text("4:memory:/docker/of/the/outside\n")
    assert limits(proc, root).memory == Usage(limit=GIB, used=GIB / 4)


@pytest.mark.parametrize("number", ["-1", "9223372036854771712"])
def test_no_limit_and_limits_that_allow_the_whole_machine_are_none(proc: Path, tmp_path: Path, number: str) -> None:
    root = tmp_path / "cgroup"
    files(root / "memory", memory__limit_in_bytes=number, memory__usage_in_bytes="5")
    files(root / "cpu", cpu__cfs_quota_us="800000", cpu__cfs_period_us="100000", cpuacct__usage="1")
    (proc / "self/cgroup").write_text("4:memory:/\n1:cpu:/\n")
    assert limits(proc, root) == Limits()


def test_a_machine_without_cgroups_has_no_limits(proc: Path, tmp_path: Path) -> None:
    assert limits(proc, tmp_path / "nothing") == Limits()
