"""The pages in a real browser: both schemes, phone and desk, both languages, with and without scripts."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright
from tests.support.web_night import calm_world, night_world
from tests.support.web_server import CHROMIUM, CHROMIUM_FLAGS, BrowserClock, serving
from tests.support.web_silences import add_silences
from tests.support.web_world import World

from tillwatch.model.incident import IncidentState

#: Set to a folder to keep the pictures, for example docs/screenshots.
KEEP_IN = "TILLWATCH_SCREENSHOTS"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PAGES = {
    "overview": "/",
    "incidents": "/incidents",
    "incident": "/incidents/3",
    "drift": "/incidents/4",
    "host": "/incidents/5",
    "audits": "/audits",
    "audit": "/audits/runs/7",
    "probes": "/probes",
    "probe": "/probes/erp-api",
    "runbooks": "/runbooks",
    "runbook": "/runbooks/orders-replay?incident=4",
    "run": "/runs/1",
    "needs-human": "/runs/2",
    "deliveries": "/deliveries",
    "channels": "/channels",
    "acknowledge": "/ack/anybody",
    "acknowledge-for": "/ack/named",
    "oncall": "/oncall",
    "oncall-statistics": "/oncall/statistics",
    "silences": "/silences",
    "silence": "/silences/new?incident=3",
}

Open = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Not for longer than this module: while it is open the thread has a running event loop, which others must not."""
    with sync_playwright() as started:
        yield started


@pytest.fixture
def browser(playwright: Playwright, tmp_path: Path) -> Iterator[Open]:
    assert CHROMIUM, "install Debian's package chromium (and fonts-noto-cjk); tests/packages.sh does it"
    opened: list[BrowserContext] = []

    def open_browser(**options: object) -> BrowserContext:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / f"profile-{len(opened)}"),
            executable_path=CHROMIUM,
            args=list(CHROMIUM_FLAGS),
            **options,  # type: ignore[arg-type]
        )
        opened.append(context)
        return context

    yield open_browser
    for context in opened:
        context.close()


@pytest.fixture
def night() -> World:
    return add_silences(night_world(BrowserClock()))


