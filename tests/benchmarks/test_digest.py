"""Digests beside reladiff on the same servers, in one run and on the same tables. Figures, not tests of speed: nothing
fails for being slow, only for being wrong.

reladiff is installed into an environment of its own, never into ours. It cannot take the text key of MariaDB, so beside
MariaDB it compares by the integer `id`, we by `sku`; between two PostgreSQL tables both compare by `sku`.
Ours is the strategy alone, without the fingerprints that a planned run leaves for the next.
TILLWATCH_BENCH_ROWS=10000000 takes ten million rows, the default is one million; TILLWATCH_BENCH_ROUNDS runs of each.
"""

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests.support.engines import Engines
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres

from tillwatch.lab.daemon import python_environment

ROWS = int(os.environ.get("TILLWATCH_BENCH_ROWS", "1000000"))
ROUNDS = int(os.environ.get("TILLWATCH_BENCH_ROUNDS", "3"))
RELADIFF = "reladiff[postgresql,mysql]==0.6.0"
COLUMNS = ("warehouse", "qty", "price", "name", "at")
HERE = Path(__file__).parent
#: TILLWATCH_BENCH_STRATEGY forces one; otherwise ours chooses.
STRATEGY = {name: value for name, value in os.environ.items() if name == "TILLWATCH_BENCH_STRATEGY"}
DIFFERENCES = {"0": 0, "100": 100, "1pct": ROWS // 100}


def rows() -> Iterator[str]:
    """Lines of CSV: id, sku, warehouse, qty, price (1 % NULL), name, at."""
    for n in range(ROWS):
        price = "" if n % 100 == 0 else f"{n % 500}.9900"
        at = f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d} {n % 24:02d}:{n % 60:02d}:{n % 59:02d}.{n * 37 % 1_000_000:06d}"
        yield f"{n},SKU{n * 7:012d},W{n % 20:02d},{n % 100_000}.{n % 10_000:04d},{price},商品名称 {n} 红色,{at}\n"


def planted(count: int) -> list[str]:
    """Statements that make `count` rows differ: 40 % changed in one column by the least there is, 30 % gone, 30 % new."""
    chosen = random.Random(count).sample(range(ROWS), count)
    changes = ("qty = qty + 0.0001", "price = coalesce(price, 0) + 0.01", "name = {name}", "at = {at}")
    statements = []
    for position, n in enumerate(chosen):
        where = f"WHERE id = {n}"
        if position % 10 < 4:
            statements.append(f"UPDATE {{table}} SET {changes[position % 10]} {where}")
        elif position % 10 < 7:
            statements.append(f"DELETE FROM {{table}} {where}")
        else:
            statements.append(
                f"INSERT INTO {{table}} SELECT {ROWS + n}, {{extra}}, warehouse, qty, price, name, at FROM {{table}}"
                f" WHERE id = {n}"
            )
    return statements


TABLE = "{table} (id bigint, sku varchar(24){binary} PRIMARY KEY, warehouse varchar(8), qty decimal(18,4),"
TABLE += " price decimal(18,4), name varchar(80), at {moment})"
DIALECTS = {
    "postgresql": {"binary": "", "moment": "timestamp(6)", "name": "name || '。'", "at": "at + interval '1 microsecond'", "extra": "sku || 'x'"},
    "mariadb": {"binary": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "moment": "datetime(6)", "name": "concat(name, '。')", "at": "at + interval 1 microsecond", "extra": "concat(sku, 'x')"},
}  # fmt: skip


