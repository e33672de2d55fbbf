"""Durable ingest (SQLite, synchronous=FULL) beside Debian's real Alertmanager (memory only): same client, one run.

Figures, not tests: nothing fails for being slow. `make bench` prints them; every ratio is theirs to ours. The client
speaks HTTP over plain sockets, because a comfortable client library costs more than the servers it measures.
"""

import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.postgres import Postgres, free_port
from tests.support.receiver import Receiver

from tillwatch.clock import SystemClock
from tillwatch.lab.daemon import python_environment

DEADLINE_SECONDS = 30.0
CLOCK = SystemClock()
#: (connections, alerts in one POST, POSTs): singles, what Prometheus sends, and both at once.
LOADS = ((1, 1, 1_000), (4, 1, 2_000), (1, 20, 300), (4, 20, 600), (2, 256, 80))
STORM_ALERTS = 100_096
STORM_BATCH = 256

CHAIN = """\
chain: {id: bench, timezone: Asia/Shanghai, currency: CNY}
store: {url: "STORE"}
listen: {host: 127.0.0.1, port: PORT}
channels: [{id: later, kind: webhook, url: "HOOK"}]
"""
ROUTES = """\
route: {receiver: later, group_wait: 1h, routes: [{matchers: ['severity="critical"'], receiver: now, group_wait: 0s}]}
receivers: [{id: later, channels: [later]}, {id: now, channels: [later]}]
"""
ALERTMANAGER = """\
route: {receiver: nobody, group_by: ['...']}
receivers: [{name: nobody}]
"""


@dataclass
class Server:
    """One server under load."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def post(self, connection: socket.socket, alerts: list[dict[str, object]]) -> None:
        body = json.dumps(alerts).encode()
        head = f"POST /api/v2/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.sendall(f"{head}\r\n\r\n".encode() + body)
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def get(self, path: str) -> float:
        """Seconds until the whole answer was there."""
        with self.connect() as connection:
            begun = CLOCK.monotonic()
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            first = connection.recv(65_536)
            assert first.startswith(b"HTTP/1.1 200"), first
            while connection.recv(65_536):
                pass
            return CLOCK.monotonic() - begun

    def batch(self, size: int) -> list[dict[str, object]]:
        return [{"labels": _labels("Bench", next(self.numbers))} for _ in range(size)]

    @property
    def peak_mebibytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _labels(name: str, number: int, severity: str = "warning") -> dict[str, str]:
    return {"alertname": name, "instance": str(number), "severity": severity, "site": "s"}


@contextmanager
def running(
    name: str, folder: Path, *, store: str = "sqlite:///var/tillwatch.db", hook: str = "http://127.0.0.1:9/"
) -> Iterator[Server]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if name == "alertmanager":
        program = shutil.which("prometheus-alertmanager")
        assert program, "tests/packages.sh installs prometheus-alertmanager"
        (folder / "alertmanager.yml").write_text(ALERTMANAGER, encoding="utf-8")
        argv = [program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    else:
        (folder / "alerts").mkdir()
        chain = CHAIN.replace("PORT", str(port)).replace("HOOK", hook).replace("STORE", store)
        (folder / "tillwatch.yaml").write_text(chain, encoding="utf-8")
        (folder / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
        argv = [sys.executable, "-m", "tillwatch", "-C", str(folder), "serve"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=python_environment())
    server = Server(name, port, process)
    try:
        deadline = CLOCK.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                server.connect().close()
                break
            except OSError:
                assert CLOCK.monotonic() < deadline, (folder / "log").read_text()
                CLOCK.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def load(server: Server, connections: int, size: int, posts: int) -> tuple[float, float, float]:
    """Alerts a second, and the median and the 99th percentile of one POST in milliseconds."""
    times: list[float] = []

    def work() -> None:
        with server.connect() as connection:
            for _ in range(posts // connections):
                alerts = server.batch(size)
                begun = CLOCK.monotonic()
                server.post(connection, alerts)
                times.append(CLOCK.monotonic() - begun)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    begun = CLOCK.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = CLOCK.monotonic() - begun
    assert len(times) == posts // connections * connections
    return len(times) * size / seconds, *(1000 * one for one in quantiles(times))


def quantiles(times: list[float]) -> tuple[float, float]:
    times = sorted(times)
    return times[len(times) // 2], times[int(len(times) * 0.99)]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def put(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return put


@pytest.mark.timeout(900)
def test_ingest_beside_alertmanager(tmp_path: Path, say: Callable[[str], None], postgres: Postgres) -> None:
    postgres.stop()
    postgres.durable = True
    postgres.start()
    stores = {"tillwatch": "sqlite:///var/tillwatch.db", "tillwatch on PostgreSQL": ""}
    say("\nconnections x alerts a POST: alerts/s, p50 / p99 in ms; every alert is new and an incident of its own")
    for connections, size, posts in LOADS:
        found = {}
        for name, store in {"alertmanager": "", **stores}.items():
            folder = tmp_path / f"{name.replace(' ', '-')}-{connections}-{size}"
            url = store or postgres.url(postgres.create_database())
            with running(name, folder, store=url) as server:
                load(server, 1, size, 3)
                found[name] = load(server, connections, size, posts)
        base = found["alertmanager"][0]
        said = "; ".join(
            f"{name} {rate:,.0f}/s, {median:.2f} / {worst:.2f} ms"
            + (f" (Alertmanager x {base / rate:.1f})" if rate != base else "")
            for name, (rate, median, worst) in found.items()
        )
        say(f"{connections} x {size}: {said}")


@pytest.mark.timeout(900)
def test_a_storm_and_a_critical_alert_in_it(tmp_path: Path, say: Callable[[str], None], receiver: Receiver) -> None:
    """100,000 alerts, a critical one after half of them, and the pages afterwards."""
    with running("tillwatch", tmp_path / "storm", hook=f"http://{receiver.address}/") as server:
        quiet: list[float] = []
        with server.connect() as connection:
            for number in range(20):
                quiet.append(_until_told(server, connection, receiver, f"Quiet{number}", number))
            begun = CLOCK.monotonic()
            told = 0.0
            for number in range(STORM_ALERTS // STORM_BATCH):
                server.post(connection, server.batch(STORM_BATCH))
                if number == STORM_ALERTS // STORM_BATCH // 2:
                    told = _until_told(server, connection, receiver, "Critical", 999_999)
            seconds = CLOCK.monotonic() - begun
        pages = {path: server.get(path) for path in ("/incidents", "/", "/api/v2/alerts", "/api/v1/incidents")}
        median, worst = quantiles(quiet)
        say(f"\nfire to webhook on a quiet day: p50 {1000 * median:.0f} ms, p99 {1000 * worst:.0f} ms (20 alerts)")
        say(f"storm: {STORM_ALERTS:,} alerts in {seconds:.1f} s, peak {server.peak_mebibytes:.0f} MiB")
        say(f"a critical alert in the middle of it reached its channel after {told:.2f} s")
        say("afterwards " + ", ".join(f"{path} {1000 * one:.0f} ms" for path, one in pages.items()))


def _until_told(server: Server, connection: socket.socket, receiver: Receiver, name: str, number: int) -> float:
    begun = CLOCK.monotonic()
    server.post(connection, [{"labels": _labels(name, 10_000_000 + number, "critical")}])
    said = f'"{10_000_000 + number}"'.encode()
    while not any(said in request.body or name.encode() in request.body for request in receiver.requests):
        assert CLOCK.monotonic() < begun + 60, "nobody was told within a minute"
        CLOCK.sleep(0.001)
    receiver.requests.clear()
    return CLOCK.monotonic() - begun
