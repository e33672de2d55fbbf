"""`tillwatch serve` as a process of its own, to be killed, starved and started again on the same store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from tests.support.postgres import free_port
from tests.support.receiver import Receiver
from tillwatch.clock import SystemClock

DEADLINE_SECONDS = 60.0

CHAIN = """
chain: {{id: crash, name: {{en: Crash, zh: 崩溃}}, timezone: Asia/Shanghai, locale: en, currency: CNY}}
store: {{url: "{store}"}}
listen: {{host: 127.0.0.1, port: {port}}}
channels:
  - {{id: hook, kind: webhook, url: "{hook}"}}
"""
ROUTES = """
route: {{receiver: ops, group_wait: {group_wait}s, group_interval: 5s, repeat_interval: 4h}}
receivers:
  - {{id: ops, channels: [hook]}}
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One message the channel got."""

    kind: str
    #: The notification's id: what a receiver drops repeats by.
    key: str
    possible_repeat: bool
    #: The alerts it speaks of.
    names: tuple[str, ...]


@dataclass
class RealServer:
    """One server and the chain directory it serves. `prefix` is put in front of its command line."""

    root: Path
    receiver: Receiver
    store: str = "sqlite:///store.db"
    hook: str = ""
    group_wait_seconds: int = 0
    prefix: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_chain(self) -> None:
        (self.root / "alerts").mkdir(parents=True, exist_ok=True)
        hook = self.hook or f"http://{self.receiver.address}/hook"
        (self.root / "tillwatch.yaml").write_text(
            CHAIN.format(store=self.store, port=self.port, hook=hook), encoding="utf-8"
        )
        routes = ROUTES.format(group_wait=self.group_wait_seconds)
        (self.root / "alerts" / "routes.yaml").write_text(routes, encoding="utf-8")

    def start(self) -> None:
        self.write_chain()
        path = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": path, **self.environment}
        argv = [*self.prefix, sys.executable, "-m", "tillwatch", "-C", str(self.root), "serve"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        self.wait("answer", self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.log()[-2000:]}"
        try:
            return httpx.get(f"{self.url}/-/healthy", timeout=5).is_success
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8", errors="replace")

    def end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def post(self, *names: str, over: bool = False, began: datetime | None = None) -> int:
        """Send one alert a name; returns the status that the sender saw."""
        now = SystemClock().now()
        ends_at = now if over else now + timedelta(hours=12)
        times = {"startsAt": (began or BEGUN).isoformat(), "endsAt": ends_at.isoformat()}
        alerts = [{"labels": {"alertname": name, "severity": "critical", "system": name}, **times} for name in names]
        return httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=30).status_code

    def told(self) -> list[Told]:
        """Everything the channel got, in order."""
        found = []
        for request in list(self.receiver.requests):
            body = json.loads(request.body)
            names = tuple(one["labels"]["alertname"] for one in body["incident"]["alerts"])
            found.append(
                Told(
                    kind=body["kind"],
                    key=request.headers["idempotency-key"],
                    possible_repeat=body["possible_repeat"],
                    names=names,
                )
            )
        return found

    def kinds(self) -> list[str]:
        """The kind of every message, repeats included."""
        return [one.kind for one in self.told()]

    def names_told(self, kind: str = "opened") -> set[str]:
        return {name for one in self.told() if one.kind == kind for name in one.names}

    def delivered(self, at_least: int) -> bool:
        """True once the store holds that so many messages were delivered."""
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        counts = [line.rsplit(" ", 1)[1] for line in text.splitlines() if _DELIVERED in line]
        return sum(float(count) for count in counts) >= at_least

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> float:
        """Poll until it holds; returns the seconds that took."""
        began = time.monotonic()  # noqa: TID251 - a real server, a real deadline
        while not condition():
            waited = time.monotonic() - began  # noqa: TID251
            assert waited < seconds, f"no {what} within {seconds:g} s: {self.told()}\n{self.log()[-2000:]}"
            time.sleep(0.05)  # noqa: TID251 - polled with a deadline
        return time.monotonic() - began  # noqa: TID251

    def wait_for(self, kind: str) -> None:
        self.wait(kind, lambda: kind in self.kinds())


_DELIVERED = 'result="delivered"'
BEGUN = SystemClock().now() - timedelta(minutes=1)
