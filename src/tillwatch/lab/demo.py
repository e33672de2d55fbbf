"""The demo from start to end: lay out the lab, start everything, watch it, stop everything.

1. One demo per folder, kept by a lock; a second call in the same folder talks to the first.
2. What an earlier demo left running (it may have been killed) is stopped by its pid files, its data is replaced.
3. Processes start in the order of the fleet; whatever happens, all are stopped in the opposite order.
4. The server is started again whenever it is gone: that is what a service manager does in a real installation.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from tillwatch.clock import Clock
from tillwatch.config.load import pack_root
from tillwatch.errors import TillwatchError, UnavailableError, UsageError
from tillwatch.lab import chain, erp, fleet, till_db
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.daemon import Daemon
from tillwatch.lab.layout import DEFAULT_PACE, Lab, Pace, Ports

DEFAULT_PORT = 8080
#: How soon a dead server is noticed.
WATCH_SECONDS = 0.5

_LOCK = "demo.lock"
#: What a lab consists of; nothing else in the folder is ever touched.
_PARTS = (
    "run",
    "erp",
    "tills",
    "chain",
    "prometheus",
    "inbox.db",
    "faults.json",
    "injected.jsonl",
    "lab.json",
    "prometheus.yml",
)

Say = Callable[[str], None]


def default_folder() -> Path:
    """Outside every checkout: the state folder of the user."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tillwatch" / "demo"


class Demo:
    """One running lab. Use as a context manager: entering starts it, leaving stops everything it started."""

    def __init__(self, root: Path, *, port: int | None, clock: Clock, say: Say, pace: Pace = DEFAULT_PACE) -> None:
        self._root = root.resolve()
        self._port = port
        self._clock = clock
        self._say = say
        self._pace = pace
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._cleanup = contextlib.ExitStack()
        self.lab: Lab

    def __enter__(self) -> "Demo":
        with contextlib.ExitStack() as starting:
            starting.enter_context(_locked(self._root))
            self.lab = self._lay_out()
            daemons = fleet.fleet(self.lab)
            starting.callback(fleet.report_job(self.lab, 0).stop)
            for daemon in daemons.values():
                # Registered before the start, so that a half-started process is stopped too.
                starting.callback(self._stop_one, daemon)
                self._start_one(daemon)
            self._watcher = threading.Thread(target=self._watch, args=(daemons,), name="demo-watch")
            starting.callback(self._end_watch)
            self._watcher.start()
            self._cleanup = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._say("stopping")
        self._cleanup.close()

    def wait(self) -> None:
        """Until somebody interrupts."""
        while not self._stop.wait(WATCH_SECONDS):
            pass

    def _lay_out(self) -> Lab:
        stop_leftovers(self._root)
        for part in _PARTS:
            path = self._root / part
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        server = self._port if self._port is not None else _free(DEFAULT_PORT)
        erp_port, inbox_port, prometheus_port = erp.free_ports(3)
        ports = Ports(erp=erp_port, inbox=inbox_port, server=server, prometheus=prometheus_port)
        lab = Lab(root=self._root, ports=ports, pace=self._pace)
        lab.save()
        erp.prepare(lab.erp.folder, port=ports.erp, progress=self._say)
        for shop in SHOPS:
            till_db.create(lab.till(shop), shop, self._clock.now())
        chain.render(lab, pack_root())
        settings = fleet.prometheus_settings(lab, lab.chain / "alerts" / "rules")
        (lab.root / "prometheus.yml").write_text(settings, encoding="utf-8")
        return lab

    def _start_one(self, daemon: Daemon) -> None:
        self._say(f"starting {daemon.name}")
        try:
            daemon.start()
        except UnavailableError as error:
            if daemon.name != fleet.PROMETHEUS:
                raise
            self._say(f"going on without Prometheus: {error}")

    def _stop_one(self, daemon: Daemon) -> None:
        if daemon.stop():
            self._say(f"stopped {daemon.name}")

    def _watch(self, daemons: Mapping[str, Daemon]) -> None:
        server = daemons[fleet.SERVER]
        while not self._stop.wait(WATCH_SECONDS):
            # Asked of all, because asking takes a dead child off the process table.
            gone = {name for name, daemon in daemons.items() if daemon.process() is None}
            if server.name in gone:
                self._say("the server is gone; starting it again")
                try:
                    server.start()
                except TillwatchError as error:
                    self._say(f"the server does not start: {error}")

    def _end_watch(self) -> None:
        self._stop.set()
        if self._watcher is not None and self._watcher.is_alive():
            self._watcher.join()


def running(root: Path) -> Lab | None:
    """The lab that a demo keeps running in `root`, or None."""
    try:
        with _locked(root.resolve()):
            return None
    except UsageError:
        return Lab.load(root)


def stop_leftovers(root: Path) -> None:
    """Stop what a killed demo left running in `root`. Raises UsageError when `root` holds somebody else's files."""
    try:
        lab = Lab.load(root)
    except UsageError:
        strange = [path.name for path in root.iterdir() if path.name not in (*_PARTS, _LOCK)]
        if strange:
            message = f"{root} is not empty and no lab ({', '.join(sorted(strange)[:3])}); choose another --dir"
            raise UsageError(message) from None
        return
    for daemon in (fleet.report_job(lab, 0), *reversed(fleet.fleet(lab).values())):
        daemon.stop()


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[IO[str]]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another demo runs in {root}; choose another --dir or stop it") from error
        yield lock


def _free(wanted: int) -> int:
    """`wanted` when nobody listens there, else any free port."""
    with socket.socket() as probe:
        # A connection of the last demo that is still winding down does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return erp.free_port()
    return wanted
