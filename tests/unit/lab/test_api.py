"""The API client waits for a restarting server, and never turns a no into a yes."""

from collections.abc import Callable

import httpx
import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import SourceRejected, SourceUnavailable
from tillwatch.lab import api as lab_api
from tillwatch.lab.api import Api


def client(handler: Callable[[httpx.Request], httpx.Response]) -> Api:
    made = Api("http://127.0.0.1:1", clock=ManualClock())
    made._http = httpx.Client(base_url=made.url, transport=httpx.MockTransport(handler))
    return made


def test_reading_waits_for_a_server_that_is_away_and_then_not_ready() -> None:
    answers = iter([httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200, json={"ok": True})])

    def handler(_: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert client(handler).get("/x") == {"ok": True}


def test_patience_has_an_end() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api = client(handler)
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:1/x: refused"):
        api.get("/x")
    assert api._clock.monotonic() >= lab_api.PATIENCE_SECONDS


def test_an_order_is_sent_once_when_twice_would_not_be_once() -> None:
    sent: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        raise httpx.ReadError("broken")

    with pytest.raises(SourceUnavailable):
        client(handler).post("/runs", {})
    assert sent == ["/runs"]


def test_a_refusal_carries_the_servers_words() -> None:
    with pytest.raises(SourceRejected, match="/x: HTTP 409: target is taken"):
        client(lambda _: httpx.Response(409, text="target is taken")).post("/x", {}, repeat=True)


def test_waiting_names_what_it_waited_for() -> None:
    with pytest.raises(SourceUnavailable, match="waited 5 s in vain for the moon"):
        client(lambda _: httpx.Response(200)).until("the moon", lambda: None, seconds=5)
