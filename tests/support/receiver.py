"""A web receiver of ours that answers as it is told: properly, with errors, with garbage, late or not at all."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

#: How long the server holds a connection it was told to leave hanging, unless the test ends first.
HANG_SECONDS_MAX = 20.0
_MAX_HEAD_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`raw` is written as it is; with `hang` nothing is, with neither the connection is closed without a word."""

    raw: bytes = b""
    hang: bool = False


def answer(status: int, body: str = "", **headers: str) -> Answer:
    content = body.encode()
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Answer(raw="\r\n".join(lines).encode() + b"\r\n\r\n" + content)


@dataclass(frozen=True, kw_only=True)
class Received:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are used up one a request, the last one stays."""

    port: int = 0
    answers: list[Answer] = field(default_factory=lambda: [answer(200, "ok")])
    requests: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def says(self, *answers: Answer) -> None:
        self.answers = list(answers)


def _read(connection: socket.socket) -> Received | None:
    stream = connection.makefile("rb")
    line = stream.readline(_MAX_HEAD_BYTES).decode().strip()
    headers: dict[str, str] = {}
    while (row := stream.readline(_MAX_HEAD_BYTES).decode().strip()) and ":" in row:
        name, _, value = row.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(line=line, headers=headers, body=body) if line else None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, gone with the test."""
    state = Receiver()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(HANG_SECONDS_MAX)
            received = _read(self.request)
            if received is None:
                return
            state.requests.append(received)
            told = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            if told.hang:
                state.released.wait(HANG_SECONDS_MAX)
            elif told.raw:
                # A client may stop reading an answer it finds too long.
                with contextlib.suppress(OSError):
                    self.request.sendall(told.raw)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield state
        state.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def refused_address() -> Iterator[str]:
    """An address nobody listens on, kept for the length of the test so that nobody begins to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
