"""The stories on a real ERP, from the fault to the clean re-check, through the command a visitor runs.

All but one also with a server that is killed in the middle (SIGKILL) and started again.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tillwatch.lab import demo, erp, fleet
from tillwatch.lab.daemon import python_environment
from tillwatch.lab.layout import Lab

#: A story takes under a minute on an idle machine; this is for a loaded one.
STORY_SECONDS = 420

pytestmark = pytest.mark.timeout(STORY_SECONDS + 60)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "demo"
    yield folder
    # Whatever became of the command: nothing of it stays behind.
    if folder.exists():
        demo.stop_leftovers(folder)


def told(root: Path, fault: str, *more: str) -> dict[str, Any]:
    """Run `tillwatch demo --once` to its end and return its document."""
    argv = [sys.executable, "-m", "tillwatch", "--json", "demo", "--once", "--no-browser", "--fault", fault]
    argv += ["--dir", str(root), "--port", str(erp.free_port()), *more]
    child = subprocess.Popen(argv, env=python_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=STORY_SECONDS)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
        pytest.fail(f"the story of {fault} did not end: {err}\n{_server_log(root)}")
    assert child.returncode == 0, f"{err}\n{_server_log(root)}"
    document: dict[str, Any] = json.loads(out)
    return document


def lives(pid: int) -> bool:
    """A dead process that init has not collected yet is dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _server_log(root: Path) -> str:
    return fleet.server(Lab.load(root)).log_tail()


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """What every story has in common; returns the incident."""
    incident: dict[str, Any] = document["incident"]
    assert incident["state"] == "resolved"
    assert {alert["state"] for alert in incident["alerts"]} == {"resolved"}
    assert {run["state"] for run in document["runs"]} == {"succeeded"}
    assert [step["state"] for run in document["runs"] for step in run["steps"] if step["state"] == "failed"] == []
    kinds = [entry["kind"] for entry in incident["timeline"]]
    assert kinds[0] == "opened"
    assert kinds.count("resolved") == 1
    return incident


@pytest.mark.usefixtures("erp")
@pytest.mark.parametrize("crash", [(), ("--crash-at", "run")], ids=["", "server killed"])
def test_a_killed_erp_is_one_incident_and_a_runbook_brings_it_back(root: Path, crash: tuple[str, ...]) -> None:
    incident = closed(told(root, "erp-down", *crash))
    assert incident["component"] == "system:erp"
    down = [alert for alert in incident["alerts"] if alert["alertname"] == "InterfaceDown"]
    assert {alert["labels"]["probe"] for alert in down} >= {"erp-tcp", "erp-api"}
    assert "tcp" in {alert["annotations"]["cause"] for alert in down}


@pytest.mark.usefixtures("erp")
@pytest.mark.parametrize("crash", [(), ("--crash-at", "approved")], ids=["", "server killed"])
def test_lost_and_spoiled_orders_are_replayed_once(root: Path, crash: tuple[str, ...]) -> None:
    document = told(root, "lost-orders", *crash)
    incident = closed(document)
    assert incident["component"] == "interface:orders-chaoyang"
    assert float(incident["value_at_risk"]) > 0
    assert len(document["runs"]) == 2


@pytest.mark.usefixtures("erp")
def test_orders_whose_lines_do_not_add_up_are_found_corrected_and_found_clean(root: Path) -> None:
    document = told(root, "invalid-data")
    incident = closed(document)
    assert incident["component"] == "interface:orders-chaoyang"
    assert {alert["alertname"] for alert in incident["alerts"]} == {"DataInvalid"}
    (link,) = [link for link in incident["runbooks"] if link["id"] == "data-invalid"]
    assert link["params"] == {"validation": "till-orders-chaoyang"}
    (run,) = document["runs"]
    assert run["steps"][-1]["output"]["verdict"] == "clean"
    assert run["steps"][-1]["output"]["violations"] == 0


@pytest.mark.usefixtures("erp")
@pytest.mark.parametrize("crash", [(), ("--crash-at", "incident")], ids=["", "server killed"])
def test_a_runaway_job_is_ended_by_name(root: Path, crash: tuple[str, ...]) -> None:
    document = told(root, "host-pressure", *crash)
    # That the open incident named the job is checked by the story itself.
    assert closed(document)["component"] == "host:hq-server"
    assert fleet.report_job(Lab.load(root), 0).process() is None


@pytest.mark.usefixtures("erp")
def test_an_interrupted_demo_stops_everything_it_started(root: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "tillwatch",
        "demo",
        "--no-browser",
        "--dir",
        str(root),
        "--port",
        str(erp.free_port()),
    ]
    child = subprocess.Popen(argv, env=python_environment(), stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    said: list[str] = []
    for line in child.stderr:
        said.append(line)
        if "ready:" in line:
            break
    assert "ready:" in said[-1], "".join(said)
    pids = [process.pid for daemon in fleet.fleet(Lab.load(root)).values() if (process := daemon.process())]
    assert len(pids) >= 6
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert [pid for pid in pids if lives(pid)] == []
