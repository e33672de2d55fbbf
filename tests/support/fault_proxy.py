"""A proxy of ours in front of a real JSON-RPC server: it can lose requests, lose answers, and it counts what passes."""

import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
import pytest


@dataclass
class FaultProxy:
    """Forwards every POST to `upstream` unless told to lose it. `url` is where to reach it."""

    upstream: str
    url: str = ""
    #: JSON-RPC method: how often it came in.
    seen: Counter[str] = field(default_factory=Counter)
    _lose_request: Counter[str] = field(default_factory=Counter)
    _lose_answer: Counter[str] = field(default_factory=Counter)

    def lose_request(self, method: str, times: int = 1) -> None:
        """The next `times` calls of `method` never reach the server."""
        self._lose_request[method] += times

    def lose_answer(self, method: str, times: int = 1) -> None:
        """The next `times` calls of `method` are executed, and their answer is lost on the way back."""
        self._lose_answer[method] += times

    def passes(self, method: str) -> bool:
        self.seen[method] += 1
        if self._lose_request[method]:
            self._lose_request[method] -= 1
            return False
        return True

    def answers(self, method: str) -> bool:
        if self._lose_answer[method]:
            self._lose_answer[method] -= 1
            return False
        return True


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: ClassVar[FaultProxy]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        method = str(json.loads(body).get("method", ""))
        if not self.proxy.passes(method):
            self.close_connection = True
            return
        headers = {name: value for name, value in self.headers.items() if name in {"Authorization", "Content-Type"}}
        answer = httpx.post(
            self.proxy.upstream + self.path, content=body, headers=headers, timeout=60.0, trust_env=False
        )
        if not self.proxy.answers(method):
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what matters is in `seen`."""


@pytest.fixture
def fault_proxy() -> Iterator[Any]:
    """A function that puts a proxy in front of a base URL; all proxies end with the test."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(upstream: str) -> FaultProxy:
        proxy = FaultProxy(upstream=upstream)
        handler = type("Handler", (_Handler,), {"proxy": proxy})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return proxy

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
