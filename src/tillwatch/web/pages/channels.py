"""Channels: which of the ways to people work, what each service answered last, and a button that tries one."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tillwatch.notify.desk import ChannelStatus
from tillwatch.notify.gate import Standing
from tillwatch.web.handling import FormHere, NotHere, PagesHere
from tillwatch.web.views.levels import Level
from tillwatch.web.views.names import channel_names

router = APIRouter(prefix="/channels", include_in_schema=False)

DEAD_LETTERS_SHOWN = 20


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    services, reader = pages.services, pages.reader(request)
    found = services.channels.listed()
    values = {
        "channels": [(one, level(one)) for one in found],
        "names": channel_names(services.config, reader.t),
        "dead": services.channels.dead_letters(DEAD_LETTERS_SHOWN),
        "dead_total": sum(one.queue.dead for one in found),
    }
    return pages.html(request, "channels.html", values, reader=reader)


@router.post("/{channel}/test")
def test(request: Request, pages: PagesHere, channel: str, _form: FormHere) -> Response:
    if channel not in {one.id for one in pages.services.config.channels}:
        raise NotHere(f"there is no channel '{channel}'")
    pages.services.channels.test(channel)
    return pages.redirect(request, f"/channels?done=channel_tested#{channel}")


def level(one: ChannelStatus) -> Level:
    """A channel that does not work is as loud as a failed probe; one that was never used is not known to work."""
    if one.standing in (Standing.OPEN, Standing.HALF_OPEN):
        return Level.CRITICAL
    if one.gate.last_result in ("rejected", "unknown"):
        return Level.WARNING
    if one.standing is Standing.PAUSED or one.gate.failures:
        return Level.NOTICE
    return Level.OK if one.gate.last_at else Level.PENDING
