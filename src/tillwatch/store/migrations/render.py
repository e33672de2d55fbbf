"""Write the statements of the first migration from the tables: `python -m tillwatch.store.migrations.render`.

Only until the first release; after it, a change of a table is a new revision beside the first one.
"""

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from tillwatch.store.migrations import FOLDER
from tillwatch.store.tables import metadata

DIALECTS = {name: make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql")}


def path(dialect: str) -> Path:
    return FOLDER / "versions" / f"0001_initial.{dialect}.sql"


def render(dialect: str) -> str:
    """Every CREATE statement for `dialect`, in the order of their dependencies, each ended by a semicolon."""
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=DIALECTS[dialect])))
        statements += [
            str(CreateIndex(index).compile(dialect=DIALECTS[dialect]))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    lines = (line.rstrip() for statement in statements for line in (statement.strip() + ";\n").split("\n"))
    return "\n".join(lines)


def main() -> None:
    for dialect in DIALECTS:
        path(dialect).write_text(render(dialect), encoding="utf-8")


if __name__ == "__main__":
    main()