@pytest.fixture(scope="module")
def engines(postgres: Postgres, mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Tables `truth` and `wrong_0`, `wrong_100`, `wrong_1pct` on each server, `truth` in SQLite."""
    engines = Engines(postgres=postgres, mariadb=mariadb, folder=tmp_path_factory.mktemp("bench"))
    csv = engines.folder / "rows.csv"
    csv.write_text("".join(rows()), encoding="utf-8")
    with closing(engines.connect("postgresql")) as connection:
        words = DIALECTS["postgresql"]
        connection.execute("CREATE TABLE " + TABLE.format(table="truth", **words))
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY truth FROM STDIN (FORMAT csv)") as copy,
            csv.open("rb") as file,
        ):
            while block := file.read(1 << 20):
                copy.write(block)
        fill(
            connection.cursor(),
            words,
            "CREATE TABLE {table} AS TABLE truth",
            "ALTER TABLE {table} ADD PRIMARY KEY (sku)",
            "CREATE INDEX ON {table} (id)",
        )
        connection.execute("VACUUM ANALYZE")
    mariadb.execute("SET GLOBAL local_infile = 1")
    mariadb.execute("SET GLOBAL innodb_buffer_pool_size = 1073741824")
    engines.url("mariadb")
    connection = mariadb.driver.connect(
        host="127.0.0.1", port=mariadb.port, user="tillwatch", charset="utf8mb4", autocommit=True, local_infile=True,
        database=engines.databases["mariadb"],
    )  # fmt: skip
    with closing(connection), connection.cursor() as cursor:
        words = DIALECTS["mariadb"]
        cursor.execute("CREATE TABLE " + TABLE.format(table="truth", **words))
        cursor.execute(
            f"LOAD DATA LOCAL INFILE '{csv}' INTO TABLE truth CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
            " (id, sku, warehouse, qty, @price, name, at) SET price = NULLIF(@price, '')"
        )
        cursor.execute("ALTER TABLE truth ADD INDEX (id)")
        fill(cursor, words, "CREATE TABLE {table} LIKE truth", "INSERT INTO {table} SELECT * FROM truth")
        cursor.execute("ANALYZE TABLE truth, wrong_0, wrong_100, wrong_1pct")
    with closing(sqlite3.connect(engines.folder / "till.db")) as till:
        till.execute(
            "CREATE TABLE truth (id integer, sku text PRIMARY KEY, warehouse text, qty, price, name text, at text)"
        )
        cells = (line.rstrip("\n").split(",") for line in rows())
        till.executemany(
            "INSERT INTO truth VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((i, s, w, float(q), float(p) if p else None, name, at) for i, s, w, q, p, name, at in cells),
        )
        till.commit()
    csv.unlink()
    return engines


def fill(cursor: "psycopg.Cursor[object]", words: dict[str, str], *make: str) -> None:
    for name, count in DIFFERENCES.items():
        table = f"wrong_{name}"
        for statement in make:
            cursor.execute(statement.format(table=table))  # type: ignore[arg-type]
        cursor.execute("BEGIN")
        for statement in planted(count):
            cursor.execute(statement.format(table=table, **words))  # type: ignore[arg-type]
        cursor.execute("COMMIT")


@pytest.fixture(scope="session")
def reladiff() -> Path:
    """The interpreter of reladiff's environment, made once a machine."""
    folder = Path(tempfile.gettempdir()) / "tillwatch-bench-reladiff-0.6.0"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", RELADIFF], check=True)
        (folder / "ready").touch()
    return python


def timed(benchmark: BenchmarkFixture, argv: list[str], expected: int, environment: dict[str, str]) -> None:
    """Run `argv` some times; its own seconds (without the interpreter's start), memory and findings are printed."""
    figures: list[str] = []

    def run() -> None:
        ended = subprocess.run(argv, capture_output=True, text=True, env=environment)
        assert ended.returncode == 0, ended.stderr[-2000:]
        found, seconds, peak, *rest = ended.stdout.split(maxsplit=3)
        assert int(found) == expected, ended.stdout
        figures.append(f"{seconds} s, {int(peak) / 1e6:.0f} MB {' '.join(rest)}")

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=0)
    benchmark.extra_info["runs"] = figures
    sys.stdout.write(f"\n{benchmark.name}: {'; '.join(figures)}\n")


PAIRS = [("postgresql", "postgresql"), ("postgresql", "mariadb")]


@pytest.mark.parametrize("differences", list(DIFFERENCES))
@pytest.mark.parametrize(("left", "right"), PAIRS)
@pytest.mark.parametrize("tool", ["reladiff", "tillwatch"])
def test_beside_reladiff(
    tool: str, left: str, right: str, differences: str, engines: Engines, reladiff: Path, benchmark: BenchmarkFixture
) -> None:
    benchmark.group = f"{left} and {right}, {ROWS} rows, {differences} differences"
    tables = [engines.url(left), "truth", engines.url(right), f"wrong_{differences}"]
    if tool == "tillwatch":
        argv = [sys.executable, str(HERE / "digest_run.py"), *tables, "sku", *COLUMNS]
        timed(benchmark, argv, DIFFERENCES[differences], {**python_environment(), **STRATEGY})
        return
    plain = [part.replace("+psycopg", "").replace("mariadb://", "mysql://") for part in tables]
    key, *columns = ["sku", *COLUMNS] if right == "postgresql" else ["id", "sku", *COLUMNS]
    argv = [str(reladiff), str(HERE / "peer_reladiff.py"), *plain, key, *columns]
    timed(benchmark, argv, DIFFERENCES[differences], dict(os.environ))


@pytest.mark.parametrize("left", ["postgresql", "mariadb"])
def test_beside_sqlite(left: str, engines: Engines, benchmark: BenchmarkFixture) -> None:
    """reladiff has no SQLite."""
    benchmark.group = f"{left} and sqlite, {ROWS} rows, 0 differences"
    tables = [engines.url(left), "truth", engines.url("sqlite"), "truth"]
    argv = [sys.executable, str(HERE / "digest_run.py"), *tables, "sku", *COLUMNS]
    timed(benchmark, argv, 0, {**python_environment(), **STRATEGY})


def test_the_physical_limit(engines: Engines, benchmark: BenchmarkFixture) -> None:
    """Both PostgreSQL tables hashed by the server at once, ungrouped, unguarded: nobody can be faster this way."""
    benchmark.group = f"postgresql and postgresql, {ROWS} rows, 0 differences"
    statement = (
        "SET max_parallel_workers_per_gather = 0; SET jit = off;"
        " SELECT sum(hash_record_extended(ROW(sku, warehouse, qty, price, name, at), 0)) FROM "
    )
    url = engines.url("postgresql").replace("+psycopg", "")
    program = (
        "import sys, threading, psycopg\n"
        "def run(table):\n"
        "    with psycopg.connect(sys.argv[1]) as c: c.execute(sys.argv[2] + table)\n"
        "threads = [threading.Thread(target=run, args=(table,)) for table in ('truth', 'wrong_0')]\n"
        "import time; started = time.perf_counter()\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(0, f'{time.perf_counter() - started:.3f}', 0)\n"
    )
    timed(benchmark, [sys.executable, "-c", program, url, statement], 0, {**python_environment(), **STRATEGY})
