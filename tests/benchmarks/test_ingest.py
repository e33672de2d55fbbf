"""Durable ingest (SQLite, synchronous=FULL) beside Debian's real Alertmanager (memory only), same client, one run.

Figures, not tests: nothing fails for being slow. `make bench` prints both; the ratio is theirs to ours.
"""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests.support.postgres import free_port

from tillwatch.clock import SystemClock
from tillwatch.lab.daemon import python_environment

DEADLINE_SECONDS = 30.0
ROUNDS = 200
BATCH_ROUNDS = 50
BATCH_ALERTS = 20

CHAIN = """\
chain: {id: bench, timezone: Asia/Shanghai, currency: CNY}
store: {url: "sqlite:///var/tillwatch.db"}
listen: {host: 127.0.0.1, port: PORT}
channels: [{id: later, kind: webhook, url: "http://127.0.0.1:9/"}]
"""
#: Nobody is told while we measure: what is measured is taking alerts in, incident and outbox rows included.
ROUTES = """\
route: {receiver: later, group_wait: 1h}
receivers: [{id: later, channels: [later]}]
"""
ALERTMANAGER = """\
route: {receiver: nobody, group_by: ['...']}
receivers: [{name: nobody}]
"""

Post = Callable[[int], None]


def _started(argv: list[str], url: str, folder: Path) -> Iterator[Post]:
    clock = SystemClock()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=python_environment())
    numbers = itertools.count()
    try:
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            deadline = clock.monotonic() + DEADLINE_SECONDS
            while True:
                try:
                    client.get("/-/ready")
                    break
                except httpx.TransportError:
                    assert clock.monotonic() < deadline, (folder / "log").read_text()
                    clock.sleep(0.1)

            def post(count: int) -> None:
                alerts = [
                    {
                        "labels": {
                            "alertname": "Bench",
                            "instance": f"{next(numbers)}",
                            "severity": "warning",
                            "site": "s",
                        }
                    }
                    for _ in range(count)
                ]
                client.post("/api/v2/alerts", json=alerts).raise_for_status()

            yield post
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["alertmanager", "tillwatch"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if request.param == "alertmanager":
        program = shutil.which("prometheus-alertmanager")
        assert program, "tests/packages.sh installs prometheus-alertmanager"
        (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER, encoding="utf-8")
        argv = [program, f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/data"]
        yield from _started(
            [*argv, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], url, tmp_path
        )
        return
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN.replace("PORT", str(port)), encoding="utf-8")
    (tmp_path / "alerts" / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    yield from _started([sys.executable, "-m", "tillwatch", "-C", str(tmp_path), "serve"], url, tmp_path)


@pytest.mark.benchmark(group="single alert per POST, each new")
def test_single_alerts(benchmark: BenchmarkFixture, post: Post) -> None:
    benchmark.pedantic(post, args=(1,), rounds=ROUNDS, warmup_rounds=5)


@pytest.mark.benchmark(group=f"{BATCH_ALERTS} alerts per POST, each new")
def test_batches(benchmark: BenchmarkFixture, post: Post) -> None:
    benchmark.pedantic(post, args=(BATCH_ALERTS,), rounds=BATCH_ROUNDS, warmup_rounds=2)