def _complaints(page: Page) -> list[str]:
    """Whatever the browser complains of: a blocked style, a script error, a file that is not there."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_fits_its_screen_and_the_browser_has_nothing_to_complain_of(
    browser: Open,
    served: Callable[[World], str],
    night: World,
    shots: Path,
    language: str,
    scheme: str,
    viewport: dict[str, int],
) -> None:
    address = served(night)
    page = browser(viewport=viewport, color_scheme=scheme).new_page()
    complaints = _complaints(page)
    folder = Path(os.environ.get(KEEP_IN, shots))
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in PAGES.items():
        page.goto(f"{address}{path}{'&' if '?' in path else '?'}lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], name
        size = "phone" if viewport is PHONE else "desk"
        page.screenshot(path=folder / f"{name}-{language}-{scheme}-{size}.png", full_page=True)
    assert complaints == []


def test_buttons_are_large_enough_for_a_thumb(browser: Open, served: Callable[[World], str], night: World) -> None:
    page = browser(viewport=PHONE).new_page()
    address = served(night)
    for path in ("/", "/incidents/3", "/runbooks/orders-replay?incident=4", "/runs/1"):
        page.goto(address + path)
        heights = page.eval_on_selector_all(
            ".button:not(.small)", "all => all.filter(b => b.offsetParent).map(b => b.offsetHeight)"
        )
        assert heights, path
        assert min(heights) >= 48, path


def test_the_runbook_of_an_incident_is_on_the_first_screen_of_a_phone(
    browser: Open, served: Callable[[World], str], night: World
) -> None:
    page = browser(viewport=PHONE).new_page()
    page.goto(served(night) + "/incidents/3?lang=zh-CN")
    button = page.locator("a.button.primary").first
    box = button.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= PHONE["height"]
    button.click()
    expect(page.locator("select[name='param.service']")).to_have_value("erp")


def test_an_incident_is_acknowledged_without_a_script(
    browser: Open, served: Callable[[World], str], night: World
) -> None:
    page = browser(java_script_enabled=False, viewport=PHONE).new_page()
    page.goto(served(night) + "/incidents/3?lang=en")
    page.get_by_label("Your name").first.fill("王芳")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Acknowledged. The others can see that you are on it.")).to_be_visible()
    assert night.orders == [("acknowledge", 3, "王芳")]


def test_the_link_of_a_message_acknowledges_without_a_script_and_with_a_thumb(
    browser: Open, served: Callable[[World], str], night: World
) -> None:
    page = browser(java_script_enabled=False, viewport=PHONE).new_page()
    page.goto(served(night) + "/ack/named?lang=zh-CN")
    button = page.get_by_role("button")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 48
    assert box["y"] + box["height"] <= PHONE["height"]
    button.click()
    expect(page.get_by_text("李娜 已于")).to_be_visible()
    assert night.orders == [("acknowledge by link", 3, "李娜")]


def test_a_run_is_approved_without_a_script(browser: Open, served: Callable[[World], str], night: World) -> None:
    page = browser(java_script_enabled=False).new_page()
    page.goto(served(night) + "/runs/1?lang=en")
    page.get_by_label("Your name").first.fill("李雷")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved. The run goes on.")).to_be_visible()
    assert night.orders == [("approve", 1, "李雷", "oncall-lead", "approve", "c0ffee5e")]


def test_the_enter_key_decides_nothing(browser: Open, served: Callable[[World], str], night: World) -> None:
    page = browser().new_page()
    address = served(night)
    for path in ("/runs/1", "/runs/2", "/runbooks/erp-restart?incident=3"):
        page.goto(address + path)
        field = page.locator("input[name=actor]").first
        field.fill("ann")
        field.press("Enter")
        assert page.url == address + path
    assert night.orders == []


def test_a_change_reaches_an_open_page_by_itself(browser: Open, served: Callable[[World], str]) -> None:
    world = calm_world(BrowserClock())
    page = browser().new_page()
    page.goto(served(world) + "/?lang=en")
    expect(page.get_by_text("All 2 shops and ERP (Tryton) agree.")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Live")
    bad = night_world(BrowserClock())
    world.known, world.alerts, world.states = bad.known, bad.alerts, bad.states
    expect(page.get_by_text("ERP (Tryton) is down since 10:47; 2 shops affected")).to_be_visible(timeout=10_000)
    expect(page).to_have_title("(3) Overview · Demo chain")


def test_a_live_page_never_takes_away_what_somebody_is_typing(
    browser: Open, served: Callable[[World], str], night: World
) -> None:
    page = browser().new_page()
    page.goto(served(night) + "/runs/1?lang=en")
    page.get_by_label("Your name").first.fill("half a na")
    page.locator("#output-recheck summary").click()
    night.started[1] = replace(night.started[1], reason="changed behind the page")
    night.known[5] = replace(night.known[5], state=IncidentState.RESOLVED)
    night.orders.append(("something happened",))
    expect(page.locator(".tabs .count")).to_have_text("2", timeout=10_000)
    assert page.get_by_label("Your name").first.input_value() == "half a na"
    assert page.locator("#output-recheck").get_attribute("open") is not None


def test_a_page_whose_server_is_gone_says_that_it_is_not_live(browser: Open, night: World) -> None:
    page = browser().new_page()
    with serving(night) as address:
        page.goto(address + "/?lang=en")
        expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#live")).to_contain_text("Not live since", timeout=20_000)


def test_an_open_page_does_not_hold_up_a_stopping_server(
    browser: Open, night: World, caplog: pytest.LogCaptureFixture
) -> None:
    page = browser().new_page()
    with serving(night) as address:
        page.goto(address + "/?lang=en")
        expect(page.locator("#live")).to_have_text("Live")
    assert caplog.messages == []


def test_a_page_whose_store_is_gone_says_that_it_is_not_live(
    browser: Open, served: Callable[[World], str], night: World
) -> None:
    page = browser().new_page()
    page.goto(served(night) + "/?lang=en")
    expect(page.locator("#live")).to_have_text("Live")
    night.broken = "disk full"
    expect(page.locator("#live")).to_contain_text("Not live since", timeout=30_000)
    night.broken = ""
    expect(page.locator("#live")).to_have_text("Live", timeout=30_000)


def test_a_hostile_alert_runs_nothing(browser: Open, served: Callable[[World], str], night: World) -> None:
    hostile = "<script>window.owned=1</script><img src=x onerror='window.owned=1'>"
    night.alerts = [
        replace(
            item, annotations={"summary": hostile, "summary_zh": hostile}, evidence={"log": [hostile], "x": hostile}
        )
        for item in night.alerts
    ]
    page = browser().new_page()
    complaints = _complaints(page)
    page.goto(served(night) + "/incidents/3?lang=en")
    expect(page.get_by_text(hostile).first).to_be_visible()
    assert page.evaluate("window.owned") is None
    assert complaints == []
