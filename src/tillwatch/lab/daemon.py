"""One background process of the lab: started at most once, known by a pid file, stopped by its own pid only.

A pid alone proves nothing, because numbers are used again; the start time and the command line must match too.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import tillwatch
from tillwatch.clock import Clock, SystemClock
from tillwatch.errors import UnavailableError

#: What an orderly end may take before the process is killed.
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
#: The kernel computes start times from a boot time that a clock correction can move by about a second.
START_TIME_TOLERANCE_SECONDS = 2.0
LOG_TAIL_CHARACTERS = 800


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """`folder` holds `<name>.pid`, `<name>.lock` and `<name>.log`. Raises UnavailableError when it does not come up."""

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Called until it is true before `start` returns; None means a living process is enough.
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    clock: Clock = field(default_factory=SystemClock)

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The living process of the pid file, or None. Reaps it when it is our own dead child."""
        try:
            record = json.loads(self.pid_file.read_text(encoding="utf-8"))
            process = psutil.Process(record["pid"])
            if abs(process.create_time() - record["create_time"]) > START_TIME_TOLERANCE_SECONDS:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
                return None
            # For an instant after exec the kernel shows no command line yet.
            return process if process.cmdline() in ([], record["argv"]) else None
        except (FileNotFoundError, json.JSONDecodeError, KeyError, psutil.Error):
            return None

    def start(self) -> int:
        """Start unless it runs, wait until it is ready, and return its pid."""
        with self._locked():
            process = self.process() or self._spawn()
            try:
                self._wait_ready(process)
            except UnavailableError:
                # What never became ready must not stay behind half alive, holding the port of the next try.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                raise
            return int(process.pid)

    def stop(self, *, seconds: float = STOP_SECONDS) -> bool:
        """End it in order, after `seconds` by force. False when it did not run."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> bool:
        """End it as a crash would. False when it did not run."""
        return self._end(signal.SIGKILL, STOP_SECONDS)

    def log_tail(self) -> str:
        try:
            return self.log_file.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:].strip()
        except OSError:
            return ""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _spawn(self) -> psutil.Process:
        with self.log_file.open("ab") as log:
            child = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env=python_environment() | dict(self.environment),
            )
        try:
            process = psutil.Process(child.pid)
            record = {"pid": child.pid, "create_time": process.create_time(), "argv": list(self.argv)}
        except psutil.Error as error:
            raise UnavailableError(f"{self.name} ended at once; its last words: {self.log_tail()}") from error
        finally:
            # Popen would complain that nobody waited; the pid file owns the process from here on.
            child.returncode = 0
        temporary = self.pid_file.with_suffix(".pid.new")
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(self.pid_file)
        return process

    def _wait_ready(self, process: psutil.Process) -> None:
        deadline = self.clock.monotonic() + self.ready_seconds
        while self.ready is not None and not self.ready():
            if self.process() is None:
                raise UnavailableError(f"{self.name} ended while starting; {self.log_file} says: {self.log_tail()}")
            if self.clock.monotonic() > deadline:
                waited = f"not ready after {self.ready_seconds:.0f} s"
                raise UnavailableError(f"{self.name} (pid {process.pid}) is {waited}; see {self.log_file}")
            self.clock.sleep(POLL_SECONDS)

    def _end(self, how: signal.Signals, seconds: float) -> bool:
        with self._locked():
            process = self.process()
            if process is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(how)
                    if not self._ends(seconds):
                        process.kill()
                        if not self._ends(STOP_SECONDS):
                            raise UnavailableError(f"{self.name} (pid {process.pid}) does not end, not even by SIGKILL")
            self.pid_file.unlink(missing_ok=True)
            return process is not None

    def _ends(self, seconds: float) -> bool:
        """Wait for its end. One that its own parent has not yet waited for is over too, whoever that parent is."""
        deadline = self.clock.monotonic() + seconds
        while self.process() is not None:
            if self.clock.monotonic() > deadline:
                return False
            self.clock.sleep(POLL_SECONDS)
        return True


def python_environment() -> dict[str, str]:
    """This environment, with the package importable for a child however we were started."""
    source = str(Path(tillwatch.__file__).resolve().parents[1])
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != source]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join([source, *inherited]), "PYTHONUNBUFFERED": "1"}


def module_argv(module: str, *arguments: str) -> tuple[str, ...]:
    """How to run one of our modules with this interpreter."""
    return (sys.executable, "-m", module, *arguments)
