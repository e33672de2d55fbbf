"""/api/v1/channels: how each way to people stands, and a test of one."""

from fastapi import APIRouter

from tillwatch.notify.desk import ChannelStatus
from tillwatch.web.api import documents
from tillwatch.web.handling import ServicesHere

router = APIRouter(prefix="/api/v1/channels", tags=["channels"])


@router.get("")
def listed(services: ServicesHere) -> list[documents.Document]:
    """In the order of the chain directory; `standing` is closed while a channel works."""
    return [status(one) for one in services.channels.listed()]


@router.post("/{channel}/test")
def test(services: ServicesHere, channel: str) -> documents.Document:
    """Send one test message now: the document of `tillwatch channel test --json`."""
    delivery = services.channels.test(channel)
    return {
        "channel": channel,
        "result": delivery.result.value,
        "code": delivery.code,
        "detail": delivery.detail,
        "seconds": round(delivery.seconds, 3),
    }


def status(one: ChannelStatus) -> documents.Document:
    gate = one.gate
    last = {
        "at": documents.instant(gate.last_at),
        "result": gate.last_result,
        "code": gate.last_code,
        "detail": gate.last_detail,
        "seconds": round(gate.last_seconds, 3),
    }
    return {
        "id": one.channel.id,
        "kind": one.channel.kind,
        "name": dict(one.channel.name),
        "target": one.target,
        "receivers": list(one.receivers),
        "people": list(one.people),
        "standing": one.standing.value,
        "failures": gate.failures,
        "opened_at": documents.instant(gate.opened_at),
        "probe_at": documents.instant(gate.probe_at),
        "paused_until": documents.instant(gate.paused_until),
        "tokens": None if one.tokens is None else round(one.tokens, 2),
        "burst": one.allowance.burst if one.allowance else None,
        "per_minute": one.allowance.per_minute if one.allowance else None,
        "waiting": one.queue.waiting,
        "oldest": documents.instant(one.queue.oldest),
        "dead": one.queue.dead,
        "last": last if gate.last_at else None,
        "last_success_at": documents.instant(gate.last_success_at),
    }
