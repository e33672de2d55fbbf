"""The product as its own process: `tillwatch serve` on a small chain directory, spoken to over HTTP."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

START_SECONDS = 60.0
STOP_SECONDS = 40.0
CHAIN = """\
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}
sites: [{id: chaoyang}]
systems: [{id: erp, source: sql, url: "sqlite:///erp.db"}]
channels: [{id: ops, kind: webhook, url: "http://127.0.0.1:9/"}]
"""
ROUTES = """\
route: {receiver: ops}
receivers: [{id: ops, channels: [ops]}]
"""
_LISTENING = re.compile(r"tillwatch: \S+ on (http://\S+)/")


@dataclass
class Server:
    """A running `tillwatch serve`."""

    root: Path
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    address: str = ""
    _heard: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.said.append(line.rstrip())
                self._heard.notify_all()
        # It has ended; whoever waits for more is told now.
        self.process.wait()
        with self._heard:
            self._heard.notify_all()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Until the server has said `text` so often."""

        def heard() -> bool:
            return sum(text in line for line in self.said) >= times or self.process.poll() is not None

        with self._heard:
            self._heard.wait_for(heard, timeout=START_SECONDS)
            assert sum(text in line for line in self.said) >= times, "\n".join(self.said)

    def write(self, routes: str) -> None:
        (self.root / "alerts/routes.yaml").write_text(routes, encoding="utf-8")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=30, trust_env=False)


@contextmanager
def serving_process(root: Path, *, routes: str = ROUTES, chain: str = CHAIN) -> Iterator[Server]:
    """Serve a chain directory written to `root` until the end of the block."""
    (root / "alerts").mkdir(parents=True)
    (root / "tillwatch.yaml").write_text(chain, encoding="utf-8")
    (root / "alerts/routes.yaml").write_text(routes, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tillwatch", "-C", str(root), "serve", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(root=root, process=process)
    reader = threading.Thread(target=server.listen, daemon=True)
    reader.start()
    try:
        server.wait_for("tillwatch: demo on http")
        server.address = next(found[1] for line in server.said if (found := _LISTENING.match(line)))
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join(STOP_SECONDS)
            assert process.stderr is not None
            process.stderr.close()
