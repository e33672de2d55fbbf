"""A wrong password costs exactly one login attempt, however many probes need the system and however often we restart."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.support.endpoints import serving

from tillwatch.clock import ManualClock
from tillwatch.config.load import load
from tillwatch.lab.erp import Erp
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Alert
from tillwatch.model.probe import Outcome
from tillwatch.probers.registry import builtin
from tillwatch.probers.runner import ProbeRunner
from tillwatch.sources import registry
from tillwatch.store.breakers import StoredBreaker
from tillwatch.store.db import Database

ROUTES = "route: {receiver: ops}\nreceivers:\n  - {id: ops, channels: [hook]}\n"
CHAIN = """\
chain: {{id: demo, timezone: Asia/Shanghai, currency: CNY}}
systems:
  - {{id: erp, {system}, password: "${{env:ERP_PASSWORD}}"}}
channels:
  - {{id: hook, kind: webhook, url: "http://hook.example"}}
"""
WRONG = "falsch-4711"


class Watch:
    """A chain with one system, probed in every way that needs its connection; `again` is a restart."""

    def __init__(self, root: Path, database: Database, clock: ManualClock, *, system: str, probes: str) -> None:
        files = {
            "tillwatch.yaml": CHAIN.format(system=system),
            "alerts/routes.yaml": ROUTES,
            "probes/all.yaml": f"probes:\n{probes}",
        }
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        self.config = load(root, environment={"ERP_PASSWORD": WRONG})
        self.database, self.clock = database, clock
        self.alerts: list[str] = []

    def rounds(self, count: int) -> None:
        sources = registry.build(self.config, clock=self.clock, breakers=StoredBreaker(self.database, clock=self.clock))
        runner = ProbeRunner(
            self.config,
            builtin(),
            sources,
            database=self.database,
            clock=self.clock,
            on_verdict=self._take,
            metrics=Metrics(),
        )
        for _ in range(count):
            self.clock.advance(60)
            for result in runner.run_now([probe.id for probe in self.config.probes]):
                assert result.outcome is Outcome.FAILED, result.log
                assert WRONG not in repr(result)
        sources.close()

    def _take(self, connection: Connection, alerts: Sequence[Alert], now: datetime) -> None:  # noqa: ARG002
        self.alerts += [f"{alert.name} {alert.labels['probe']}" for alert in alerts]
        assert WRONG not in repr(alerts)


class LoginCounter(socketserver.ThreadingTCPServer):
    """Passes everything on to the ERP and counts the logins in it."""

    daemon_threads = allow_reuse_address = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.upstream = port
        self.logins = 0


class _Pass(socketserver.BaseRequestHandler):
    server: LoginCounter

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as erp:
            back = threading.Thread(target=self._back, args=(erp,), daemon=True)
            back.start()
            while data := self.request.recv(65536):
                self.server.logins += data.count(b"common.db.login")
                erp.sendall(data)
            erp.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, erp: socket.socket) -> None:
        try:
            while data := erp.recv(65536):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def counted_erp(erp: Erp) -> Iterator[LoginCounter]:
    server = LoginCounter(erp.port)
    with serving(server):
        yield server


def test_a_real_erp_sees_one_login_with_a_wrong_password(
    tmp_path: Path, sqlite_database: Database, clock: ManualClock, counted_erp: LoginCounter, erp: Erp
) -> None:
    url = f"http://127.0.0.1:{counted_erp.server_address[1]}"
    datasets = 'datasets: {orders: {model: sale.sale, reference_prefix: "CY-"}}'
    watch = Watch(
        tmp_path / "chain",
        sqlite_database,
        clock,
        # Not the user of the other tests: Tryton itself holds a user back after wrong passwords.
        system=f'source: tryton, url: "{url}", database: {erp.database}, user: nobody-else, {datasets}',
        probes="""\
  - {id: erp-login, prober: source, system: erp, every: 60s, timeout: 30s, fail_after: 2}
  - {id: erp-fresh, prober: freshness, system: erp, every: 60s, timeout: 30s, fail_after: 2, options: {dataset: orders, max_age: 1h}}
""",
    )
    watch.rounds(2)
    watch.rounds(2)
    assert counted_erp.logins == 1
    assert set(watch.alerts) == {"CredentialsRefused erp-login", "CredentialsRefused erp-fresh"}


class Refusing(socketserver.ThreadingTCPServer):
    """A PostgreSQL that asks for a password, counts it and refuses it."""

    daemon_threads = allow_reuse_address = True
    block_on_close = False
    passwords = 0


class _Refuse(socketserver.BaseRequestHandler):
    server: Refusing

    def _message(self) -> bytes:
        (length,) = struct.unpack("!I", self.request.recv(4))
        return bytes(self.request.recv(length - 4))

    def handle(self) -> None:
        if self._message()[:4] == struct.pack("!I", 80877103):  # SSLRequest
            self.request.sendall(b"N")
            self._message()
        self.request.sendall(b"R" + struct.pack("!II", 8, 3))  # AuthenticationCleartextPassword
        assert self.request.recv(1) == b"p"
        self._message()
        self.server.passwords += 1
        fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "till"\0\0'
        self.request.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    server = Refusing(("127.0.0.1", 0), _Refuse)
    with serving(server):
        yield server


def test_a_database_sees_one_login_with_a_wrong_password_although_all_probes_start_at_once(
    tmp_path: Path, sqlite_database: Database, clock: ManualClock, refusing: Refusing
) -> None:
    port: Any = refusing.server_address[1]
    watch = Watch(
        tmp_path / "chain",
        sqlite_database,
        clock,
        system=f'source: sql, url: "postgresql+psycopg://till@127.0.0.1:{port}/shop", datasets: {{orders: {{table: orders}}}}',
        probes="".join(
            f"  - {{id: p{number}, system: erp, every: 60s, timeout: 30s, fail_after: 1, {kind}}}\n"
            for number, kind in enumerate(
                ["prober: sql", "prober: source", "prober: freshness, options: {dataset: orders, max_age: 1h}"] * 3
            )
        ),
    )
    watch.rounds(2)
    watch.rounds(1)
    assert refusing.passwords == 1
    assert set(watch.alerts) == {f"CredentialsRefused p{number}" for number in range(9)}
