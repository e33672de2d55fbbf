"""A repeat audit of a table of which little changed, on two real databases: by fingerprints, by change field, by
digests of everything, and reladiff beside them on the same tables.

One changed row in a thousand, on both sides alike, once in one place (new orders) and once scattered over the table.
TILLWATCH_BENCH_ROWS sets the size (1,000,000). Figures, not tests: nothing fails for being slow, only for a wrong answer.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests.benchmarks.test_digest import reladiff as reladiff
from tests.support.database import create_schema
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, TwoSides, audit, mariadb_store, postgres_store

from tillwatch.clock import ManualClock
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.store.db import Database

ROWS = int(os.environ.get("TILLWATCH_BENCH_ROWS", "1000000"))
CHANGED = ROWS // 1000
COLUMNS = (
    "(id bigint NOT NULL, shop varchar(20) NOT NULL, sku varchar(20) NOT NULL, quantity numeric(18,4), note varchar(80),"
    " updated_at timestamp(6) NULL, PRIMARY KEY (shop, sku))"
)
POSTGRES_ROWS = (
    "INSERT INTO stock SELECT n, 's' || n % 8, lpad(n::text, 10, '0'), n / 4.0, '商品 ' || n,"
    " timestamp '2026-11-24 02:00:00' - interval '1 second' * ({rows} - n) FROM generate_series(1, {rows}) n"
)
MARIADB_ROWS = (
    "INSERT INTO stock SELECT seq, concat('s', seq % 8), lpad(seq, 10, '0'), seq / 4, concat('商品 ', seq),"
    " timestamp '2026-11-24 02:00:00' - interval {rows} - seq second FROM seq_1_to_{rows}"
)
PEER = Path(__file__).with_name("peer_reladiff.py")
PLACES = {"together": "sku > lpad('{after}', 10, '0')", "scattered": "sku LIKE '%%{digit}77'"}


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def sides(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoSides]:
    folder = tmp_path_factory.mktemp("repeat")
    create_schema(f"sqlite:///{folder / 'tillwatch.db'}")
    clock = ManualClock()
    database = Database.open(f"sqlite:///{folder / 'tillwatch.db'}", clock=clock)
    other = mariadb(request) if request.param == "mariadb" else postgres_store(postgres)
    with postgres_store(postgres) as left, other as right:
        for store in (left, right):
            store.execute(f"CREATE TABLE stock {COLUMNS}")
            fill = MARIADB_ROWS if store.url.startswith("mariadb") else POSTGRES_ROWS
            store.execute(fill.format(rows=ROWS))
            store.execute("CREATE INDEX stock_updated_at ON stock (updated_at)")
            store.execute("CREATE UNIQUE INDEX stock_id ON stock (id)")
            store.execute("ANALYZE TABLE stock" if store.url.startswith("mariadb") else "VACUUM ANALYZE stock")
        spec = audit(timeout=timedelta(hours=2), changed_by="updated_at", verify_share=0.01)
        sides = TwoSides(
            left=left, right=right, database=database, clock=clock, folder=Path(folder), spec=spec, timeout_seconds=3600
        )
        assert sides.run("digest").verdict is Verdict.CLEAN
        yield sides
        sides.close()
    database.close()


def mariadb(request: pytest.FixtureRequest) -> AbstractContextManager[Store]:
    server: MariaDb = request.getfixturevalue("mariadb")
    return mariadb_store(server)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("strategy", ["fingerprint", "delta", "digest"])
def test_repeat_audit(benchmark: BenchmarkFixture, sides: TwoSides, strategy: str, place: str) -> None:
    rounds = iter(range(1, 10))
    reports: list[AuditReport] = []

    def change() -> None:
        """A thousandth of the rows, others each time, proven up to then."""
        number = next(rounds)
        where = PLACES[place].format(after=ROWS - CHANGED, digit=number)
        now = f"{sides.clock.now():%Y-%m-%d %H:%M:%S}"
        sides.clock.jump(600)
        sides.both(f"UPDATE stock SET quantity = quantity + 1, updated_at = '{now}' WHERE {where}".replace("%%", "%"))

    benchmark.pedantic(
        lambda: reports.append(sides.run(strategy)), setup=change, rounds=1 if strategy == "digest" else 3, iterations=1
    )
    assert [(report.verdict, report.strategy) for report in reports] == [(Verdict.CLEAN, strategy)] * len(reports)
    last = reports[-1]
    benchmark.extra_info.update(rows=last.left.rows, rows_read=last.evidence["rows_read"], load=os.getloadavg()[0])


@pytest.mark.timeout(3600)
def test_reladiff_beside_it(benchmark: BenchmarkFixture, sides: TwoSides, reladiff: Path) -> None:
    """By `id` on either pair: it takes neither a composite key nor the text key of MariaDB."""
    urls = [store.url.replace("+psycopg", "").replace("mariadb://", "mysql://") for store in (sides.left, sides.right)]
    argv = [str(reladiff), str(PEER), urls[0], "stock", urls[1], "stock", "id", "shop", "sku", "quantity", "note"]
    said: list[str] = []
    benchmark.pedantic(
        lambda: said.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout),
        rounds=1,
        iterations=1,
    )
    found, seconds, _ = said[0].split()
    assert found == "0"
    benchmark.extra_info.update(seconds=float(seconds), load=os.getloadavg()[0])
