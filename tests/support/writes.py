"""Writes of a test's own table `fact`, one by one or held back so that they share one commit."""

import threading
from concurrent.futures import Future

from sqlalchemy import Connection, text

from tillwatch.store.db import Database

WAIT_SECONDS = 30


def add(database: Database, number: int, note: str = "") -> "Future[int]":
    def job(connection: Connection) -> int:
        connection.execute(text("INSERT INTO fact (id, note) VALUES (:id, :note)"), {"id": number, "note": note})
        return number

    return database.submit(job)


def stored(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(text("SELECT id FROM fact ORDER BY id")).scalars())


class Hold:
    """Keeps the writer busy until released, so that what is submitted meanwhile shares one commit."""

    def __init__(self, database: Database) -> None:
        self._go = threading.Event()
        entered = threading.Event()

        def job(_connection: Connection) -> None:
            entered.set()
            assert self._go.wait(WAIT_SECONDS)

        self._future = database.submit(job)
        assert entered.wait(WAIT_SECONDS)

    def release(self) -> None:
        self._go.set()
        self._future.result(WAIT_SECONDS)
