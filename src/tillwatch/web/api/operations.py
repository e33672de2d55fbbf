"""For machines that watch this one: metrics, health, and blackbox_exporter's `/probe`."""

import dataclasses
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from starlette.responses import JSONResponse, Response

from tillwatch.errors import ConfigError, RefusedError, UsageError
from tillwatch.web.api import documents
from tillwatch.web.handling import ServicesHere

router = APIRouter(tags=["operations"])

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_TARGET_CHARACTERS = 2048


@router.get("/metrics")
def metrics(services: ServicesHere) -> Response:
    return Response(services.metrics.render(), media_type=METRICS_TYPE)


@router.get("/-/healthy")
def healthy() -> dict[str, str]:
    """This process answers. Nothing else is asked: a restart does not heal a database."""
    return {"status": "ok"}


@router.get("/-/ready")
def ready(services: ServicesHere) -> Response:
    """Everything alerts need works: the store answers and no loop is stuck. 503 names what does not."""
    services.records.revision()
    loops = services.watch.loops()
    document = {
        "status": "trouble" if any(loop.problem for loop in loops) else "ok",
        "loops": [
            {"name": loop.name, "last_success": documents.instant(loop.last_success), "problem": loop.problem}
            for loop in loops
        ],
    }
    status = HTTPStatus.SERVICE_UNAVAILABLE if document["status"] == "trouble" else HTTPStatus.OK
    return JSONResponse(document, status_code=status)


@router.post("/-/reload")
def reload(services: ServicesHere) -> Response:
    """Take over the chain directory as it is now. 422 with every problem, and the last good one holds."""
    if services.reload is None:
        raise RefusedError("this process does not reload; restart it")
    try:
        services.reload.reload()
    except ConfigError as error:
        document = {"code": int(HTTPStatus.UNPROCESSABLE_ENTITY), "message": str(error)}
        problems = [dataclasses.asdict(problem) for problem in error.problems]
        return JSONResponse({**document, "problems": problems}, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
    return JSONResponse({"status": "ok"})


@router.get("/probe")
async def probe(
    services: ServicesHere,
    target: Annotated[str, Query(min_length=1, max_length=MAX_TARGET_CHARACTERS)],
    module: Annotated[str, Query(max_length=64)] = "http_2xx",
) -> Response:
    """blackbox_exporter's interface: one measurement of `target`, in text format."""
    try:
        body = await services.probes.drop_in(target, module)
    except UsageError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
    return Response(body, media_type=METRICS_TYPE)
