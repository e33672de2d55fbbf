"""Small servers on loopback for probes to look at: well-behaved, broken, silent; and a certificate authority."""

import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest

Reply = Callable[[BaseHTTPRequestHandler], None]


def closed_port() -> int:
    """A port nobody listens on: it was free a moment ago and connecting to it is refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """Run `server` on a thread and give its port."""
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index,misc]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or refuses our certificate, is part of the tests."""


def http_server(reply: Reply, *, tls: ssl.SSLContext | None = None, buffered: bool = False) -> socketserver.BaseServer:
    """`buffered` sends an answer in one piece: in two, a kept connection waits 40 ms for the second."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1 if buffered else 0

        def do_GET(self) -> None:
            reply(self)

        do_HEAD = do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Tests have their own eyes."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


def send(handler: BaseHTTPRequestHandler, status: int, body: str | bytes = b"", **headers: str) -> None:
    content = body.encode() if isinstance(body, str) else body
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)


class _Silent(socketserver.ThreadingTCPServer):
    """Accepts, reads, says nothing until the other side leaves."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is part of the tests."""


class _Listen(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while self.request.recv(4096):
                pass
        except OSError:
            return


class _Banner(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall("220 收银服务 ready\r\n".encode())
        line = self.request.recv(4096)
        self.request.sendall(b"echo " + line)


class _Names(socketserver.BaseRequestHandler):
    """A name server that knows `erp.example`."""

    def handle(self) -> None:
        data, sender = self.request
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        name = question.question[0].name.to_text()
        if name == "erp.example.":
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "10.0.0.5", "10.0.0.6"))
        elif name == "silent.example.":
            return
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        sender.sendto(answer.to_wire(), self.client_address)


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Ports on 127.0.0.1."""

    http: int
    hanging: int
    silent: int
    banner: int
    names: int
    closed: int


def _well(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, '{"status": "ok"}', Content_Type="application/json", Date="Tue, 24 Nov 2026 03:00:00 GMT")


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Endpoints]:
    """One of each, for the whole session. None of them keeps state."""
    leave = threading.Event()
    with ExitStack() as stack:
        stack.callback(leave.set)
        yield Endpoints(
            http=stack.enter_context(serving(http_server(_well))),
            hanging=stack.enter_context(serving(http_server(lambda _: _wait(leave)))),
            silent=stack.enter_context(serving(_Silent(("127.0.0.1", 0), _Listen))),
            banner=stack.enter_context(serving(_Silent(("127.0.0.1", 0), _Banner))),
            names=stack.enter_context(serving(socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Names))),
            closed=closed_port(),
        )


def _wait(leave: threading.Event) -> None:
    leave.wait(60)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority of ours that issues for 127.0.0.1 and localhost."""

    folder: Path
    ca_file: Path

    def issue(self, name: str, *, days: int) -> ssl.SSLContext:
        """A server context whose certificate ends in `days` days; negative means it has ended already."""
        key, request, certificate = (self.folder / f"{name}.{suffix}" for suffix in ("key", "csr", "pem"))
        if not certificate.exists():
            _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
                     "-out", str(request), "-subj", f"/CN={name}")  # fmt: skip
            names = self.folder / f"{name}.ext"
            names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
            _openssl("x509", "-req", "-in", str(request), "-CA", str(self.ca_file), "-CAkey",
                     str(self.folder / "ca.key"), "-days", str(days), "-extfile", str(names), "-out",
                     str(certificate), "-set_serial", str(abs(hash(name)) % 10**9 + 2))  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    ca_file = folder / "ca.pem"
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             str(folder / "ca.key"), "-out", str(ca_file), "-days", "3650", "-subj", "/CN=test authority",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    return Authority(folder=folder, ca_file=ca_file)
