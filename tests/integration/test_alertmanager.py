"""We understand a real Alertmanager and decide as it does: identity, webhook, routing."""

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml
from tests.support.postgres import free_port

from tillwatch.alerting.route import route
from tillwatch.alerting.wire import parse_webhook_v4
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Route
from tillwatch.model.alert import AlertState
from tillwatch.model.labels import fingerprint

SERVER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")
DEADLINE_SECONDS = 30.0


LABEL_SETS: list[dict[str, str]] = [
    {"alertname": "InterfaceDown"},
    {"alertname": "InterfaceDown", "severity": "critical", "system": "erp", "site": "hq"},
    {"alertname": "门店离线", "site": "朝阳店", "severity": "warning"},
    {"b": "1", "a": "2", "A": "3", "_": "4"},
    {"alertname": 'quote"back\\slash\nnewline', "instance": "127.0.0.1:9100"},
    {"alertname": "emoji 🛒", "empty_follows": "x"},
]


@dataclass
class Alertmanager:
    url: str
    bodies: list[bytes] = field(default_factory=list)

    def post(self, alerts: list[dict[str, object]]) -> None:
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def wait_for(what: str, condition: object) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS  # noqa: TID251 - a real server, a real deadline
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what} within {DEADLINE_SECONDS} s"  # noqa: TID251
        time.sleep(0.05)  # noqa: TID251 - polled with a deadline


@pytest.fixture(scope="module")
def alertmanager() -> Iterator[Alertmanager]:
    """A real Alertmanager with one webhook receiver: us."""
    assert SERVER and AMTOOL, "tests/packages.sh installs prometheus-alertmanager"
    bodies: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    folder = Path(tempfile.mkdtemp(prefix="tillwatch-alertmanager-"))
    webhook = {"url": f"http://127.0.0.1:{hook.server_address[1]}/hooks/alertmanager", "send_resolved": True}
    config = {
        "route": {"receiver": "us", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "us", "webhook_configs": [webhook]}],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    assert SERVER is not None
    argv = [SERVER, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    server = Alertmanager(url=f"http://127.0.0.1:{port}", bodies=bodies)

    def ready() -> bool:
        try:
            return httpx.get(f"{server.url}/-/ready", timeout=5).is_success
        except httpx.TransportError:
            return False

    wait_for("ready Alertmanager", ready)
    yield server
    process.terminate()
    process.wait(30)
    hook.shutdown()
    hook.server_close()
    shutil.rmtree(folder)


def test_our_fingerprint_is_alertmanagers(alertmanager: Alertmanager) -> None:
    alertmanager.post([{"labels": labels} for labels in LABEL_SETS])
    theirs = httpx.get(f"{alertmanager.url}/api/v2/alerts", timeout=10).json()
    by_labels = {json.dumps(alert["labels"], sort_keys=True): alert["fingerprint"] for alert in theirs}
    for labels in LABEL_SETS:
        assert fingerprint(labels) == by_labels[json.dumps(labels, sort_keys=True)]


def test_its_webhook_is_understood_from_firing_to_resolved(alertmanager: Alertmanager) -> None:
    now = SystemClock().now()
    labels = {"alertname": "WebhookStory", "site": "朝阳店"}
    alertmanager.bodies.clear()
    firing = {
        "labels": labels,
        "annotations": {"summary": "断线"},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
    }

    def heard(state: AlertState) -> bool:
        moment = SystemClock().now()
        parsed = [parse_webhook_v4(body, moment) for body in list(alertmanager.bodies)]
        assert all(one.poison == () for one in parsed)
        told = [alert for one in parsed for alert in one.alerts if alert.labels == labels]
        return any(alert.state(moment) is state and alert.annotations == {"summary": "断线"} for alert in told)

    alertmanager.post([firing])
    wait_for("firing webhook", lambda: heard(AlertState.FIRING))
    alertmanager.post([{**firing, "endsAt": now.isoformat()}])
    wait_for("resolved webhook", lambda: heard(AlertState.RESOLVED))


TREE = Route(
    receiver="root",
    routes=(
        Route(receiver="archive", matchers=('alertname=~"Sync.*|Drift"',), continue_=True),
        Route(
            receiver="oncall",
            matchers=('severity="critical"',),
            routes=(
                Route(receiver="erp", matchers=('system="erp"',)),
                Route(receiver="shops", matchers=('site!~"hq|"',), continue_=True),
                Route(receiver="night", matchers=('shift="night"',)),
            ),
        ),
        Route(receiver="warnings", matchers=('severity="warning"', "site!=hq")),
    ),
)
ASKED = [
    {},
    {"alertname": "SyncStale"},
    {"alertname": "SyncStale", "severity": "critical"},
    {"alertname": "Drift", "severity": "warning", "site": "hq"},
    {"alertname": "Drift", "severity": "warning", "site": "chaoyang"},
    {"severity": "critical", "system": "erp", "site": "chaoyang"},
    {"severity": "critical", "site": "chaoyang", "shift": "night"},
    {"severity": "critical", "site": "hq", "shift": "night"},
    {"severity": "warning"},
    {"alertname": "NotSync"},
]


def as_alertmanager(node: Route) -> dict[str, object]:
    written: dict[str, object] = {"receiver": node.receiver, "continue": node.continue_}
    if node.matchers:
        written["matchers"] = list(node.matchers)
    return {**written, "routes": [as_alertmanager(child) for child in node.routes]}


def receivers(node: Route) -> set[str]:
    return {node.receiver}.union(*(receivers(child) for child in node.routes))


@pytest.mark.parametrize("labels", ASKED, ids=lambda labels: ",".join(labels.values()) or "nothing")
def test_our_routing_tree_answers_as_amtool_does(labels: dict[str, str], tmp_path: Path) -> None:
    config = {"route": as_alertmanager(TREE), "receivers": [{"name": name} for name in sorted(receivers(TREE))]}
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert AMTOOL is not None
    argv = [AMTOOL, "config", "routes", "test", f"--config.file={tmp_path}/alertmanager.yml"]
    argv += [f"{name}={value}" for name, value in labels.items()]
    answer = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    assert ",".join(routed.receiver for routed in route(labels, TREE)) == answer
