"""The lab's ERP: a real Tryton from packages, its database copied from a template that is built once and cached.

The template is named by a hash of the ERP's versions and of the code that fills it, built under a file lock in a
folder of its own and renamed when complete, so that nobody ever sees half of one.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from tillwatch.errors import UnavailableError
from tillwatch.lab import catalogue, erp_seed, orders
from tillwatch.lab.daemon import Daemon, python_environment
from tillwatch.lab.tryton_rpc import TrytonRpc

DATABASE = "shop"
USER = "tillwatch"
#: Known to everybody on purpose: it opens nothing but a demo database on loopback.
PASSWORD = "lab-Till-Watch-1"
ADMIN_PASSWORD = "lab-Admin-Watch-1"
MODULES = ("sale", "stock", "product_price_list")
#: Creating the database takes about 35 s on an idle core.
INIT_SECONDS = 600.0
_DATABASE_FILE = f"{DATABASE}.sqlite"
_SEEDED_BY = (catalogue, orders, erp_seed)

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Erp:
    """One ERP server on loopback with a database of its own in `folder`."""

    folder: Path
    port: int

    database: str = DATABASE
    user: str = USER
    password: str = PASSWORD

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def daemon(self) -> Daemon:
        argv = (
            sys.executable,
            "-W",
            "ignore",
            _script("trytond"),
            "-c",
            str(self.folder / "trytond.conf"),
            "-d",
            DATABASE,
        )
        return Daemon(name="erp", argv=argv, folder=self.folder, ready=self.answers)

    def start(self) -> int:
        """Start unless running; returns its pid once it answers. Raises UnavailableError."""
        return self.daemon.start()

    def stop(self) -> bool:
        return self.daemon.stop()

    def kill(self) -> bool:
        """End the process as a crash would (SIGKILL)."""
        return self.daemon.kill()

    @property
    def running(self) -> bool:
        return self.daemon.process() is not None

    def answers(self) -> bool:
        """Does it answer HTTP, whatever it says?"""
        try:
            httpx.get(self.url + "/", timeout=2.0, trust_env=False)
        except httpx.HTTPError:
            return False
        return True

    def rpc(self) -> TrytonRpc:
        """A logged-in session of the integration user; close it."""
        return self._session(self.user, self.password)

    def admin_rpc(self) -> TrytonRpc:
        return self._session("admin", ADMIN_PASSWORD)

    def _session(self, user: str, password: str) -> TrytonRpc:
        rpc = TrytonRpc(self.url, self.database)
        rpc.login(user, password)
        return rpc


def free_port() -> int:
    """A port that is free on loopback now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that are free on loopback now; all are held until the last is found."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def prepare(folder: Path, *, port: int, progress: Progress = lambda _: None) -> Erp:
    """Lay out a not yet started ERP in `folder`, with a fresh database from the template, which is built if missing."""
    source = template(progress)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_DATABASE_FILE}-*"):
        leftover.unlink()
    shutil.copyfile(source / _DATABASE_FILE, folder / _DATABASE_FILE)
    _write_settings(folder, port)
    return Erp(folder=folder, port=port)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tillwatch"


def template_name() -> str:
    """Names the template by everything that decides its content."""
    digest = hashlib.sha256()
    for name in sorted(_tryton_versions()):
        digest.update(f"{name}\n".encode())
    digest.update(repr((MODULES, USER, PASSWORD, ADMIN_PASSWORD)).encode())
    for module in _SEEDED_BY:
        assert module.__file__ is not None
        digest.update(Path(module.__file__).read_bytes())
    return f"tryton-{digest.hexdigest()[:16]}"


def template(progress: Progress = lambda _: None) -> Path:
    """The folder with the template database; built now when there is none. Raises UnavailableError saying the fix."""
    if not _tryton_versions():
        raise UnavailableError("the lab's ERP is not installed; run: pip install 'tillwatch[lab]'")
    cache = cache_folder()
    target = cache / template_name()
    if (target / _DATABASE_FILE).exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{target.name}.lock").open("w") as lock:
        progress("ERP template: waiting for the build lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / _DATABASE_FILE).exists():
            building = cache / f"{target.name}.building"
            # A build that was killed may have left its server running in there.
            Erp(folder=building, port=0).stop()
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            _build(building, progress)
            # Only the database is the template; settings and logs belong to the build.
            for path in building.iterdir():
                if path.name != _DATABASE_FILE:
                    path.unlink()
            building.rename(target)
    return target


def _build(folder: Path, progress: Progress) -> None:
    progress("ERP template: creating the database (once, about a minute)")
    (folder / _DATABASE_FILE).touch()
    _write_settings(folder, free_port())
    (folder / "password").write_text(ADMIN_PASSWORD + "\n", encoding="utf-8")
    argv = [
        sys.executable,
        "-W",
        "ignore",
        _script("trytond-admin"),
        "-c",
        str(folder / "trytond.conf"),
        "-d",
        DATABASE,
    ]
    argv += ["-u", *MODULES, "--activate-dependencies", "--email", "lab@example.invalid", "--language", "en", "-p"]
    created = subprocess.run(
        argv,
        env=python_environment() | {"TRYTONPASSFILE": str(folder / "password")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INIT_SECONDS,
        check=False,
    )
    if created.returncode != 0:
        raise UnavailableError(f"the ERP database could not be created: {created.stderr.strip()[-800:]}")
    port = int((folder / "trytond.conf").read_text(encoding="utf-8").rsplit(":", 1)[1].split()[0])
    building = Erp(folder=folder, port=port)
    building.start()
    try:
        with building.admin_rpc() as rpc:
            erp_seed.seed(rpc, user=USER, password=PASSWORD, progress=progress)
    finally:
        building.stop()
    with closing(sqlite3.connect(folder / _DATABASE_FILE)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _write_settings(folder: Path, port: int) -> None:
    # Deferred tasks are queued for a worker that never runs: confirmed sales stay confirmed.
    (folder / "trytond.conf").write_text(
        f"[database]\nuri = sqlite://\npath = {folder}\n\n[queue]\nworker = True\n\n[web]\nlisten = 127.0.0.1:{port}\n",
        encoding="utf-8",
    )


def _script(name: str) -> str:
    """A console script beside this interpreter."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise UnavailableError(f"{path} is missing; run: pip install 'tillwatch[lab]'")
    return str(path)


def _tryton_versions() -> tuple[str, ...]:
    installed = importlib.metadata.distributions()
    found = {f"{name.lower()}=={item.version}" for item in installed if (name := item.metadata["Name"] or "")}
    tryton = tuple(sorted(line for line in found if line.startswith("trytond")))
    return tryton if any(line.startswith("trytond==") for line in tryton) else ()
