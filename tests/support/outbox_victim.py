"""A process with one outbox worker, to be killed: `python -m tests.support.outbox_victim STORE_URL ADDRESS`."""

import random
import sys
import threading
from datetime import timedelta

from sqlalchemy import Connection

from tillwatch.clock import Clock, SystemClock
from tillwatch.config.bind import Secret
from tillwatch.metrics import Metrics
from tillwatch.model.notice import DeliveryRecord
from tillwatch.notify.base import Message
from tillwatch.notify.registry import Notifiers
from tillwatch.notify.webhook import Webhook, WebhookOptions
from tillwatch.notify.worker import OutboxWorker
from tillwatch.store.db import Database


def worker(database: Database, address: str, *, clock: Clock, owner: str) -> OutboxWorker:
    """A worker with one webhook channel `ops`."""
    options = WebhookOptions(url=Secret(f"http://{address}/hook"), timeout=timedelta(seconds=20))

    def word(connection: Connection, record: DeliveryRecord) -> Message:  # noqa: ARG001
        return Message(
            key=record.key,
            kind=record.kind,
            channel=record.channel,
            receiver=record.receiver,
            locale="zh-CN",
            title=f"worded by {owner}",
            body="",
            at=clock.now(),
        )

    return OutboxWorker(
        database,
        Notifiers({"ops": Webhook(options, clock=SystemClock())}),
        clock=clock,
        owner=owner,
        render=word,
        metrics=Metrics(),
        jitter=random.random,
    )


def main() -> None:
    clock = SystemClock()
    database = Database.open(sys.argv[1], clock=clock)
    worker(database, sys.argv[2], clock=clock, owner="victim").loop(threading.Event())


if __name__ == "__main__":
    main()
