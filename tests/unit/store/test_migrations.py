"""The migration builds exactly the tables the code declares, on both dialects."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from tests.support.postgres import Postgres

from tillwatch.clock import ManualClock
from tillwatch.errors import StoreError
from tillwatch.store.db import Database
from tillwatch.store.migrations import current, render
from tillwatch.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/folder/new.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.url(postgres.create_database())


def test_the_migration_builds_the_declared_tables(empty_url: str, clock: ManualClock) -> None:
    database = Database.open(empty_url, clock=clock)
    database.migrate()
    database.close()
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
        assert current(connection) == "0001"
    engine.dispose()
    assert differences == [], "run: python -m tillwatch.store.migrations.render"


@pytest.mark.parametrize("dialect", sorted(render.DIALECTS))
def test_the_committed_statements_are_those_of_the_tables(dialect: str) -> None:
    written = render.path(dialect).read_text(encoding="utf-8")
    assert written == render.render(dialect), "run: python -m tillwatch.store.migrations.render"


def test_migrating_twice_changes_nothing(empty_url: str, clock: ManualClock) -> None:
    database = Database.open(empty_url, clock=clock)
    database.migrate()
    database.migrate()
    with database.read() as connection:
        assert current(connection) == "0001"
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_url: str, clock: ManualClock) -> None:
    database = Database.open(empty_url, clock=clock)
    database.migrate()
    database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreError, match="schema revision 9999, which this version does not know"):
        database.migrate()
    database.close()


def test_a_migration_that_fails_leaves_nothing_behind(
    empty_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for dialect in render.DIALECTS:
        statements = render.render(dialect) + "\nCREATE NONSENSE;\n"
        (tmp_path / f"0001_initial.{dialect}.sql").write_text(statements, encoding="utf-8")
    monkeypatch.setattr(Path, "with_name", lambda _self, name: tmp_path / name)
    database = Database.open(empty_url, clock=clock)
    with pytest.raises(StoreError, match="could not be migrated"):
        database.migrate()
    monkeypatch.undo()
    database.migrate()
    database.close()
