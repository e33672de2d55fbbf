"""kill -9 in the middle of a storm: every alert that was acknowledged is there after the restart, with its incident."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tillwatch.clock import SystemClock
from tillwatch.store import alerts, incidents
from tillwatch.store.db import Database

#: Kills on one database; more would measure how long an incident's list of alerts grows.
CYCLES = 25
#: `make soak` asks for more databases.
ROUNDS = int(os.environ.get("TILLWATCH_SOAK_ROUNDS", "1"))
ACKNOWLEDGED_BEFORE_THE_KILL = 40

#: Takes alerts from several threads and says the number of each once it was acknowledged.
STORM = """
import json, sys, threading
from tests.support.incidents import chain
from tillwatch.alerting.ingest import Ingest
from tillwatch.alerting.route import route
from tillwatch.clock import SystemClock
from tillwatch.incident.desk import IncidentDesk
from tillwatch.store.db import Database

clock = SystemClock()
database = Database.open(sys.argv[1], clock=clock)
config = chain()
desk = IncidentDesk(config, clock=clock, database=database, route=lambda labels: route(labels, config.route))
ingest = Ingest(database, clock=clock, on_changes=desk.on_changes)
say = threading.Lock()

def storm(thread):
    for number in range(100_000):
        name = f"{sys.argv[2]}-{thread}-{number}"
        labels = {"alertname": "DiskFilling", "probe": name, "site": f"shop-{number % 5}"}
        ingest.v2(json.dumps([{"labels": labels}]).encode())
        with say:
            print(name, flush=True)

for thread in range(4):
    threading.Thread(target=storm, args=(thread,)).start()
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("soak_round", range(ROUNDS))
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_was_acknowledged_before_kill_9_is_stored(
    dialect: str,
    soak_round: int,  # noqa: ARG001 - each round has a database of its own
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path}/storm.db"
    else:
        postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.create_database())
    clock = SystemClock()
    database = Database.open(url, clock=clock)
    database.migrate()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    acknowledged: set[str] = set()
    for cycle in range(CYCLES):
        process = subprocess.Popen(
            [sys.executable, "-c", STORM, url, str(cycle)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(ACKNOWLEDGED_BEFORE_THE_KILL):
            acknowledged.add(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        # The last line may have been cut off by the kill.
        acknowledged |= {line for line in rest.splitlines(keepends=True) if line.endswith("\n")}
    acknowledged = {name.strip() for name in acknowledged}
    with database.read() as connection:
        stored = {one.labels["probe"]: one.incident for one in alerts.active(connection, limit=100_000)}
        open_now = {one.id for one in incidents.list_open(connection)}
    database.close()
    assert "" not in acknowledged
    assert len(acknowledged) >= CYCLES * ACKNOWLEDGED_BEFORE_THE_KILL
    assert acknowledged <= set(stored)
    assert set(stored.values()) <= open_now
    assert len(open_now) == 5
