"""A running demo with a real Prometheus: every panel has something to show, and the rules' alerts reach the router."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tillwatch.clock import SystemClock
from tillwatch.lab import demo, erp
from tillwatch.lab.daemon import python_environment
from tillwatch.lab.layout import Lab

ROOT = Path(__file__).parents[2]
#: Audits run every quarter of a minute and Prometheus scrapes every 5 s; a loaded machine needs several rounds.
PATIENCE_SECONDS = 180

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 180)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, erp: object) -> Iterator[Lab]:  # noqa: ARG001 - builds the template
    root = tmp_path_factory.mktemp("prometheus") / "demo"
    child = _demo(root)
    try:
        assert child.stderr is not None
        said = []
        for line in child.stderr:
            said.append(line)
            if "ready:" in line:
                break
        assert said and "ready:" in said[-1], "".join(said)
        yield Lab.load(root)
    finally:
        os.kill(child.pid, signal.SIGINT)
        child.communicate(timeout=60)
        with contextlib.suppress(OSError):
            demo.stop_leftovers(root)


def _demo(root: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tillwatch", "demo", "--no-browser", "--dir", str(root)]
    argv += ["--port", str(erp.free_port())]
    return subprocess.Popen(argv, env=python_environment(), stderr=subprocess.PIPE, text=True)


def panels() -> list[tuple[str, str]]:
    """(dashboard and title, expression) of every panel, with Grafana's own variable as it would fill it in."""
    found = []
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                found.append((f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")))
    return found


def answer(lab: Lab, expression: str) -> list[Any]:
    """What Prometheus answers; an expression it refuses is a failure at once."""
    url = f"http://127.0.0.1:{lab.ports.prometheus}/api/v1/query"
    reply = httpx.get(url, params={"query": expression}, timeout=10, trust_env=False).json()
    assert reply["status"] == "success", (expression, reply)
    result: list[Any] = reply["data"]["result"]
    return result


def notify_somebody(lab: Lab) -> None:
    """One alert from outside, so that there is a notification to count."""
    alert = {"labels": {"alertname": "ShelfLabelPrinterDown", "severity": "info", "site": "chaoyang"}}
    httpx.post(f"{lab.url}/api/v2/alerts", json=[alert], timeout=10, trust_env=False).raise_for_status()


def test_every_panel_of_every_dashboard_has_something_to_show(lab: Lab) -> None:
    notify_somebody(lab)
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    wanted = panels()
    assert len(wanted) > 15
    while empty := [title for title, expression in wanted if not answer(lab, expression)]:
        assert clock.monotonic() < deadline, empty
        clock.sleep(2)


def test_what_the_rules_find_reaches_the_router(lab: Lab) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while True:
        alerts = httpx.get(f"{lab.url}/api/v2/alerts", timeout=10, trust_env=False).json()
        if "Watchdog" in {alert["labels"]["alertname"] for alert in alerts}:
            return
        assert clock.monotonic() < deadline, alerts
        clock.sleep(1)
