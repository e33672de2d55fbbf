"""A caller of the web application without a socket: cookies kept, forms sent as a browser without scripts would."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tests.support.web_world import World
from tillwatch.web.app import create_app

HOST = "127.0.0.1:8080"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Browser:
    """Talks to one application built from `world`."""

    world: World
    host: str = HOST
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def __post_init__(self) -> None:
        self.app = create_app(self.world.services())

    def send(self, method: str, path: str, **more: object) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://{self.host}", cookies=self.cookies
            ) as client:
                response = await client.request(method, path, **more)  # type: ignore[arg-type]
                self.cookies = client.cookies
                return response

        return asyncio.run(call())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, *, json: object = None, content: bytes | None = None, **headers: str) -> httpx.Response:
        if content is not None:
            return self.send("POST", path, content=content, headers={"content-type": "application/json", **headers})
        return self.send("POST", path, json=json, headers=headers)

    def csrf(self, page: str) -> str:
        """The token of the forms on `page`, which also sets the cookie."""
        found = _CSRF.search(self.get(page).text)
        assert found, f"{page} has no form"
        return found[1]

    def submit(self, page: str, action: str, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        """Open `page`, fill in the form that goes to `action`, and send it."""
        token = self.csrf(page)
        return self.send("POST", action, data={"csrf": token, **fields}, headers=headers)
