"""Row numbers taken before the rows are written, so that rows that name each other go out in a few bulk statements."""

from sqlalchemy import Connection, Table, text

_POSTGRESQL = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)")
_SQLITE = text("SELECT seq FROM sqlite_sequence WHERE name = :table")


def reserve(connection: Connection, table: Table, count: int) -> list[int]:
    """`count` numbers for new rows of `table`, ascending, never given to another row.

    On PostgreSQL from the table's sequence. SQLite writes one transaction at a time and counts on from the largest
    number ever written, so the numbers that follow it are ours as long as they are written in this transaction and
    nothing else is added to the table before they are.
    """
    if count == 0:
        return []
    if connection.dialect.name == "postgresql":
        found = connection.execute(_POSTGRESQL, {"table": table.name, "count": count})
        return sorted(found.scalars())
    last = connection.execute(_SQLITE, {"table": table.name}).scalar_one_or_none() or 0
    return list(range(last + 1, last + 1 + count))
