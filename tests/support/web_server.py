"""A real server on a free port in a thread, and Debian's Chromium to look at it."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
import uvicorn

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.web.app import create_app
from tillwatch.web.server import WebServer
from tillwatch.web.services import Services

CHROMIUM = shutil.which("chromium")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
START_SECONDS = 20.0
STOP_SECONDS = 10


class BrowserClock(ManualClock):
    """Its time stands still, so that pictures are the same every time, but waiting is real."""

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    async def wait(self, seconds: float) -> None:
        await SystemClock().wait(seconds)


class Served(Protocol):
    """Whatever answers the questions of pages: a world of fakes, or the product."""

    def services(self) -> Services: ...


@contextmanager
def serving(world: Served) -> Iterator[str]:
    """The address of a server that answers from `world`."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    started = threading.Event()

    class Server(WebServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    app = create_app(world.services())
    server = Server(app, uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=STOP_SECONDS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert started.wait(START_SECONDS), "the server did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()


@pytest.fixture
def served() -> Iterator[Callable[[Served], str]]:
    """Serve a world for the length of the test."""
    open_servers = []

    def serve(world: Served) -> str:
        server = serving(world)
        open_servers.append(server)
        return server.__enter__()

    yield serve
    for server in reversed(open_servers):
        server.__exit__(None, None, None)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures of this run go."""
    folder = tmp_path / "shots"
    folder.mkdir()
    return folder
