"""A real PostgreSQL for the session: its own data directory, a free port on loopback, no fsync."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

START_TIMEOUT_SECONDS = 60.0
SERVER_USER = "postgres"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs() -> Path | None:
    """The newest installed PostgreSQL's program folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


@dataclass
class Postgres:
    """One server of ours. `stop` and `start` let a test take it away and give it back on the same port."""

    folder: Path
    bin: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    made: int = 0
    #: Whether commits reach the disk; tests do without, figures of durable commits do not.
    durable: bool = False
    _account: dict[str, object] = field(default_factory=dict)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tillwatch@127.0.0.1:{self.port}/{database}"

    def run(self, *argv: str) -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self._account)  # type: ignore[call-overload]

    def start(self) -> None:
        argv = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"]
        sync = "on" if self.durable else "off"
        options = {"unix_socket_directories": str(self.folder), "fsync": sync, "full_page_writes": sync}
        argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, **self._account)  # type: ignore[call-overload]
        deadline = time.monotonic() + START_TIMEOUT_SECONDS  # noqa: TID251 - a real server, a real deadline
        while True:
            try:
                self.execute("postgres", "SELECT 1")
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:  # noqa: TID251
                    log_tail = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start: {log_tail}") from error
                time.sleep(0.05)  # noqa: TID251 - polled with a deadline
            else:
                return

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, as in a restart by an administrator."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_TIMEOUT_SECONDS)

    def execute(self, database: str, statement: str) -> None:
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=tillwatch dbname={database}", autocommit=True
        ) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def tables(self, database: str) -> set[str]:
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=tillwatch dbname={database}", autocommit=True
        ) as connection:
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name for (name,) in rows}

    def create_database(self, template: str = "template1") -> str:
        self.made += 1
        name = f"test_{self.made}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server, shared by the session. Fails when PostgreSQL is not installed."""
    folder_of_programs = programs()
    if folder_of_programs is None:
        pytest.fail("PostgreSQL is not installed; tests/packages.sh installs it")
    folder = Path(tempfile.mkdtemp(prefix="tillwatch-postgres-"))
    server = Postgres(folder=folder, bin=folder_of_programs, port=free_port())
    if os.geteuid() == 0:
        # The server refuses to run as root.
        account = pwd.getpwnam(SERVER_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)
        server._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": folder}
    server.run(
        str(server.bin / "initdb"), "-D", str(folder / "data"), "-U", "tillwatch", "-A", "trust", "-E", "UTF8",
        "--locale=C.UTF-8", "--no-sync",
    )  # fmt: skip
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)
