"""The whole way as a person goes it: an alert, the message in a chat, its link on a phone, the timeline."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.incidents import alert
from tests.support.receiver import Receiver
from tests.support.web_server import serving

from tillwatch.app import App, build
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.model.incident import IncidentState
from tillwatch.web.services import Services

WAIT_SECONDS = 30.0
CHAIN = """\
chain: {{id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}}
store: {{url: "sqlite:///store.db"}}
listen: {{public_url: "https://watch.example.com"}}
sites: [{{id: hq}}]
systems: [{{id: erp, site: hq, source: host, name: {{zh: 总部 ERP, en: ERP}}}}]
channels: [{{id: phone, kind: webhook, url: "http://{address}/phone"}}]
"""
ROUTES = """\
route: {receiver: oncall, group_wait: 0s}
receivers: [{id: oncall, oncall: primary, channels: [phone]}]
"""
ONCALL = """\
people: [{id: li, name: {zh: 李娜, en: Li Na}, channels: [phone]}]
rotas: [{id: primary, name: {zh: 值班, en: Primary}, rotations: [{every: weekly, start: 2026-01-05, members: [li]}]}]
"""


@dataclass
class Product:
    """The product as the server wires it."""

    app: App

    def services(self) -> Services:
        return self.app.services


@pytest.fixture
def product(tmp_path: Path, receiver: Receiver) -> Iterator[Product]:
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN.format(address=receiver.address), encoding="utf-8")
    (tmp_path / "alerts/routes.yaml").write_text(ROUTES, encoding="utf-8")
    (tmp_path / "alerts/oncall.yaml").write_text(ONCALL, encoding="utf-8")
    app = build(load(tmp_path))
    app.start()
    yield Product(app)
    app.stop()


def until(condition: Callable[[], bool]) -> None:
    machine = SystemClock()
    deadline = machine.monotonic() + WAIT_SECONDS
    while not condition():
        assert machine.monotonic() < deadline, f"nothing happened within {WAIT_SECONDS:g} s"
        machine.sleep(0.02)


def test_the_link_of_a_message_acknowledges_once_and_the_timeline_says_who(
    product: Product, receiver: Receiver
) -> None:
    app = product.app
    now = app.clock.now()
    app.ingest.receive([alert("InterfaceDown", now, severity="critical", system="erp", summary="down")], source="test")
    until(lambda: bool(receiver.requests))
    message = json.loads(receiver.requests[0].body)
    assert message["ack_url"].startswith("https://watch.example.com/ack/")
    assert message["ack_url"] in message["body"]
    path = message["ack_url"].removeprefix("https://watch.example.com")
    with serving(product) as address, httpx.Client(base_url=address) as phone:
        for _ in range(3):
            page = phone.get(path)
            assert page.status_code == 200
            assert "总部 ERP" in page.text
        assert app.records.incident(1).state is IncidentState.OPEN
        seen = page.text.partition('name="seen" value="')[2].partition('"')[0]
        assert phone.post(path, data={"seen": seen}).headers["location"] == path
        assert "李娜 已于" in phone.get(path).text
        assert phone.post(path, data={"seen": seen}).status_code == 409
        assert phone.get(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 404
        standing = phone.get("/api/v1/channels").json()[0]
    assert (standing["standing"], standing["last"]["code"]) == ("closed", "200")
    kinds = [(one.kind, one.actor) for one in app.records.timeline(1) if one.kind == "acknowledged"]
    assert kinds == [("acknowledged", "李娜")]
    assert app.records.incident(1).acknowledged_by == "李娜"
