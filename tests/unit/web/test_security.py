"""Who may talk to the server, and what every answer carries."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.config.schema import Listen
from tillwatch.errors import RefusedError
from tillwatch.web.app import create_app
from tillwatch.web.security import (
    MAX_ALERTS_BODY_BYTES,
    MAX_BODY_BYTES,
    SESSION_COOKIE,
    Policy,
    Refusal,
    csrf_matches,
    refusal,
)

LOCAL = Policy(loopback=True)
OPEN = Policy(loopback=False, token="correct horse battery staple")


def _public(world: World) -> World:
    world.config = replace(world.config, listen=Listen(host="0.0.0.0", port=8080))
    return world


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "localhost:1", "[::1]:8080", "127.9.9.9"])
def test_loopback_names_are_served(host: str) -> None:
    assert refusal("GET", "/", Headers({"host": host}), {}, LOCAL) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]", "localhost.evil.example"],
)
def test_a_name_that_was_rebound_to_loopback_is_not_served(host: str) -> None:
    refused = refusal("GET", "/", Headers({"host": host}), {}, LOCAL)
    assert refused is not None
    assert refused.status == 421


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8080"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8080"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "null"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_only_our_own_pages_and_programs_change_anything(headers: dict[str, str], served: bool) -> None:
    refused = refusal("POST", "/api/v1/runs", Headers({"host": "127.0.0.1:8080", **headers}), {}, LOCAL)
    assert (refused is None) is served


@given(st.text(max_size=40))
def test_no_guess_passes_for_the_token(guess: str) -> None:
    try:
        headers = Headers({"host": "shop.example", "authorization": f"Bearer {guess}"})
    except UnicodeEncodeError:
        return
    refused = refusal("GET", "/", headers, {SESSION_COOKIE: guess}, OPEN)
    assert isinstance(refused, Refusal)


def test_the_token_opens_as_bearer_and_as_the_cookie_of_the_sign_in_page() -> None:
    host = {"host": "shop.example"}
    assert refusal("GET", "/", Headers({**host, "authorization": f"Bearer {OPEN.token}"}), {}, OPEN) is None
    assert refusal("GET", "/", Headers(host), {SESSION_COOKIE: OPEN.session()}, OPEN) is None
    assert OPEN.token not in OPEN.session()


def test_an_empty_csrf_token_never_matches() -> None:
    assert not csrf_matches(None, "")
    assert not csrf_matches("", "")
    assert csrf_matches("a", "a")


def test_a_server_beyond_loopback_refuses_to_exist_without_a_token(calm_chain: World) -> None:
    with pytest.raises(RefusedError, match=r"listen.host is 0\.0\.0\.0.*TILLWATCH_TOKEN"):
        create_app(_public(calm_chain).services())


def test_beyond_loopback_pages_lead_to_the_sign_in_and_programs_get_401(calm_chain: World) -> None:
    calm_chain.token = "let me in please"
    browser = Browser(_public(calm_chain), host="shop.example")
    page = browser.get("/")
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in")
    assert browser.get("/api/v1/overview").status_code == 401
    assert browser.get("/metrics").status_code == 401
    assert browser.get("/-/healthy").status_code == 200
    assert browser.submit("/sign-in", "/sign-in", {"token": "wrong"}).status_code == 403
    assert browser.submit("/sign-in", "/sign-in", {"token": "let me in please"}).status_code == 303
    assert browser.get("/").status_code == 200


def test_the_sign_in_page_shows_nothing_of_the_chains_trouble(bad_night: World) -> None:
    bad_night.token = "let me in please"
    page = Browser(_public(bad_night), host="shop.example").get("/sign-in").text
    assert "(3)" not in page
    assert 'class="count"' not in page


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/overview", "/nowhere", "/incidents/99", "/metrics", "/static/tillwatch.css"]
)
def test_every_answer_carries_the_policy(calm_chain: World, path: str) -> None:
    headers = Browser(calm_chain).get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_refusals_and_crashes_carry_the_policy_too(calm_chain: World) -> None:
    browser = Browser(calm_chain)
    assert "content-security-policy" in browser.get("/", host="evil.example").headers
    calm_chain.cards = None  # type: ignore[assignment]
    crashed = browser.get("/runbooks")
    assert crashed.status_code == 500
    assert "content-security-policy" in crashed.headers
    assert "AttributeError at " in crashed.text


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(calm_chain: World) -> None:
    browser = Browser(calm_chain)
    refused = browser.post("/api/v2/alerts", content=b" " * (MAX_ALERTS_BODY_BYTES + 1))
    assert refused.status_code == 413
    assert refused.json() == {
        "code": 413,
        "message": f"The body is larger than {MAX_ALERTS_BODY_BYTES} bytes; send it in smaller parts.",
    }
    assert browser.post("/api/v1/runs", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert calm_chain.orders == []


def test_a_body_that_grows_too_large_while_it_is_read_is_refused(calm_chain: World) -> None:
    sent = _deliver(calm_chain, [b" " * MAX_BODY_BYTES, b" "])
    assert sent[0]["status"] == 413


def test_half_a_body_is_not_taken_for_a_whole_one(calm_chain: World) -> None:
    sent = _deliver(calm_chain, [b"[]"], hang_up=True, path="/api/v2/alerts")
    assert sent[0]["status"] == 400
    assert calm_chain.orders == []


def _deliver(
    world: World, chunks: list[bytes], *, hang_up: bool = False, path: str = "/api/v1/runs"
) -> list[dict[str, object]]:
    """Send a body in chunks without a content-length; returns what the application sent."""
    messages: list[dict[str, object]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append(
        {"type": "http.disconnect"} if hang_up else {"type": "http.request", "body": b"", "more_body": False}
    )
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080"), (b"content-type", b"application/json")], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    sent: list[dict[str, object]] = []

    async def call() -> None:
        async def receive() -> dict[str, object]:
            return messages.pop(0)

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await create_app(world.services())(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(call())
    return sent
