"""A part of a transaction that can fail alone."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what happens inside when it raises; the error that comes out is the one that went in.

    SQLite drops the whole transaction when its disk is full, savepoints with it. Going back to one then fails too, and
    that second error must not hide the first, which is the one that says what to do.
    """
    point = connection.begin_nested()
    try:
        yield
        point.commit()
    except BaseException:
        with suppress(DBAPIError):
            point.rollback()
        raise
