"""Fixtures for the store: `database` runs a test on SQLite and on a real PostgreSQL, `sqlite_database` on SQLite only."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.postgres import Postgres
from tillwatch.clock import ManualClock
from tillwatch.store.db import Database
from tillwatch.store.tables import metadata

# Tests build the schema from the tables; tests/unit/store/test_migrations.py proves that the migration builds the same.


def create_schema(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        metadata.create_all(connection)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            # As the product's own writer leaves the file.
            connection.execute(text("PRAGMA journal_mode = WAL"))
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only moves when the test says so."""
    return ManualClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template.db"
    create_schema(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    name = postgres.create_database()
    create_schema(postgres.url(name))
    return name


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A fresh SQLite file with the whole schema."""
    shutil.copy(sqlite_template, tmp_path / "tillwatch.db")
    return f"sqlite:///{tmp_path / 'tillwatch.db'}"


@pytest.fixture
def sqlite_database(sqlite_url: str, clock: ManualClock) -> Iterator[Database]:
    database = Database.open(sqlite_url, clock=clock)
    yield database
    database.close()


#: Empties the tables a test has used, drops those it made, and starts the numbers at 1 again: faster than a new database.
CLEAN = """
DO $$
DECLARE
    known text[] := ARRAY[{known}];
    one text;
    used boolean;
BEGIN
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        IF one <> ALL (known) THEN
            EXECUTE format('DROP TABLE %I CASCADE', one);
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', one) INTO used;
            IF used THEN
                EXECUTE format('TRUNCATE %I CASCADE', one);
            END IF;
        END IF;
    END LOOP;
    FOR one IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', one);
    END LOOP;
END $$
"""


@pytest.fixture
def postgres_database(postgres: Postgres, postgres_template: str, clock: ManualClock) -> Iterator[Database]:
    """A PostgreSQL database with the whole schema and nothing in it."""
    if not set(metadata.tables) <= postgres.tables(postgres_template):
        postgres.execute(postgres_template, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        create_schema(postgres.url(postgres_template))
    known = ", ".join(f"'{name}'" for name in metadata.tables)
    postgres.execute(postgres_template, CLEAN.format(known=known))
    database = Database.open(postgres.url(postgres_template), clock=clock)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each test runs twice: on SQLite and on a real PostgreSQL."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    database: Database = request.getfixturevalue(name)
    return database
