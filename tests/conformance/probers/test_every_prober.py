"""What every prober must do, whatever it looks at."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from tests.support.endpoints import Endpoints
from tests.unit.probers.fakes import FakeSource

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.schema import Probe, System
from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.probers import host_reading
from tillwatch.probers.base import Prober, Target
from tillwatch.probers.frame import run_one
from tillwatch.probers.registry import builtin
from tillwatch.probers.workers import Workers
from tillwatch.sources.base import MemoryBreaker, Source
from tillwatch.sources.sql import SqlOptions, SqlSource

SECRET = "hunter2-geheim"
KINDS = ("http", "tcp", "tls", "dns", "sql", "freshness", "source", "host")
#: Longer than any healthy loopback answer, short enough for the suite.
TIMEOUT = timedelta(milliseconds=400)
PATIENT = timedelta(seconds=20)
#: The event loop needs a moment to act on a deadline, more on a busy machine.
SLACK_SECONDS = 5.0


@dataclass
class Case:
    """One thing to look at."""

    target: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None


class HangingSource(FakeSource):
    """A driver that does not come back until the test is over."""

    def __init__(self) -> None:
        super().__init__({"synced": []})
        self.release = threading.Event()
        self.entered = threading.Event()

    def _hang(self) -> Any:
        self.entered.set()
        self.release.wait(60)
        return []

    def check(self) -> Any:
        return self._hang()

    def query(self, statement: str, *, limit: int) -> Any:  # noqa: ARG002
        return self._hang()

    def read(self, *arguments: Any, **keywords: Any) -> Any:
        self._hang()
        return super().read(*arguments, **keywords)


def sql_source(url: str, root: Path) -> SqlSource:
    options = SqlOptions.model_validate(
        {"url": url, "datasets": {"synced": {"query": "SELECT order_ref, synced_at AS changed_at FROM orders"}}}
    )
    return SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=root)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[SqlSource]:
    engine = create_engine(f"sqlite:///{tmp_path / 'till.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (order_ref TEXT, synced_at TEXT)"))
        connection.execute(text("INSERT INTO orders VALUES ('CY-001', strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'))"))
    engine.dispose()
    source = sql_source(f"sqlite:///{tmp_path / 'till.db'}", tmp_path)
    yield source
    source.close()


@pytest.fixture
def lost(endpoints: Endpoints, tmp_path: Path) -> Iterator[SqlSource]:
    source = sql_source(f"postgresql+psycopg://till:{SECRET}@127.0.0.1:{endpoints.closed}/shop", tmp_path)
    yield source
    source.close()


@pytest.fixture
def hanging() -> Iterator[HangingSource]:
    source = HangingSource()
    yield source
    source.release.set()


FRESH = {"dataset": "synced", "max_age": timedelta(minutes=5)}


@pytest.fixture
def well(endpoints: Endpoints, till: SqlSource, kind: str, tls_port: Callable[[], tuple[int, str]]) -> Case:
    if kind == "tls":
        port, ca_file = tls_port()
        return Case(target=f"127.0.0.1:{port}", options={"ca_file": ca_file})
    return {
        "http": Case(target=f"http://127.0.0.1:{endpoints.http}/health"),
        "tcp": Case(target=f"127.0.0.1:{endpoints.banner}", options={"expect": "收银服务"}),
        "dns": Case(target="erp.example", options={"server": f"127.0.0.1:{endpoints.names}"}),
        "sql": Case(source=till),
        "freshness": Case(source=till, options=FRESH),
        "source": Case(source=till),
        # Other tests may hold the CPU: this one asks whether the prober works, not whether the machine is idle.
        "host": Case(options={"cpu_percent_max": 100, "memory_percent_max": 100, "disk_percent_max": 100}),
    }[kind]


@pytest.fixture
def unreachable(endpoints: Endpoints, lost: SqlSource, kind: str) -> Case:
    return {
        "http": Case(target=f"http://127.0.0.1:{endpoints.closed}/"),
        "tcp": Case(target=f"127.0.0.1:{endpoints.closed}"),
        "tls": Case(target=f"127.0.0.1:{endpoints.closed}"),
        "dns": Case(target="nowhere.example", options={"server": f"127.0.0.1:{endpoints.names}"}),
        "sql": Case(source=lost),
        "freshness": Case(source=lost, options=FRESH),
        "source": Case(source=lost),
    }[kind]


@pytest.fixture
def silent(endpoints: Endpoints, hanging: HangingSource, kind: str, monkeypatch: pytest.MonkeyPatch) -> Case:
    if kind == "host":
        # A dead network disk blocks the system call itself.
        monkeypatch.setattr(host_reading, "take", lambda **_: hanging.check())
    return {
        "http": Case(target=f"http://127.0.0.1:{endpoints.hanging}/"),
        "tcp": Case(target=f"127.0.0.1:{endpoints.silent}", options={"expect": "ready"}),
        "tls": Case(target=f"127.0.0.1:{endpoints.silent}"),
        "dns": Case(target="silent.example", options={"server": f"127.0.0.1:{endpoints.names}"}),
        "sql": Case(source=hanging),
        "freshness": Case(source=hanging, options=FRESH),
        "source": Case(source=hanging),
        "host": Case(),
    }[kind]


@pytest.fixture
def prober(kind: str) -> Prober:
    return builtin(Workers())[kind]


def target(prober: Prober, case: Case, *, timeout: timedelta = PATIENT) -> Target:
    probe = Probe(id="p", prober=prober.kind, target=case.target, every=timedelta(seconds=15), timeout=timeout)
    return Target(
        probe=probe,
        options=prober.Options.model_validate(case.options),
        system=System(id="till", source="fake") if case.source else None,
        source=case.source,
        secrets=(SECRET,),
    )


def looked(prober: Prober, case: Case, *, timeout: timedelta = PATIENT) -> ProbeResult:
    result = asyncio.run(run_one(target(prober, case, timeout=timeout), prober, clock=SystemClock()))
    gc.collect()  # an abandoned socket would warn here, and a warning is an error
    assert_sound(result)
    return result


def assert_sound(result: ProbeResult) -> None:
    """Holds for every result of every prober."""
    assert result.log, "a result without a log answers no question at night"
    assert all(seconds >= 0 for seconds in result.phases.values())
    assert sum(result.phases.values()) <= result.seconds + 0.001
    assert SECRET not in repr(result)
    assert (result.outcome in {Outcome.OK}) == (not result.message)
    assert (result.cause is Cause.NONE) or result.outcome in {Outcome.FAILED, Outcome.DEGRADED}


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_target_is_ok(prober: Prober, well: Case) -> None:
    result = looked(prober, well)
    assert result.outcome is Outcome.OK, result.log
    assert result.phases


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "host"])
def test_an_unreachable_target_is_failed_with_the_cause_of_the_network(prober: Prober, unreachable: Case) -> None:
    result = looked(prober, unreachable)
    assert result.outcome is Outcome.FAILED
    assert result.cause in {Cause.TCP, Cause.DNS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_does_not_answer_is_failed_by_the_deadline(prober: Prober, silent: Case) -> None:
    result = looked(prober, silent, timeout=TIMEOUT)
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TIMEOUT)
    assert result.seconds < TIMEOUT.total_seconds() + SLACK_SECONDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_can_be_cancelled_and_gives_back_what_it_opened(prober: Prober, silent: Case) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(run_one(target(prober, silent), prober, clock=SystemClock()))
        done, _ = await asyncio.wait({task}, timeout=0.1)
        assert not done, "it was meant to hang"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, SLACK_SECONDS)

    asyncio.run(scenario())
    gc.collect()


@pytest.mark.parametrize("kind", ["http", "tcp", "tls", "dns"])
@pytest.mark.parametrize("text_", ["", " ", "http://", "::::", "a b", "x:99999", "http://[::1", "\x00", "é" * 300])
def test_a_malformed_target_is_unknown_and_says_so(prober: Prober, text_: str) -> None:
    result = looked(prober, Case(target=text_))
    assert result.outcome in {Outcome.UNKNOWN, Outcome.FAILED}
    if result.outcome is Outcome.FAILED:
        assert result.cause is Cause.DNS
    assert "itself failed" not in result.message


@pytest.mark.parametrize("kind", ["sql", "freshness", "source"])
def test_without_a_connection_a_probe_of_a_system_is_unknown(prober: Prober) -> None:
    result = looked(prober, Case(options=FRESH if prober.kind == "freshness" else {}))
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.NONE)
    assert "needs the key 'system'" in result.message


@pytest.mark.parametrize("kind", KINDS)
def test_many_runs_at_once_do_not_disturb_each_other(prober: Prober, well: Case) -> None:
    async def scenario() -> list[ProbeResult]:
        targets = [target(prober, well) for _ in range(8)]
        for number, one in enumerate(targets):
            object.__setattr__(one, "probe", one.probe.model_copy(update={"id": f"p{number}"}))
        return list(await asyncio.gather(*(run_one(one, prober, clock=SystemClock()) for one in targets)))

    results = asyncio.run(scenario())
    for result in results:
        assert_sound(result)
    assert [result.outcome for result in results] == [Outcome.OK] * 8


@pytest.mark.parametrize("kind", ["http", "tcp", "dns", "sql", "source"])
def test_the_clock_that_is_passed_in_is_the_one_that_is_read(prober: Prober, well: Case) -> None:
    clock = ManualClock()
    result = asyncio.run(run_one(target(prober, well), prober, clock=clock))
    assert (result.started_at, result.seconds) == (clock.now(), 0.0)
