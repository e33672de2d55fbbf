"""Processes are started once, known by more than a number, and stopped by their own pid."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tillwatch.clock import SystemClock
from tillwatch.errors import UnavailableError
from tillwatch.lab.daemon import Daemon, python_environment

CLOCK = SystemClock()
WAITS = (sys.executable, "-c", "import signal; signal.pause()")


def daemon(folder: Path, argv: tuple[str, ...] = WAITS) -> Daemon:
    return Daemon(name="part", argv=argv, folder=folder)


def test_a_second_start_finds_the_first(tmp_path: Path) -> None:
    part = daemon(tmp_path)
    try:
        assert part.start() == daemon(tmp_path).start()
    finally:
        assert part.stop()
    assert part.process() is None
    assert not part.stop()


def test_a_killed_process_is_gone_and_starts_again(tmp_path: Path) -> None:
    part = daemon(tmp_path)
    try:
        first = part.start()
        assert part.kill()
        assert part.process() is None
        assert part.start() != first
    finally:
        part.stop()


def test_a_process_that_died_by_itself_is_not_taken_for_alive(tmp_path: Path) -> None:
    part = daemon(tmp_path)
    try:
        pid = part.start()
        os.kill(pid, 9)
        psutil.Process(pid).wait(5)
        assert part.process() is None
    finally:
        part.stop()


@pytest.mark.parametrize("changed", [{"create_time": 1.0}, {"argv": ["something", "else"]}])
def test_a_pid_that_now_belongs_to_another_process_is_left_alone(tmp_path: Path, changed: dict[str, object]) -> None:
    stranger = subprocess.Popen(WAITS)
    try:
        found = psutil.Process(stranger.pid)
        while not found.cmdline():
            CLOCK.sleep(0.01)
        record = {"pid": stranger.pid, "create_time": found.create_time(), "argv": list(WAITS)} | changed
        part = daemon(tmp_path)
        part.pid_file.write_text(json.dumps(record), encoding="utf-8")
        assert part.process() is None
        assert not part.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ends_while_starting_says_its_last_words(tmp_path: Path) -> None:
    part = Daemon(
        name="part",
        argv=(sys.executable, "-c", "raise SystemExit('the port is taken')"),
        folder=tmp_path,
        ready=lambda: False,
    )
    with pytest.raises(UnavailableError, match="the port is taken"):
        part.start()


def test_a_process_that_never_becomes_ready_is_not_left_behind(tmp_path: Path) -> None:
    part = Daemon(name="part", argv=WAITS, folder=tmp_path, ready=lambda: False, ready_seconds=0.2)
    with pytest.raises(UnavailableError, match=r"not ready after 0 s; see .*part\.log"):
        part.start()
    record = json.loads(part.pid_file.read_text(encoding="utf-8"))
    psutil.wait_procs([psutil.Process(record["pid"])] if psutil.pid_exists(record["pid"]) else [], timeout=5)
    assert part.process() is None


def test_one_that_ignores_the_polite_signal_is_ended_by_force(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); open('up', 'w').close(); signal.pause()"
    part = Daemon(
        name="part", argv=(sys.executable, "-c", stubborn), folder=tmp_path, ready=lambda: (tmp_path / "up").exists()
    )
    part.start()
    assert part.stop(seconds=0.2)
    assert part.process() is None


def test_a_stranger_can_end_a_process_whose_parent_does_not_wait_for_it(tmp_path: Path) -> None:
    part = daemon(tmp_path)
    part.start()
    script = f"""
from pathlib import Path
from tillwatch.lab.daemon import Daemon
print(Daemon(name="part", argv={WAITS!r}, folder=Path({str(tmp_path)!r})).kill())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=python_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.stdout.strip(), ended.returncode) == ("True", 0), ended.stderr
    assert part.process() is None
