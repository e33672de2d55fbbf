"""Errors as programs and people read them: what, why, and how to go on."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response

from tillwatch.errors import TillwatchError
from tillwatch.web.handling import FormError, pages_of, status_of, wants_json
from tillwatch.web.security import OPEN_PATHS, Refusal

_log = logging.getLogger(__name__)

#: A client that is told 503 comes back after this long.
RETRY_AFTER_SECONDS = 5


def install(app: FastAPI) -> None:
    """Every error of ours and of the framework gets one shape."""
    app.add_exception_handler(TillwatchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)


def refuse(request: Request, refused: Refusal) -> Response:
    """For the guard, which stands outside the application."""
    if refused.status is HTTPStatus.UNAUTHORIZED and not wants_json(request.url.path):
        return pages_of(request).redirect(request, "/sign-in")
    return answer(request, refused.status, refused.message)


def answer(request: Request, status: HTTPStatus, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    if wants_json(request.url.path):
        response: Response = JSONResponse({"code": int(status), "message": message}, status_code=status)
    else:
        pages = pages_of(request)
        reader = pages.reader(request)
        key = f"error.{int(status)}"
        title = reader.t(key) if reader.t.has(key) else status.phrase
        fix = reader.t(f"error.fix.{int(status)}") if reader.t.has(f"error.fix.{int(status)}") else ""
        values = {"status": int(status), "title": title, "message": message, "fix": fix}
        # Whoever needs no token here is told nothing about the chain either.
        bare = request.url.path.startswith(OPEN_PATHS)
        response = pages.html(request, "error.html", values, reader=reader, status=status, bare=bare)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TillwatchError)
    return failed(request, error)


def failed(request: Request, error: TillwatchError) -> Response:
    """What a request that ended in one of our errors is answered."""
    status = status_of(error, request.method)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("%s %s answered %d: %s", request.method, request.url.path, status, error)
    message = pages_of(request).reader(request).t(error.key) if isinstance(error, FormError) else str(error)
    return answer(request, status, message)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or problem['loc'][0]}: {problem['msg']}"
        for problem in error.errors()
    )
    return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, said)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException | HTTPException)
    status = HTTPStatus(error.status_code)
    message = "" if error.detail == status.phrase else str(error.detail)
    return answer(request, status, message or f"{request.method} {request.url.path}", headers=error.headers)


def broken(request: Request, error: Exception) -> Response:
    """For the guard: an error nobody expected. The log has it whole, the page only its kind and time."""
    _log.error("%s %s broke", request.method, request.url.path, exc_info=error)
    at = pages_of(request).now.isoformat(timespec="seconds")
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__} at {at}")
