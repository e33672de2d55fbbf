"""The HTTP server around the application: uvicorn, but live pages do not hold it up when it stops."""

import socket

import uvicorn
from fastapi import FastAPI

from tillwatch.web.switch import Switch


class WebServer(uvicorn.Server):
    """Ends the live streams first. uvicorn waits for open answers, and a live stream never ends by itself."""

    def __init__(self, app: FastAPI | Switch, config: uvicorn.Config) -> None:
        """`config` was made for `app`."""
        super().__init__(config)
        self._application = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.state.pulse.close()
        await super().shutdown(sockets)
