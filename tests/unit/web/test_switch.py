"""Every request ends in the application it began in; the one before is idle when the last of them has ended."""

import asyncio

import httpx
from fastapi import FastAPI

from tillwatch.web.switch import Generation, Switch


class _Pulse:
    closed = False

    def close(self) -> None:
        self.closed = True


def _app(name: str, *, hold: asyncio.Event | None = None, entered: asyncio.Event | None = None) -> FastAPI:
    app = FastAPI()
    app.state.pulse = _Pulse()

    @app.get("/")
    async def root() -> str:
        if hold and entered:
            entered.set()
            await hold.wait()
        return name

    return app


def test_a_request_under_way_ends_where_it_began_and_the_next_goes_to_the_new_one() -> None:
    async def story() -> tuple[str, str, bool, bool, bool]:
        hold, entered = asyncio.Event(), asyncio.Event()
        old = _app("old", hold=hold, entered=entered)
        switch = Switch(old)
        transport = httpx.ASGITransport(app=switch)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            slow = asyncio.ensure_future(client.get("/"))
            await entered.wait()
            before = switch.turn_to(_app("new"))
            idle_at_once = before.wait_until_idle(0)
            fresh = (await client.get("/")).json()
            hold.set()
            late = (await slow).json()
        return late, fresh, idle_at_once, before.wait_until_idle(0), old.state.pulse.closed

    assert asyncio.run(story()) == ("old", "new", False, True, True)


def test_a_request_that_breaks_is_over_too() -> None:
    async def story() -> Generation:
        app = _app("x")

        @app.get("/broken")
        async def broken() -> None:
            raise ValueError("on purpose")

        switch = Switch(app)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=switch, raise_app_exceptions=False), base_url="http://127.0.0.1"
        ) as client:
            assert (await client.get("/broken")).status_code == 500
        return switch.turn_to(_app("y"))

    assert asyncio.run(story()).wait_until_idle(0)
