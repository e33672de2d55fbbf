"""Schema migrations (Alembic), run inside one transaction on both dialects."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tillwatch.errors import StoreError

FOLDER = Path(__file__).parent
#: Processes that start together migrate one after the other. Any constant will do; it must never change.
_MIGRATION_LOCK_KEY = 0x7111_0A7D


def scripts() -> ScriptDirectory:
    """The revisions in `versions/`."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def current(connection: Connection) -> str | None:
    """The revision the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision within the caller's transaction: all of it or nothing.

    Raises StoreError when the database was written by a newer version, which this one must not touch.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK_KEY})
    directory = scripts()
    at = current(connection)
    if at == directory.get_current_head():
        return
    if at is not None and at not in {script.revision for script in directory.walk_revisions()}:
        raise StoreError(
            f"the database is at schema revision {at}, which this version does not know; it was written by a newer "
            "tillwatch: install that version, or restore the backup made before the update"
        )
    with EnvironmentContext(
        Config(), directory, fn=lambda revision, _context: directory._upgrade_revs("head", revision)
    ) as environment:
        environment.configure(connection=connection, transactional_ddl=True, transaction_per_migration=False)
        with environment.begin_transaction():
            environment.run_migrations()
