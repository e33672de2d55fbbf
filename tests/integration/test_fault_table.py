"""What a sender is told while something under the server is broken, and what is known once it is whole again.

The promise of every case: 200 means stored, anything else means "send again"; the server lives on; within 10 s of the
fault's end it stores again; afterwards every incident of an alert that was answered with 200 has been told.
"""

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.support.pipe import Pipe
from tests.support.postgres import Postgres
from tests.support.real_server import RealServer
from tests.support.receiver import Receiver

#: The promise: so long after the cause is gone an alert is stored again.
RECOVERY_SECONDS = 10.0
#: A sender gets its answer within this time, also while the store is locked or gone (`LOCK_TIMEOUT_SECONDS` and some).
ANSWER_SECONDS = 9.0
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
DISK_BYTES = 3_000_000


@dataclass
class Story:
    """A server, what it was sent and what it answered."""

    server: RealServer
    stored: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def send(self, name: str) -> int:
        began = time.monotonic()  # noqa: TID251 - a real server, a real deadline
        status = self.server.post(name)
        assert time.monotonic() - began < ANSWER_SECONDS, f"{name} was answered late"  # noqa: TID251
        assert status in {200, 503}, f"{name} was answered {status}"
        (self.stored if status == 200 else self.refused).add(name)
        return status

    def recovers(self) -> float:
        """Send until an alert is stored; fails when that takes longer than promised."""
        names = iter(range(10_000))
        took = self.server.wait("recovery", lambda: self.send(f"After{next(names)}") == 200, seconds=RECOVERY_SECONDS)
        assert took < RECOVERY_SECONDS
        return took

    def all_told(self, seconds: float = 60.0) -> None:
        """Senders repeat what was not answered with 200; then every incident was told, and each of them once."""
        for name in sorted(self.refused - self.stored):
            assert self.send(name) == 200
        self.server.wait("message for each", lambda: self.stored <= self.server.names_told(), seconds=seconds)
        first = [one for one in self.server.told() if one.kind == "opened" and not one.possible_repeat]
        assert sorted(name for one in first for name in one.names) == sorted(self.stored)
        assert len({one.key for one in first}) == len(first)


@pytest.fixture
def story(tmp_path: Path, receiver: Receiver) -> Iterator[Story]:
    server = RealServer(root=tmp_path / "chain", receiver=receiver)
    try:
        yield Story(server=server)
    finally:
        server.end(signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every free byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_disk_is_answered_503_until_there_is_room_again(story: Story, small_disk: Path) -> None:
    story.server.store = f"sqlite:///{small_disk}/store.db"
    story.server.start()
    assert story.send("Before") == 200
    story.all_told()
    ballast = fill(small_disk)
    # What fits into pages that are there already may still be stored; then the disk is really full.
    numbers = iter(range(1000))
    story.server.wait("refusal", lambda: story.send(f"Full{next(numbers)}") == 503)
    assert httpx.get(f"{story.server.url}/incidents", timeout=10).status_code == 200
    ballast.unlink()
    story.recovers()
    story.all_told()


def test_a_locked_store_is_answered_503_and_nothing_waits_without_end(story: Story) -> None:
    story.server.start()
    assert story.send("Before") == 200
    other = sqlite3.connect(story.server.root / "store.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert story.send("Locked") == 503
    assert httpx.get(f"{story.server.url}/incidents", timeout=10).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    story.recovers()
    story.all_told()


def test_a_postgresql_that_is_stopped_and_started_loses_nothing_that_was_acknowledged(
    story: Story, postgres: Postgres
) -> None:
    story.server.store = postgres.url(postgres.create_database())
    story.server.start()
    assert story.send("Before") == 200
    postgres.stop()
    try:
        assert story.send("Down") == 503
        assert httpx.get(f"{story.server.url}/-/healthy", timeout=10).status_code == 200
    finally:
        postgres.start()
    story.recovers()
    story.all_told()


def test_a_database_behind_a_dead_link_is_answered_503_in_time(story: Story, postgres: Postgres) -> None:
    """The packets wait, the connections stay: no error ever comes from the other side."""
    with Pipe(postgres.port) as pipe:
        name = postgres.create_database()
        story.server.store = f"postgresql+psycopg://tillwatch@127.0.0.1:{pipe.port}/{name}"
        story.server.start()
        assert story.send("Before") == 200
        pipe.hold()
        assert story.send("Held") == 503
        pipe.release()
        story.recovers()
        story.all_told()


@pytest.mark.parametrize("step", ["+3600", "-7200"], ids=["an hour ahead", "two hours back"])
def test_a_clock_that_jumps_neither_repeats_nor_loses_a_message(story: Story, tmp_path: Path, step: str) -> None:
    if not FAKETIME.exists():
        pytest.fail("libfaketime is not installed; tests/packages.sh installs it")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    story.server.environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    story.server.start()
    assert story.send("Before") == 200
    story.all_told()
    offset.write_text(step)
    story.recovers()
    story.all_told()
    # An end is judged by the server's clock, so it is sent once that is right again.
    offset.write_text("+0")
    assert story.server.post("Before", over=True) == 200
    story.server.wait("end", lambda: "Before" in story.server.names_told("resolved"))
    assert "reminder" not in story.server.kinds()
    assert not any(one.possible_repeat for one in story.server.told())


def test_a_channel_whose_name_is_not_found_loses_no_message_and_holds_up_no_alert(
    story: Story, receiver: Receiver
) -> None:
    story.server.hook = f"http://channel.invalid:{receiver.port}/hook"
    story.server.start()
    for name in ("First", "Second"):
        assert story.send(name) == 200
    assert story.server.told() == []
    # The same incidents are told once the channel has a name that is found.
    story.server.hook = ""
    story.server.write_chain()
    assert httpx.post(f"{story.server.url}/-/reload", timeout=30).is_success
    story.all_told()


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_disk_that_fails_a_sync_is_never_answered_200(story: Story, call: int) -> None:
    """From the given call on, every fdatasync and fsync of the server fails until the disk is well again."""
    if shutil.which("strace") is None:
        pytest.fail("strace is not installed; tests/packages.sh installs it")
    story.server.start()
    assert story.send("Before") == 200
    assert story.server.process is not None
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(story.server.process.pid)]
    argv += ["-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error=EIO:when={call}+"]
    tracer = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        story.server.wait("refusal", lambda: story.send(f"Failing{len(story.refused | story.stored)}") == 503)
        assert story.send("StillFailing") == 503
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
    story.recovers()
    story.all_told()
    # What was acknowledged is on the disk, also for a process that did not write it.
    story.server.end(signal.SIGKILL)
    with sqlite3.connect(story.server.root / "store.db") as store:
        titles = " ".join(row[0] for row in store.execute("SELECT component FROM incidents"))
    store.close()
    assert all(name in titles for name in story.stored)
