"""The first schema. Its statements stand beside it, one file a dialect, and are written by `migrations.render`."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"0001_initial.{dialect}.sql").read_text(encoding="utf-8")
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first schema; delete the database instead")
