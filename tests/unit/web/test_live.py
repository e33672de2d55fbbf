"""The live stream: told once a change, silent without one, honest without a store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.clock import ManualClock
from tillwatch.errors import StoreError
from tillwatch.web.live import MAX_LISTENERS, PING_EVERY_LOOKS, Pulse


@dataclass
class Script:
    """Answers with one revision after the other; the last one stays. None is a broken store."""

    revisions: list[str | None]
    asked: int = field(default=0)

    def revision(self) -> str:
        self.asked += 1
        revision = self.revisions.pop(0) if len(self.revisions) > 1 else self.revisions[0]
        if revision is None:
            raise StoreError("gone")
        return revision


def _events(pulse: Pulse, known: str | None, count: int) -> list[str]:
    async def take(stream: AsyncIterator[bytes]) -> list[str]:
        found = []
        async for event in stream:
            found.append(event.decode())
            if len(found) == count:
                break
        return found

    async def run() -> list[str]:
        stream = pulse.events(known)
        try:
            return await take(stream)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    return asyncio.run(run())


def _kinds(events: list[str]) -> list[str]:
    return [
        line.removeprefix("event: ") for event in events for line in event.splitlines() if line.startswith("event: ")
    ]


def test_a_new_page_is_greeted_and_then_told_of_changes_only() -> None:
    pulse = Pulse(Script(["a", "a", "b", "b", "b", "c"]), ManualClock())  # type: ignore[arg-type]
    events = _events(pulse, None, 4)
    assert _kinds(events) == ["hello", "changed", "changed"]
    assert [line for event in events for line in event.splitlines() if line.startswith("id: ")] == [
        "id: a",
        "id: b",
        "id: c",
    ]


def test_a_page_that_reconnects_is_told_at_once_when_it_missed_something() -> None:
    pulse = Pulse(Script(["b"]), ManualClock())  # type: ignore[arg-type]
    assert _kinds(_events(pulse, "a", 2)) == ["changed"]


def test_a_quiet_chain_is_still_heard_of() -> None:
    script = Script(["a"])
    assert _kinds(_events(Pulse(script, ManualClock()), None, 4)) == ["hello", "ping", "ping"]  # type: ignore[arg-type]
    assert script.asked == 2 * PING_EVERY_LOOKS + 1


def test_a_broken_store_is_said_and_what_changed_meanwhile_is_told_after() -> None:
    pulse = Pulse(Script(["a", None, None, "b"]), ManualClock())  # type: ignore[arg-type]
    assert _kinds(_events(pulse, None, 5)) == ["hello", "trouble", "trouble", "changed"]


def test_a_store_that_is_back_is_told_at_once_though_nothing_changed() -> None:
    pulse = Pulse(Script(["a", None, "a"]), ManualClock())  # type: ignore[arg-type]
    assert _kinds(_events(pulse, None, 4)) == ["hello", "trouble", "ping"]


def test_many_pages_ask_the_store_once() -> None:
    script = Script(["a"])
    clock = ManualClock()
    pulse = Pulse(script, clock)  # type: ignore[arg-type]

    async def run() -> None:
        streams = [pulse.events(None) for _ in range(50)]
        for stream in streams:
            await anext(stream)
            await anext(stream)
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert script.asked == 1


def test_a_closed_stream_frees_its_place_and_a_stopped_server_ends_all() -> None:
    pulse = Pulse(Script(["a"]), ManualClock())  # type: ignore[arg-type]
    for _ in range(MAX_LISTENERS + 1):
        assert not pulse.full
        _events(pulse, None, 1)
    pulse.close()
    assert len(_events(pulse, None, 100)) == 1


def test_too_many_pages_are_told_that_they_are_not_live(calm_chain: World) -> None:
    browser = Browser(calm_chain)
    browser.app.state.pulse._listeners = MAX_LISTENERS
    assert browser.get("/events").status_code == 503


def test_static_files_are_kept_for_good_under_a_name_that_changes_with_them(calm_chain: World) -> None:
    browser = Browser(calm_chain)
    page = browser.get("/").text
    url = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = browser.get(url)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["etag"].strip('"') in url
    assert browser.get(url, **{"if-none-match": answer.headers["etag"]}).status_code == 304
    assert browser.get("/favicon.ico").status_code == 200
