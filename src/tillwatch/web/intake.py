"""The short way for alerts: `POST /api/v2/alerts` answered right behind the guard, without threads or dependencies.

A storm comes through this door, and the framework's general way costs several times the work of storing an alert.
The route in `api/alertmanager.py` documents the same address and is what answers when this layer is left out.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.errors import StoreError, TillwatchError
from tillwatch.web.services import Ingest

PATH = "/api/v2/alerts"
#: How many items of the batch were set aside.
QUARANTINE_HEADER = "X-Tillwatch-Quarantined"
#: The first few say what is wrong with the rest.
MAX_REASONS = 5
#: A larger body is parsed on a thread: the pages must not wait for it.
MAX_PARSED_IN_PLACE_BYTES = 65_536
#: A store that says nothing for this long is reported as away. What it stores later all the same, it stores once: the
#: sender's next copy of the alert finds it there.
ANSWER_SECONDS = 5.0


def answered(receipt: IngestReceipt) -> Response:
    """200 as soon as anything was stored: Prometheus takes a refused batch for dropped. Else 400 with the reasons."""
    headers = {QUARANTINE_HEADER: str(receipt.quarantined)}
    if receipt.stored or not receipt.quarantined:
        return Response(status_code=HTTPStatus.OK, headers=headers)
    document = {"code": int(HTTPStatus.BAD_REQUEST), "message": "; ".join(receipt.reasons[:MAX_REASONS])}
    return JSONResponse(document, status_code=HTTPStatus.BAD_REQUEST, headers=headers)


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
            answer = answered(await _in_time(submitted))
        except TillwatchError as error:
            answer = self._failed(Request(scope, receive), error)
        await answer(scope, receive, send)


async def _in_time(submitted: Future[IngestReceipt]) -> IngestReceipt:
    """The receipt. Raises StoreError when it is not there in time."""
    waiting = asyncio.wrap_future(submitted)
    done, _ = await asyncio.wait({waiting}, timeout=ANSWER_SECONDS)
    if not done:
        # Whatever comes of it, somebody looked.
        waiting.add_done_callback(lambda late: late.exception())
        raise StoreError(f"the store has not answered within {ANSWER_SECONDS:g} s; send again")
    return waiting.result()
