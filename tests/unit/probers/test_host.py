"""Is the machine well, and who is to blame?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tillwatch.errors import Cause
from tillwatch.probers import processes
from tillwatch.probers.cgroup import Limits, Usage
from tillwatch.probers.clock_offset import Offset, offset
from tillwatch.probers.host import HostOptions, Trouble, Use, judge, used
from tillwatch.probers.host_reading import Disk, Pressure, Snapshot, read_pressure
from tillwatch.probers.processes import Process, top

GIB = 1024**3
DISK = Disk(
    mountpoint="/",
    device="/dev/vda",
    fstype="ext4",
    size_bytes=100 * GIB,
    free_bytes=60 * GIB,
    available_bytes=55 * GIB,
    files=100,
    files_free=50,
    readonly=False,
)
CALM = Snapshot(
    at_monotonic=100.0,
    cpus=4,
    cpu_busy_seconds=1000.0,
    cpu_total_seconds=10_000.0,
    memory_total_bytes=16 * GIB,
    memory_available_bytes=12 * GIB,
    load=(1.0, 1.0, 1.0),
    limits=Limits(),
    disks=(DISK,),
    pressure={},
    oom_kills=0,
    measurements=(),
)
OPTIONS = HostOptions(cpu_percent_max=Decimal(90), memory_percent_max=Decimal(90), disk_percent_max=Decimal(95))


def messages(troubles: object) -> list[str]:
    assert isinstance(troubles, list)
    return [trouble.message for trouble in troubles if isinstance(trouble, Trouble)]


def test_use_is_the_difference_of_two_looks() -> None:
    later = replace(CALM, at_monotonic=110.0, cpu_busy_seconds=1030.0, cpu_total_seconds=10_040.0)
    assert used(CALM, later) == Use(cpu_ratio=0.75, memory_ratio=0.25)


def test_two_looks_at_the_same_instant_claim_nothing() -> None:
    assert used(CALM, CALM).cpu_ratio == 0.0


def test_a_container_is_measured_against_its_limits() -> None:
    limits = Limits(memory=Usage(limit=2 * GIB, used=1.9 * GIB), cpu=Usage(limit=0.5, used=50.0))
    before = replace(CALM, limits=limits)
    after = replace(
        before, at_monotonic=110.0, limits=replace(limits, cpu=Usage(limit=0.5, used=54.9)), cpu_total_seconds=10_040.0
    )
    use = used(before, after)
    assert use.cpu_ratio == pytest.approx(0.98)
    assert use.memory_ratio == pytest.approx(0.95)
    assert messages(judge(use, after, None, OPTIONS)) == [
        "CPU 98% of the container's limit used, more than 90 %",
        "memory 95% of the container's limit used, more than 90 %",
    ]


@pytest.mark.parametrize(("ratio", "troubled"), [(0.90, False), (0.901, True)])
def test_a_limit_is_crossed_only_above_it(ratio: float, troubled: bool) -> None:
    found = judge(Use(cpu_ratio=ratio, memory_ratio=0.1), CALM, None, OPTIONS)
    assert bool(found) is troubled
    if troubled:
        assert found[0].cause is Cause.SATURATION
        assert found[0].has_culprits
        assert found[0].message_zh == "CPU 使用率 90%，超过 90%"


def test_a_full_disk_is_named_with_what_is_left_and_a_read_only_one_is_not() -> None:
    full = replace(DISK, mountpoint="/data", free_bytes=5 * GIB, available_bytes=2 * GIB)
    snapshot = replace(CALM, disks=(full, replace(full, mountpoint="/cdrom", readonly=True)))
    found = judge(Use(cpu_ratio=0, memory_ratio=0), snapshot, None, OPTIONS)
    assert messages(found) == ["disk /data 98% full (2 GiB left), more than 95 %"]
    assert not found[0].has_culprits
    only_root = OPTIONS.model_copy(update={"disks": ("/",)})
    assert not judge(Use(cpu_ratio=0, memory_ratio=0), snapshot, None, only_root)


def test_pressure_and_load_are_judged_only_when_asked_for() -> None:
    stalled = Pressure(some_ratio_10s=0.4, some_seconds=1, full_seconds=1)
    busy = replace(CALM, pressure={"memory": stalled}, load=(12.0, 1.0, 1.0))
    calm = Use(cpu_ratio=0, memory_ratio=0)
    assert not judge(calm, busy, None, OPTIONS)
    asked = OPTIONS.model_copy(update={"memory_pressure_percent_max": Decimal(20), "load_per_cpu_max": Decimal(2)})
    assert messages(judge(calm, busy, None, asked)) == [
        "tasks waited for memory 40 % of the time, more than 20 %",
        "load 3.0 per CPU, more than 2",
    ]


@pytest.mark.parametrize(("seconds", "troubled"), [(5.4, False), (5.6, True), (-5.6, True)])
def test_a_wrong_clock_is_called_so_only_beyond_its_uncertainty(seconds: float, troubled: bool) -> None:
    found = judge(
        Use(cpu_ratio=0, memory_ratio=0),
        CALM,
        Offset(peer="erp", seconds=seconds, uncertainty_seconds=0.55),
        OPTIONS,
    )
    assert bool(found) is troubled
    if troubled:
        assert found[0].cause is Cause.NONE
        assert ("ahead of erp" if seconds > 0 else "behind erp") in found[0].message


def test_the_offset_takes_the_middle_of_the_exchange_and_of_the_second_named() -> None:
    sent = datetime(2026, 11, 24, 3, 0, 10, tzinfo=UTC)
    found = offset("erp", "Tue, 24 Nov 2026 03:00:00 GMT", sent=sent, received=sent + timedelta(seconds=1))
    assert found == Offset(peer="erp", seconds=10.0, uncertainty_seconds=1.0)
    assert found.certain_seconds == 9.0
    assert offset("erp", "yesterday", sent=sent, received=sent) is None


def test_pressure_files_are_read_and_their_absence_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/memory").write_text(
        "some avg10=14.35 avg60=5.25 avg300=2.60 total=17558280\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=2000000\n"
    )
    found = read_pressure(tmp_path)
    assert found == {"memory": Pressure(some_ratio_10s=0.1435, some_seconds=17.55828, full_seconds=2.0)}


def process(pid: int, cpu: float, rss: int, **changes: object) -> Process:
    values: dict[str, object] = {
        "name": f"p{pid}",
        "argv": (f"/bin/p{pid}",),
        "user": "till",
        "created": 1.0,
        **changes,
    }
    return Process(pid=pid, cpu_seconds=cpu, rss_bytes=rss, **values)  # type: ignore[arg-type]


def test_the_busiest_come_first_then_the_largest_each_once() -> None:
    before = {pid: process(pid, 0, pid) for pid in range(1, 20)}
    after = {pid: process(pid, float(pid == 3) + 0.5 * (pid == 7), pid) for pid in range(1, 20)}
    shown = top(before, after, seconds=2.0)
    assert [(item["pid"], item["cpu_percent"]) for item in shown][:2] == [(3, 50.0), (7, 25.0)]
    assert [item["pid"] for item in shown][2:] == [19, 18, 17, 16, 15]


def test_a_pid_that_was_given_to_another_process_is_not_blamed_for_the_old_ones_work() -> None:
    before = {5: process(5, 0, 1)}
    after = {5: process(5, 100, 1, created=2.0)}
    assert top(before, after, seconds=1.0)[0]["cpu_percent"] == 0.0


def test_secrets_in_arguments_are_hidden_and_long_argument_lists_cut() -> None:
    noisy = process(5, 1, 1, argv=("report", "--password", "hunter2-geheim", "x" * 1000, "tail"))
    argv = top({5: process(5, 0, 1)}, {5: noisy}, seconds=1.0)[0]["argv"]
    assert isinstance(argv, list)
    assert argv[:3] == ["report", "--password", "***"]
    assert len(" ".join(argv)) < 400


def test_a_scan_of_this_machine_finds_this_very_process() -> None:
    found = processes.scan()
    assert any("pytest" in " ".join(process.argv) for process in found.values())
