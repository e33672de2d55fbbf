"""What pages stand on: style sheet and script, the live stream, and signing in beyond loopback."""

import hmac
from http import HTTPStatus
from typing import cast

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response, StreamingResponse

from tillwatch.web.assets import load_assets
from tillwatch.web.handling import FormHere, PagesHere
from tillwatch.web.live import Pulse
from tillwatch.web.security import SESSION_COOKIE, Policy

router = APIRouter(include_in_schema=False)

_ASSETS = load_assets()
#: The address changes with the content, so a copy may be kept for good.
_IMMUTABLE = "public, max-age=31536000, immutable"


@router.get("/static/{name}")
def asset(request: Request, name: str) -> Response:
    found = _ASSETS.get(name)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = {"Cache-Control": _IMMUTABLE, "ETag": f'"{found.etag}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)


@router.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for it whatever the page says."""
    return Response(_ASSETS["icon.svg"].body, media_type=_ASSETS["icon.svg"].media_type)


@router.get("/events")
async def events(request: Request) -> Response:
    """Server-sent events for live pages. 503 when too many listen: such a page says that it is not live."""
    pulse = cast(Pulse, request.app.state.pulse)
    if pulse.full:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many live pages are open; this one refreshes by hand")
    return StreamingResponse(
        pulse.events(request.headers.get("last-event-id")),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.get("/sign-in")
def sign_in(request: Request, pages: PagesHere) -> Response:
    return pages.html(request, "sign_in.html", {"wrong": False}, bare=True)


@router.post("/sign-in")
def signed_in(request: Request, pages: PagesHere, form: FormHere) -> Response:
    """The token once, then a cookie that proves it was shown."""
    policy = Policy(loopback=False, token=pages.services.token)
    if not policy.token or not hmac.compare_digest(form.optional("token").encode(), policy.token.encode()):
        return pages.html(request, "sign_in.html", {"wrong": True}, status=HTTPStatus.FORBIDDEN, bare=True)
    response = pages.redirect(request, "/")
    response.set_cookie(
        SESSION_COOKIE, policy.session(), httponly=True, samesite="lax", secure=request.url.scheme == "https", path="/"
    )
    return response
