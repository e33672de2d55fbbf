"""A stretch of network of ours in front of a real server, which can be held: packets wait, connections stay."""

import socket
import socketserver
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Pipe:
    """Copies both ways between a free port of 127.0.0.1 and `target`."""

    def __init__(self, target: int) -> None:
        self._flowing = threading.Event()
        self._flowing.set()
        pipe = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                pipe._carry(self.request, target)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.05}, daemon=True)

    def hold(self) -> None:
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        # Those who carry end when either side goes away, which may be after us.
        socketserver.TCPServer.server_close(self._server)
        self._thread.join()

    def _carry(self, near: socket.socket, target: int) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", target)) as far:
            back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
            back.start()
            self._copy(near, far)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
