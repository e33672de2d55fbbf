"""Several audits at once: a real PostgreSQL is never asked more than two things at a time, whatever the strategy."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import psycopg
import pytest
from tests.support.audits import ZONE
from tests.support.engines import audited, spec_of
from tests.support.postgres import Postgres

from tillwatch.audit.turns import QUERIES_PER_DATABASE, SHARED
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Audit, Field
from tillwatch.config.secrets import Secret
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.options import SqlDataset

ROWS = 50
#: Every query takes so long, so that queries of audits that run at once overlap.
SLOW = "SELECT id, qty FROM stock CROSS JOIN (SELECT pg_sleep(0.05)) AS slow"
BUSY = (
    "SELECT datname, count(*) FROM pg_stat_activity"
    " WHERE application_name = 'tillwatch' AND state = 'active' GROUP BY datname"
)
#: Which of the two databases are left and right: swapped sides, and one database under two systems.
SIDES = ((0, 1), (1, 0), (0, 0), (0, 1), (1, 0), (1, 1))
STRATEGIES = ("stream", "digest", "stream")


@dataclass
class Watch:
    """Counts the queries of ours that a server works on, again and again."""

    dsn: str
    names: tuple[str, ...]
    most: dict[str, int] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.stop.wait(0.005):
                for name, count in connection.execute(BUSY).fetchall():
                    self.most[name] = max(self.most.get(name, 0), count)


@pytest.fixture
def databases(postgres: Postgres) -> tuple[str, str]:
    names = postgres.create_database(), postgres.create_database()
    for name in names:
        with psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE TABLE stock (id int PRIMARY KEY, qty int)")
            connection.execute(f"INSERT INTO stock SELECT n, n FROM generate_series(1, {ROWS}) AS n")
    return names


@pytest.fixture
def watch(postgres: Postgres, databases: tuple[str, str]) -> Iterator[Watch]:
    watch = Watch(dsn=postgres.url(databases[0]).replace("+psycopg", ""), names=databases)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    yield watch
    watch.stop.set()
    thread.join(10)


def test_two_queries_at_a_time_run_in_a_database_however_many_audits_run(
    postgres: Postgres, databases: tuple[str, str], watch: Watch, tmp_path: Path
) -> None:
    opened: list[SqlSource] = []

    def source(side: str, name: str, host: str) -> SqlSource:
        url = postgres.url(name).replace("127.0.0.1", host)
        options = SqlOptions(url=Secret(url), timezone=ZONE, datasets={"rows": SqlDataset(query=SLOW)})
        opened.append(SqlSource(side, options, clock=SystemClock(), breaker=MemoryBreaker(), root=tmp_path))
        return opened[-1]

    def audit(sides: tuple[int, int], strategy: str) -> AuditReport:
        left, right = (databases[number] for number in sides)
        spec: Audit = spec_of(["id"], {"qty": Field(type="integer")})
        # Two names of one machine are one database all the same.
        return audited(source("left", left, "127.0.0.1"), source("right", right, "localhost"), spec, strategy)

    with ThreadPoolExecutor(len(SIDES)) as pool:
        reports = list(pool.map(audit, SIDES, cycle(STRATEGIES)))
    for one in opened:
        one.close()
    assert [report.verdict for report in reports] == [Verdict.CLEAN] * len(SIDES), [one.reason for one in reports]
    assert [report.strategy for report in reports] == [*STRATEGIES, *STRATEGIES]
    assert [watch.most[name] for name in databases] == [QUERIES_PER_DATABASE] * 2
    assert SHARED.busy() == {}
