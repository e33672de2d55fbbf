"""A real MariaDB for the session: its own data directory, a free port on loopback. Skips without server or driver."""

import importlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_TIMEOUT_SECONDS = 60.0


@dataclass
class MariaDb:
    folder: Path
    port: int
    driver: Any
    made: int = 0

    def url(self, database: str) -> str:
        return f"mariadb://tillwatch@127.0.0.1:{self.port}/{database}"

    def connect(self) -> Any:
        return self.driver.connect(
            host="127.0.0.1", port=self.port, user="tillwatch", charset="utf8mb4", autocommit=True, connect_timeout=5
        )

    def execute(self, statement: str, values: Sequence[object] | None = None) -> None:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
        finally:
            connection.close()

    def status(self, name: str) -> int:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW GLOBAL STATUS LIKE %s", (name,))
                return int(cursor.fetchone()[1])
        finally:
            connection.close()

    def create_database(self) -> str:
        self.made += 1
        name = f"test_{self.made}"
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        return name


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A running MariaDB server, shared by the session."""
    server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if server is None or install is None:
        pytest.fail("MariaDB is not installed; tests/packages.sh installs it")
    try:
        driver = importlib.import_module("pymysql")
    except ImportError:
        pytest.fail("the MariaDB driver is not installed; it is in requirements.lock")
    folder = Path(tempfile.mkdtemp(prefix="tillwatch-mariadb-"))
    account = ["--user=mysql"] if os.geteuid() == 0 else []
    if account:
        shutil.chown(folder, "mysql", "mysql")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    bootstrap = folder / "grants.sql"
    bootstrap.write_text(
        "CREATE USER 'tillwatch'@'127.0.0.1';\nGRANT ALL ON *.* TO 'tillwatch'@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    data = f"--datadir={folder / 'data'}"
    subprocess.run(
        [install, "--no-defaults", data, "--skip-test-db", "--auth-root-authentication-method=normal", *account],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    bootstrap.chmod(0o644)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [
                server, "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1", *account,
                f"--socket={folder / 'server.sock'}", f"--pid-file={folder / 'server.pid'}",
                "--skip-name-resolve", "--default-time-zone=+05:00", "--innodb-flush-log-at-trx-commit=0", f"--init-file={bootstrap}",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
    running = MariaDb(folder=folder, port=port, driver=driver)
    try:
        _wait(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: MariaDb, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS  # noqa: TID251 - a real server, a real deadline
    while True:
        try:
            server.connect().close()
        except server.driver.err.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:  # noqa: TID251
                tail = (server.folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"MariaDB did not start: {tail}") from error
            time.sleep(0.05)  # noqa: TID251 - polled with a deadline
        else:
            return
