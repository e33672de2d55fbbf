"""Silences for the world of the pages: one in force, one to come, one that is over."""

from datetime import datetime, timedelta

from tests.support.web_world import World
from tillwatch.config.matcher import parse_matcher
from tillwatch.store.silences import Silence

IN_FORCE = "0c2f66f0-7b2c-4c0e-9d3c-5a1a5d1f0a01"
TO_COME = "0c2f66f0-7b2c-4c0e-9d3c-5a1a5d1f0a02"
OVER = "0c2f66f0-7b2c-4c0e-9d3c-5a1a5d1f0a03"


def add_silences(world: World) -> World:
    """The login probe of the ERP is muted now, a shop will be, host alerts were."""
    now = world.clock.now()
    hour = timedelta(hours=1)
    for silence in (
        _silence(IN_FORCE, now - hour, now + hour, "王芳", "升级 ERP 探测帐号", 'probe="erp-api"', 'system="erp"'),
        _silence(
            TO_COME, now + 9 * hour, now + 12 * hour, "ann", "stock-taking in Chaoyang", 'site=~"chaoyang|haidian"'
        ),
        _silence(OVER, now - 30 * hour, now - 28 * hour, "bob", "memory test", 'alertname="HostSaturated"'),
    ):
        world.silences[silence.id] = silence
    return world


def _silence(id: str, starts_at: datetime, ends_at: datetime, by: str, comment: str, *matchers: str) -> Silence:
    return Silence(
        id=id,
        matchers=tuple(parse_matcher(text) for text in matchers),
        starts_at=starts_at,
        ends_at=ends_at,
        created_by=by,
        comment=comment,
        updated_at=starts_at,
    )
