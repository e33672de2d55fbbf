"""From an alert through the incident and the outbox to what a web receiver got, in both languages."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.support.incidents import GROUP_WAIT, REPEAT_INTERVAL, Router, alert
from tests.support.receiver import Receiver, answer

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Channel
from tillwatch.metrics import Metrics
from tillwatch.model.notice import DeliveryRecord
from tillwatch.notify.base import Message
from tillwatch.notify.registry import Notifiers
from tillwatch.notify.render import Renderer
from tillwatch.notify.webhook import Webhook, WebhookOptions
from tillwatch.notify.worker import OutboxWorker
from tillwatch.store import incidents


@pytest.fixture
def worker(router: Router, receiver: Receiver) -> Iterator[OutboxWorker]:
    channels = (Channel(id="inbox", kind="webhook", locale="zh-CN"), Channel(id="phone", kind="webhook", locale="en"))
    config = replace(router.config, channels=channels)
    renderer = Renderer(config, clock=router.clock, incident=incidents.document)
    options = {
        name: WebhookOptions(url=Secret(f"http://{receiver.address}/{name}"), timeout=timedelta(seconds=10))
        for name in ("inbox", "phone")
    }
    notifiers = Notifiers({name: Webhook(one, clock=SystemClock()) for name, one in options.items()})

    def render(connection: Connection, record: DeliveryRecord) -> Message:
        return renderer(connection, record)

    made = OutboxWorker(
        router.database,
        notifiers,
        clock=router.clock,
        owner="test",
        render=render,
        metrics=Metrics(),
        jitter=lambda: 0.0,
    )
    yield made
    made.close()
    notifiers.close()


def received(receiver: Receiver) -> list[tuple[str, str, str]]:
    """(path, kind, title) of every request, in order."""
    bodies = [(request.line.split()[1], json.loads(request.body)) for request in receiver.requests]
    return [(path, body["kind"], body["title"]) for path, body in bodies]


def down(router: Router, *, over: bool = False) -> None:
    now = router.clock.now()
    one = alert("InterfaceDown", now, severity="critical", system="erp", summary="connection refused", cause="tcp")
    router.fire(replace(one, ends_at=now) if over else one)


def test_an_outage_is_told_reminded_and_ended(router: Router, receiver: Receiver, worker: OutboxWorker) -> None:
    down(router)
    assert worker.step() == 0
    router.clock.advance(GROUP_WAIT.total_seconds())
    assert worker.step() == 1
    router.clock.advance(REPEAT_INTERVAL.total_seconds())
    router.desk.tick(router.clock.now())
    assert worker.step() == 1
    down(router, over=True)
    assert worker.step() == 1
    told = received(receiver)
    assert [(path, kind) for path, kind, _ in told] == [("/phone", kind) for kind in ("opened", "reminder", "resolved")]
    assert told[0][2].startswith("[Critical] erp: ")
    assert told[1][2].startswith("[Reminder 1, Critical] erp: ")
    assert told[2][2].startswith("[Resolved] erp: ")
    document = router.incident()
    assert document.state == "resolved"


def test_the_message_holds_the_finding_in_the_readers_language(
    router: Router, receiver: Receiver, worker: OutboxWorker
) -> None:
    router.fire(alert("SyncStale", router.clock.now(), interface="orders-chaoyang", summary="no order for 20 min"))
    router.clock.advance(GROUP_WAIT.total_seconds())
    worker.step()
    (request,) = receiver.requests
    body = json.loads(request.body)
    assert request.line.startswith("POST /inbox")
    assert body["title"].startswith("【警告】orders-chaoyang：")
    assert "- 中文 no order for 20 min" in body["body"].split("\n")
    assert body["incident"]["component"] == "interface:orders-chaoyang"
    assert body["incident"]["alerts"][0]["labels"]["alertname"] == "SyncStale"
    assert body["url"] == "http://127.0.0.1:8080/incidents/1"


def test_an_incident_shows_what_the_channel_really_said(
    router: Router, receiver: Receiver, worker: OutboxWorker
) -> None:
    receiver.says(answer(500, "overloaded"), answer(200, "thanks"))
    down(router)
    router.clock.advance(GROUP_WAIT.total_seconds())
    worker.step()
    router.clock.advance(10)
    worker.step()
    with router.database.read() as connection:
        (shown,) = incidents.document(connection, 1)["notifications"]
    assert (shown["state"], shown["attempts"], shown["code"], shown["detail"]) == ("delivered", 2, "200", "thanks")
