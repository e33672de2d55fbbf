"""Fixtures for the store: `database` runs a test on SQLite and on a real PostgreSQL, `sqlite_database` on SQLite only."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.support.postgres import Postgres
from tillwatch.clock import ManualClock
from tillwatch.store.db import Database
from tillwatch.store.tables import metadata

# Tests build the schema from the tables; tests/unit/store/test_migrations.py proves that the migration builds the same.


def create_schema(url: str) -> None:
    engine = create_engine(url)
    metadata.create_all(engine)
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


@pytest.fixture
def postgres_database(postgres: Postgres, postgres_template: str, clock: ManualClock) -> Iterator[Database]:
    """A fresh PostgreSQL database with the whole schema."""
    name = postgres.create_database(postgres_template)
    database = Database.open(postgres.url(name), clock=clock)
    yield database
    database.close()
    postgres.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each test runs twice: on SQLite and on a real PostgreSQL."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    database: Database = request.getfixturevalue(name)
    return database
