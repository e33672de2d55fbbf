"""A changed chain directory is taken over by a real server while alerts come in: none refused, none lost."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.support.served_process import CHAIN, ROUTES, Server, serving_process

from tillwatch.clock import SystemClock
from tillwatch.store import alerts
from tillwatch.store.db import Database

SENDERS = 3
RELOADS = 6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_process(tmp_path / "chain") as running:
        yield running


def heartbeats(*names: str) -> str:
    return ROUTES + "heartbeats:\n" + "".join(f"  - {{id: {name}, every: 1h}}\n" for name in names)


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_a_good_directory_is_taken_over_and_a_broken_one_changes_nothing(server: Server) -> None:
    with server.client() as client:
        assert client.post("/hooks/heartbeat/backup").status_code == 404
        server.write(heartbeats("backup"))
        assert client.post("/-/reload").json() == {"status": "ok"}
        assert client.post("/hooks/heartbeat/backup").status_code == 200
        taken_over_at = metric(client, "tillwatch_config_last_reload_success_timestamp_seconds")
        server.wait_for("tillwatch: demo reloaded")

        server.write("route: {receiver: nobody}\nreceiver: []\n")
        (server.root / "tillwatch.yaml").write_text(CHAIN.replace("timezone", "timezon"), encoding="utf-8")
        refused = client.post("/-/reload")
        assert refused.status_code == 422
        places = [(one["file"], one["line"], one["column"]) for one in refused.json()["problems"]]
        assert places == [("alerts/routes.yaml", 1, 19), ("alerts/routes.yaml", 2, 1), ("tillwatch.yaml", 1, 31)]
        assert client.post("/hooks/heartbeat/backup").status_code == 200
        assert metric(client, "tillwatch_config_last_reload_successful") == 0
        assert metric(client, "tillwatch_config_last_reload_success_timestamp_seconds") == taken_over_at
        server.wait_for("the last good one holds")

        (server.root / "tillwatch.yaml").write_text(CHAIN, encoding="utf-8")
        server.write(heartbeats("night"))
        os.kill(server.process.pid, signal.SIGHUP)
        server.wait_for("tillwatch: demo reloaded", times=2)
        assert client.post("/hooks/heartbeat/night").status_code == 200
        assert client.post("/hooks/heartbeat/backup").status_code == 404
        assert metric(client, "tillwatch_config_last_reload_successful") == 1
        assert client.get("/-/ready").status_code == 200


def test_what_only_a_restart_can_change_is_refused(server: Server) -> None:
    moved = CHAIN + "store: {url: 'sqlite:///elsewhere.db'}\n"
    (server.root / "tillwatch.yaml").write_text(moved, encoding="utf-8")
    with server.client() as client:
        refused = client.post("/-/reload")
        assert refused.status_code == 422
        assert "store.url cannot change while the server runs" in refused.json()["message"]
    assert not (server.root / "elsewhere.db").exists()


def test_no_alert_is_refused_or_lost_while_the_directory_changes(server: Server) -> None:
    stop = threading.Event()

    def send(sender: int) -> list[str]:
        """Names of alerts, each stored as far as the answer says; anything but 200 is an error here."""
        stored = []
        with server.client() as client:
            while not stop.is_set():
                name = f"A{sender}-{len(stored)}"
                client.post("/api/v2/alerts", json=[{"labels": {"alertname": name}}]).raise_for_status()
                stored.append(name)
        return stored

    def live_page() -> int:
        """How often a page that follows the server live was sent away and came back."""
        streams = 0
        with server.client() as client:
            while not stop.is_set():
                with client.stream("GET", "/events") as stream:
                    streams += 1
                    for _ in stream.iter_bytes():
                        if stop.is_set():
                            break
        return streams

    with ThreadPoolExecutor(SENDERS + 1) as pool, server.client() as client:
        senders = [pool.submit(send, number) for number in range(SENDERS)]
        page = pool.submit(live_page)
        try:
            answers = []
            for number in range(RELOADS):
                server.write("route: {" if number % 3 == 2 else heartbeats(f"job{number}"))
                answers.append(client.post("/-/reload").status_code)
        finally:
            stop.set()
        stored = [name for sender in senders for name in sender.result()]
        assert answers == [200, 200, 422] * (RELOADS // 3)
        assert page.result() > RELOADS // 3
    assert len(stored) > RELOADS * SENDERS
    assert set(stored) <= _kept(server)


def _kept(server: Server) -> set[str]:
    database = Database.open(f"sqlite:///{server.root}/var/tillwatch.db", clock=SystemClock())
    try:
        with database.read() as connection:
            return {one.name for one in alerts.active(connection, limit=1_000_000)}
    finally:
        database.close()


def test_ending_the_server_in_the_middle_of_a_reload_ends_it_whole(tmp_path: Path) -> None:
    with serving_process(tmp_path / "chain") as server:
        server.write(heartbeats("backup"))
        os.kill(server.process.pid, signal.SIGHUP)
    assert server.process.returncode in (0, -signal.SIGTERM)
