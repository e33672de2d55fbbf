"""`tillwatch probe list|run`: documents, words and exit codes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.probers.chains import chain
from tests.unit.probers.fakes import FAILED_TCP, FakeProber, FakeSource
from typer.testing import CliRunner, Result

from tillwatch.cli import main, probe
from tillwatch.clock import ManualClock
from tillwatch.metrics import Metrics
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.runner import ProbeRunner
from tillwatch.store.db import Database

PROBES = """\
  - {id: erp-api, name: {en: ERP interface, zh: 企业系统接口}, prober: fake, system: erp, every: 15s, fail_after: 1}
  - {id: till-db, prober: fake, system: till, every: 30s}
"""


class FakeSources:
    def get(self, system: str) -> FakeSource:  # noqa: ARG002
        return FakeSource()


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber()


@pytest.fixture
def call(
    tmp_path: Path, sqlite_database: Database, clock: ManualClock, prober: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> object:
    config = chain(tmp_path / "chain", PROBES)
    runner = ProbeRunner(
        config,
        {"fake": prober},
        FakeSources(),
        database=sqlite_database,
        clock=clock,
        on_verdict=lambda *_: None,
        metrics=Metrics(),
    )

    @contextmanager
    def opened(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(config=config, database=sqlite_database, probes=runner)

    monkeypatch.setattr(probe, "opened", opened)
    return lambda *words: CliRunner().invoke(main.app, list(words))


def test_run_prints_one_document_and_exits_0_when_all_is_well(call, prober: FakeProber) -> None:  # type: ignore[no-untyped-def]
    def measure(_: Target, recorder: Recorder) -> Finding:
        recorder.phase("connect", 0.0)
        recorder.measure("node_load1", 0.5)
        recorder.measure("node_filesystem_avail_bytes", 7, mountpoint="/")
        return OK

    prober.findings = [measure]
    done: Result = call("--json", "probe", "run", "erp-api")
    assert done.exit_code == 0, done.output
    (document,) = json.loads(done.stdout)
    assert document["probe"] == "erp-api"
    assert document["outcome"] == "ok"
    assert document["phases"] == {"connect": 0.0}
    assert document["measurements"] == {"node_load1": 0.5, 'node_filesystem_avail_bytes{mountpoint="/"}': 7}
    assert document["log"]


def test_run_all_exits_1_when_one_fails_and_shows_its_log(call, prober: FakeProber) -> None:  # type: ignore[no-untyped-def]
    prober.findings = [FAILED_TCP, OK]
    done: Result = call("probe", "run", "--all")
    assert done.exit_code == 1
    assert "erp-api: failed (tcp)" in done.stdout
    assert "refused" in done.stdout
    assert "till-db: ok" in done.stdout


def test_run_exits_3_when_it_could_not_look(call, prober: FakeProber) -> None:  # type: ignore[no-untyped-def]
    prober.findings = [Finding(outcome=Outcome.UNKNOWN, message="no way to look")]
    assert call("probe", "run", "erp-api").exit_code == 3


def test_run_without_a_name_or_with_an_unknown_one_says_what_to_do(call) -> None:  # type: ignore[no-untyped-def]
    assert "name the probes to run, or give --all" in str(call("probe", "run").exception)
    assert "did you mean 'erp-api'?" in str(call("probe", "run", "erp-apo").exception)


def test_list_shows_state_and_last_result_in_the_readers_language(call, prober: FakeProber) -> None:  # type: ignore[no-untyped-def]
    prober.findings = [FAILED_TCP]
    call("probe", "run", "erp-api")
    documents = json.loads(call("--json", "probe", "list").stdout)
    assert [(item["probe"], item["status"], item["cause"], item["alertname"]) for item in documents] == [
        ("erp-api", "failing", "tcp", "InterfaceDown"),
        ("till-db", "pending", "", ""),
    ]
    assert "企业系统接口" in call("probe", "list").stdout
    assert "ERP interface" in call("--lang", "en", "probe", "list").stdout
    assert "+08:00" in call("probe", "list").stdout
