"""Six crashes that cost a lone Alertmanager messages or make it repeat them; here a real server is killed in each.

Nobody sends anything again unless the case says so: what was answered with 200 is enough.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.support.postgres import free_port
from tests.support.receiver import Received, Receiver

from tillwatch.clock import SystemClock

DEADLINE_SECONDS = 60.0
#: Long enough that a kill right after the answer falls into it.
GROUP_WAIT_SECONDS = 2

CHAIN = """
chain: {{id: crash, name: {{en: Crash, zh: 崩溃}}, timezone: Asia/Shanghai, locale: en, currency: CNY}}
store: {{url: "sqlite:///store.db"}}
listen: {{host: 127.0.0.1, port: {port}}}
channels:
  - {{id: hook, kind: webhook, url: "http://{hook}/hook"}}
"""
ROUTES = f"""
route: {{receiver: ops, group_wait: {GROUP_WAIT_SECONDS}s, group_interval: 5s, repeat_interval: 4h}}
receivers:
  - {{id: ops, channels: [hook]}}
"""


@dataclass
class Server:
    """`tillwatch serve`, to be killed and started again on the same store."""

    root: Path
    url: str
    receiver: Receiver
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        argv = [sys.executable, "-m", "tillwatch", "-C", str(self.root), "serve"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        self.wait("answer", self.answers)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/healthy", timeout=5).is_success
        except httpx.TransportError:
            return False

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(60)

    def post(self, *, over: bool) -> None:
        now = SystemClock().now()
        alert = {
            "labels": {"alertname": "PosErpLinkDown", "severity": "critical"},
            "startsAt": BEGUN.isoformat(),
            "endsAt": (now if over else now + timedelta(hours=1)).isoformat(),
        }
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert], timeout=30).raise_for_status()

    def kinds(self) -> list[str]:
        """What the channel got, in order; a copy with the id of an earlier message counts once."""
        told = {request.headers["idempotency-key"]: json.loads(request.body)["kind"] for request in self.told()}
        return list(told.values())

    def told(self) -> list[Received]:
        return list(self.receiver.requests)

    def wait(self, what: str, condition: object) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS  # noqa: TID251 - a real server, a real deadline
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"no {what}: {self.kinds()}"  # noqa: TID251
            time.sleep(0.05)  # noqa: TID251 - polled with a deadline

    def wait_for(self, kind: str) -> None:
        self.wait(kind, lambda: kind in self.kinds())


BEGUN = SystemClock().now() - timedelta(minutes=1)


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[Server]:
    port = free_port()
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN.format(port=port, hook=receiver.address), encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    made = Server(root=tmp_path, url=f"http://127.0.0.1:{port}", receiver=receiver)
    made.start()
    yield made
    made.end(signal.SIGKILL)


def test_t1_a_source_that_repeats_itself_after_a_crash_is_not_told_twice(server: Server) -> None:
    server.post(over=False)
    server.wait_for("opened")
    server.wait("delivered mark", lambda: 'result="delivered"' in httpx.get(f"{server.url}/metrics", timeout=10).text)
    server.end(signal.SIGKILL)
    server.start()
    server.post(over=False)
    server.post(over=True)
    server.wait_for("resolved")
    assert server.kinds() == ["opened", "resolved"]
    assert len(server.told()) == 2


def test_t2_what_was_answered_200_is_told_though_the_crash_fell_into_group_wait(server: Server) -> None:
    server.post(over=False)
    server.end(signal.SIGKILL)
    assert server.kinds() == []
    server.start()
    server.wait_for("opened")
    assert server.kinds() == ["opened"]


@pytest.mark.parametrize("resends", [0, 2], ids=["t3_t4_source_silent", "t5_t6_source_sends_the_end_twice"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
def test_an_end_that_was_answered_200_is_told_after_the_crash(
    server: Server, how: signal.Signals, resends: int
) -> None:
    server.post(over=False)
    server.wait_for("opened")
    server.post(over=True)
    server.end(how)
    server.start()
    for _ in range(resends):
        server.post(over=True)
    server.wait_for("resolved")
    assert server.kinds() == ["opened", "resolved"]
