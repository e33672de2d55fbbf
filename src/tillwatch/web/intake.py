"""The short way for alerts: `POST /api/v2/alerts` answered right behind the guard, without threads or dependencies.

A storm comes through this door, and the framework's general way costs several times the work of storing an alert.
The route in `api/alertmanager.py` documents the same address and is what answers when this layer is left out.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tillwatch.errors import TillwatchError
from tillwatch.web.services import Ingest

PATH = "/api/v2/alerts"
#: How many items of the batch were set aside.
QUARANTINE_HEADER = "X-Tillwatch-Quarantined"
#: A larger body is parsed on a thread: the pages must not wait for it.
MAX_PARSED_IN_PLACE_BYTES = 65_536


class Intake:
    """Takes alerts and passes everything else on. `failed` words an error as the rest of the application does."""

    def __init__(self, app: ASGIApp, *, ingest: Ingest, failed: Callable[[Request, TillwatchError], Response]) -> None:
        self._app = app
        self._ingest = ingest
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        body = (await receive())["body"]
        try:
            if len(body) > MAX_PARSED_IN_PLACE_BYTES:
                submitted = await asyncio.to_thread(self._ingest.submit_v2, body)
            else:
                submitted = self._ingest.submit_v2(body)
            receipt = await asyncio.wrap_future(submitted)
            answer = Response(status_code=HTTPStatus.OK, headers={QUARANTINE_HEADER: str(receipt.quarantined)})
        except TillwatchError as error:
            answer = self._failed(Request(scope, receive), error)
        await answer(scope, receive, send)
