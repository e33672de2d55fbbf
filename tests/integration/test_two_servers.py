"""Two servers on one PostgreSQL; one freezes in the middle of what it does and wakes up long after its lease."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from tests.support.postgres import Postgres, free_port
from tests.support.receiver import Answer, Receiver, answer

from tillwatch.clock import SystemClock
from tillwatch.errors import StoreError
from tillwatch.notify.worker import LEASE
from tillwatch.store import incidents, outbox
from tillwatch.store.db import IDLE_WRITER_SECONDS, LOCK_TIMEOUT_SECONDS, Database
from tillwatch.store.tables.outbox import outbox as rows

DEADLINE_SECONDS = 90.0
CHAIN = """
chain: {{id: pair, name: {{en: Pair, zh: 双机}}, timezone: Asia/Shanghai, locale: en, currency: CNY}}
store: {{url: "{store}"}}
listen: {{host: 127.0.0.1, port: {port}}}
channels:
  - {{id: li-phone, kind: webhook, url: "http://{hook}/li", timeout: 30s}}
  - {{id: boss-phone, kind: webhook, url: "http://{hook}/boss"}}
  - {{id: vendor-phone, kind: webhook, url: "http://{hook}/vendor"}}
"""
ROUTES = """
route: {receiver: ops, group_wait: 0s, group_interval: 5m, repeat_interval: 4h}
receivers:
  - {id: ops, escalation: default}
"""
ONCALL = """
people:
  - {id: li, channels: [li-phone]}
  - {id: boss, channels: [boss-phone]}
  - {id: vendor, vendor: true, channels: [vendor-phone]}
rotas:
  - {id: primary, rotations: [{start: 2026-01-05, members: [li]}]}
escalations:
  - id: default
    steps:
      - {notify: {rota: primary}, wait_for_ack: 3s}
      - {notify: {person: boss}, wait_for_ack: 3s}
      - {notify: {person: vendor}, wait_for_ack: 3s}
    repeat: 0
"""


@dataclass
class Pair:
    """Two `tillwatch serve` on one store."""

    database: Database
    receiver: Receiver
    urls: list[str] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, root: Path, store: str) -> None:
        port = free_port()
        (root / "alerts").mkdir(parents=True)
        (root / "tillwatch.yaml").write_text(CHAIN.format(store=store, port=port, hook=self.receiver.address))
        (root / "alerts/routes.yaml").write_text(ROUTES)
        (root / "alerts/oncall.yaml").write_text(ONCALL)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with (root / "log").open("ab") as log:
            argv = [sys.executable, "-m", "tillwatch", "-C", str(root), "serve"]
            self.processes.append(subprocess.Popen(argv, env=environment, stdout=log, stderr=log))
        self.urls.append(f"http://127.0.0.1:{port}")
        wait("server", lambda: healthy(self.urls[-1]))

    def sent(self) -> list[tuple[str, str, bool]]:
        """(kind, channel, possible repeat) of everything the channels got, in order."""
        documents = [json.loads(request.body) for request in self.receiver.requests]
        return [(one["kind"], one["channel"], one["possible_repeat"]) for one in documents]

    def sender(self) -> int:
        """The process that holds the first message."""
        with self.database.read() as connection:
            owner: str = connection.execute(select(rows.c.lease_owner).order_by(rows.c.id).limit(1)).scalar_one()
        return int(owner.split(":")[1])


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/healthy", timeout=5).is_success
    except httpx.TransportError:
        return False


def wait(what: str, condition: object, seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds  # noqa: TID251 - real servers, a real deadline
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what}"  # noqa: TID251
        time.sleep(0.1)  # noqa: TID251 - polled with a deadline


@pytest.fixture
def pair(postgres: Postgres, receiver: Receiver, tmp_path: Path) -> Iterator[Pair]:
    store = postgres.url(postgres.create_database())
    database = Database.open(store, clock=SystemClock())
    found = Pair(database=database, receiver=receiver)
    try:
        for name in ("one", "two"):
            found.start(tmp_path / name, store)
        yield found
    finally:
        for process in found.processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)
        database.close()


@pytest.mark.timeout(300)
def test_a_server_that_freezes_past_its_lease_neither_doubles_nor_loses_a_step(pair: Pair) -> None:
    # The first message hangs, so whoever sends it is frozen in the middle of the send.
    pair.receiver.says(Answer(hang=True), answer(200, "ok"))
    now = SystemClock().now()
    labels = {"alertname": "InterfaceDown", "severity": "critical"}
    body = [{"labels": labels, "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}]
    httpx.post(f"{pair.urls[0]}/api/v2/alerts", json=body, timeout=30).raise_for_status()
    wait("first message", pair.sent)
    frozen = pair.sender()
    assert frozen in [process.pid for process in pair.processes]
    os.kill(frozen, signal.SIGSTOP)
    wait("last step by the other server", lambda: len(pair.sent()) >= 4)
    wait("repeat after the lease", lambda: len(pair.sent()) >= 5, seconds=LEASE.total_seconds() + 30)
    os.kill(frozen, signal.SIGCONT)
    awake = next(url for url, one in zip(pair.urls, pair.processes, strict=True) if one.pid == frozen)
    wait("frozen server", lambda: healthy(awake))
    # It has had several rounds to do something twice.
    wait("rounds", lambda: httpx.get(f"{awake}/-/ready", timeout=5).is_success)
    time.sleep(5)  # noqa: TID251 - nothing may happen, so there is nothing to wait for
    with pair.database.read() as connection:
        records = outbox.deliveries(connection, 1)
        steps = [one.data["step"] for one in incidents.timeline(connection, 1) if one.kind == "escalated"]
    assert steps == [1, 2, 3, 3]
    assert [(one.kind.value, one.person, one.state.value) for one in records] == [
        ("opened", "li", "delivered"),
        ("escalated", "boss", "delivered"),
        ("escalated", "vendor", "delivered"),
        ("escalated", "vendor", "delivered"),
    ]
    sent = pair.sent()
    assert sorted(sent) == sorted(
        [
            ("opened", "li-phone", False),
            ("escalated", "boss-phone", False),
            ("escalated", "vendor-phone", False),
            ("escalated", "vendor-phone", False),
            ("opened", "li-phone", True),
        ]
    )


#: Begins a write transaction and is frozen in it.
IN_A_TRANSACTION = """
import sys
from tillwatch.clock import SystemClock
from tillwatch.store.db import Database

database = Database.open(sys.argv[1], clock=SystemClock())

def job(connection):
    print("in", flush=True)
    sys.stdin.readline()

database.write(job)
"""


@pytest.mark.timeout(180)
def test_a_process_that_freezes_in_a_transaction_does_not_keep_the_others_from_writing(postgres: Postgres) -> None:
    url = postgres.url(postgres.create_database())
    database = Database.open(url, clock=SystemClock())
    database.migrate()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TRANSACTION, url],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        process.send_signal(signal.SIGSTOP)

        def stored() -> bool:
            try:
                return database.write(lambda _: True)
            except StoreError:
                return False

        wait("write", stored, seconds=IDLE_WRITER_SECONDS + LOCK_TIMEOUT_SECONDS + 10)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate(timeout=30)
        database.close()
