"""Acknowledging by the link of a message: GET shows and changes nothing, POST acts once. No script, no sign-in.

Chat services and mail scanners open every link they carry, so opening one must not acknowledge anything.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from tillwatch.incident.acks import AckState, Opened
from tillwatch.web.handling import MAX_FORM_FIELDS, BodyHere, PagesHere, cleaned
from tillwatch.web.language import Texts
from tillwatch.web.render import MAX_ACTOR_CHARACTERS
from tillwatch.web.services import Services
from tillwatch.web.views.names import component_name

router = APIRouter(prefix="/ack", include_in_schema=False)

#: The link itself is good or bad; where it is good, its incident decides what can be done.
STATUS: Mapping[AckState, HTTPStatus] = {
    AckState.FOREIGN: HTTPStatus.NOT_FOUND,
    AckState.EXPIRED: HTTPStatus.GONE,
    AckState.OUTDATED: HTTPStatus.GONE,
}
#: How each answer is marked: a shape and a colour of the style sheet.
LEVELS: Mapping[AckState, str] = {
    AckState.READY: "critical",
    AckState.USED: "ok",
    AckState.TAKEN: "ok",
    AckState.RESOLVED: "ok",
    AckState.OUTDATED: "warning",
    AckState.EXPIRED: "warning",
    AckState.FOREIGN: "unknown",
}

#: Longer addresses are not links of ours; they are answered without being looked at.
MAX_TOKEN_CHARACTERS = 200
Token = Annotated[str, Path(max_length=MAX_TOKEN_CHARACTERS)]


@router.get("/{token}")
def show(request: Request, pages: PagesHere, token: Token) -> Response:
    """What the link leads to. Asked any number of times, by anybody, it changes nothing."""
    opened = pages.services.acks.open(token, pages.now)
    return _page(request, pages, opened, STATUS.get(opened.state, HTTPStatus.OK))


@router.post("/{token}")
def acknowledge(request: Request, pages: PagesHere, token: Token, body: BodyHere) -> Response:
    """Needs no cookie: whoever could forge this request has the link already."""
    fields = _fields(body)
    seen = fields.get("seen", "")
    name = cleaned(fields.get("actor", ""), MAX_ACTOR_CHARACTERS)
    opened = pages.services.acks.acknowledge(
        token, seen=int(seen[:10]) if seen.isascii() and seen.isdigit() else -1, name=name, now=pages.now
    )
    if opened.done:
        return pages.redirect(request, f"/ack/{token}", actor=name)
    return _page(request, pages, opened, STATUS.get(opened.state, HTTPStatus.CONFLICT))


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MAX_FORM_FIELDS))
    except ValueError:
        return {}


def _page(request: Request, pages: PagesHere, opened: Opened, status: HTTPStatus) -> Response:
    reader = pages.reader(request)
    values = {
        "opened": opened,
        "state": opened.state.value,
        "level": _level(opened),
        "component": _component(pages.services, opened, reader.t),
        "title": _title(opened, reader.t),
    }
    return pages.html(request, "ack.html", values, reader=reader, status=status, bare=True)


def _level(opened: Opened) -> str:
    if opened.state is AckState.READY and opened.incident is not None:
        return {"critical": "critical", "warning": "warning"}.get(opened.incident.severity.value, "notice")
    return LEVELS[opened.state]


def _component(services: Services, opened: Opened, t: Texts) -> str:
    return component_name(services.config, str(opened.incident.component), t) if opened.incident else ""


def _title(opened: Opened, t: Texts) -> str:
    return t.name(opened.incident.titles, opened.incident.title) if opened.incident else ""
