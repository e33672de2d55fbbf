"""The application behind the socket, exchangeable while requests are under way: each ends where it began."""

import threading
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send


@dataclass(kw_only=True)
class Generation:
    """One application and how many of its requests are under way."""

    app: FastAPI
    _open: int = 0
    _idle: threading.Condition = field(default_factory=threading.Condition)

    def enter(self) -> None:
        with self._idle:
            self._open += 1

    def leave(self) -> None:
        with self._idle:
            self._open -= 1
            self._idle.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether every request has ended, at the latest after so long."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, timeout=seconds)


class Switch:
    """An ASGI application that hands every request to the newest application."""

    def __init__(self, app: FastAPI) -> None:
        self._current = Generation(app=app)
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """Of the application that answers now."""
        return self._current.app.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            # The server's life, not one application's.
            await self._current.app(scope, receive, send)
            return
        # Under the lock: a generation that was replaced must know of every request that still goes to it.
        with self._lock:
            generation = self._current
            generation.enter()
        try:
            await generation.app(scope, receive, send)
        finally:
            generation.leave()

    def turn_to(self, app: FastAPI) -> Generation:
        """Let `app` answer from now on. Live pages of the one before end, and connect again. Returns that one."""
        with self._lock:
            before, self._current = self._current, Generation(app=app)
        before.app.state.pulse.close()
        return before
