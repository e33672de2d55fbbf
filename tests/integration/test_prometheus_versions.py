"""Real Prometheus servers, Debian's and one of the 3 series, deliver what their rules find: firing, kept up, over."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.served_process import Server, serving_process

from tillwatch.clock import SystemClock
from tillwatch.lab.erp import free_port

ROOT = Path(__file__).parents[2]
#: Kept between runs; the folder of a checkout that git ignores.
UNPACKED = ROOT / ".cache/prometheus3"
FETCH_SECONDS = 240
PATIENCE_SECONDS = 60
#: How long the passing alert holds, counted from before Prometheus starts.
HOLDS_SECONDS = 12

pytestmark = pytest.mark.timeout(FETCH_SECONDS + 2 * PATIENCE_SECONDS)


def _binary(series: str) -> str:
    if series == "2":
        found = shutil.which("prometheus")
        assert found, "tests/packages.sh installs prometheus"
        return found
    if shutil.which("apt-get") is None:
        pytest.skip("a newer Prometheus is unpacked from a Debian package, and this system has no apt-get")
    done = subprocess.run(
        [ROOT / "tests/prometheus3.sh", UNPACKED], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return str(UNPACKED / "usr/bin/prometheus")


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Server]:
    with serving_process(tmp_path / "chain") as running:
        yield running


@pytest.mark.parametrize("series", ["2", "3"])
def test_its_rules_reach_the_router(series: str, router: Server, tmp_path: Path) -> None:
    binary = _binary(series)
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert re.search(rf"version {series}\.", told.stdout + told.stderr)
    clock = SystemClock()
    until = clock.now().timestamp() + HOLDS_SECONDS
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: story, rules: ["
        '{alert: Stays, expr: vector(1), labels: {severity: warning, site: chaoyang}, annotations: {summary: "一直"}},'
        f"{{alert: Passes, expr: vector(time()) < {until}}}]}}]\n",
        encoding="utf-8",
    )
    target = router.address.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f'alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{target}"]}}]}}]}}\n',
        encoding="utf-8",
    )
    argv = [binary, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    argv += [f"--web.listen-address=127.0.0.1:{free_port()}", "--rules.alert.resend-delay=2s"]
    with (tmp_path / "prometheus.log").open("w") as log, subprocess.Popen(argv, stderr=log, stdout=log) as prometheus:
        try:
            both = _until(router, {"Stays", "Passes"})
            assert both["Stays"]["labels"] == {"alertname": "Stays", "severity": "warning", "site": "chaoyang"}
            assert both["Stays"]["annotations"] == {"summary": "一直"}
            assert both["Stays"]["generatorURL"].startswith("http")
            left = _until(router, {"Stays"})
            assert left["Stays"]["status"]["state"] == "active"
            assert left["Stays"]["startsAt"] == both["Stays"]["startsAt"]
        finally:
            prometheus.terminate()


def _until(router: Server, names: set[str]) -> dict[str, Any]:
    """The alerts by name, once exactly these fire."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    with httpx.Client(base_url=router.address, timeout=10, trust_env=False) as client:
        while True:
            found = {one["labels"]["alertname"]: one for one in client.get("/api/v2/alerts").json()}
            if found.keys() == names:
                return found
            assert clock.monotonic() < deadline, found
            clock.sleep(0.2)
