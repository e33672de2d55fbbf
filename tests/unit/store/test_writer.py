"""Group commit: stored before acknowledged, and one caller's mistake is its own."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from tillwatch.errors import StoreError
from tillwatch.store.db import tune_sqlite
from tillwatch.store.writer import Writer


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/store.db", poolclass=NullPool)
    tune_sqlite(engine, "BEGIN IMMEDIATE")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE fact (id INTEGER PRIMARY KEY)"))
    return engine


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    writer = Writer(engine)
    writer.start()
    yield writer
    if not writer._closed:
        writer.stop()


def insert(number: int) -> Callable[[Connection], int]:
    def job(connection: Connection) -> int:
        connection.execute(text("INSERT INTO fact VALUES (:id)"), {"id": number})
        return number

    return job


def stored(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM fact ORDER BY id")).scalars())


def test_a_resolved_future_means_the_row_is_there_for_everybody(writer: Writer, engine: Engine) -> None:
    assert writer.submit(insert(1)).result(10) == 1
    assert stored(engine) == [1]


def test_one_jobs_own_error_undoes_only_that_job(writer: Writer, engine: Engine) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("INSERT INTO fact VALUES (99)"))
        raise ValueError("poison")

    futures = [writer.submit(job) for job in (insert(1), broken, insert(2))]
    assert [future.exception(10) is None for future in futures] == [True, False, True]
    assert stored(engine) == [1, 2]


def test_a_broken_constraint_is_the_fault_of_its_own_job_only(writer: Writer, engine: Engine) -> None:
    futures = [writer.submit(insert(number)) for number in (1, 1, 2)]
    assert [future.exception(10) is None for future in futures] == [True, False, True]
    assert stored(engine) == [1, 2]


def test_stopping_first_stores_what_was_accepted(writer: Writer, engine: Engine) -> None:
    futures = [writer.submit(insert(number)) for number in range(2000)]
    writer.stop()
    assert all(future.done() for future in futures)
    assert len(stored(engine)) == 2000
    with pytest.raises(StoreError, match="stopped"):
        writer.submit(insert(1))


def test_a_full_queue_refuses_instead_of_growing(engine: Engine) -> None:
    waiting = Writer(engine, max_waiting=2)
    waiting.submit(insert(1))
    waiting.submit(insert(2))
    with pytest.raises(StoreError, match="2 writes are waiting"):
        waiting.submit(insert(3))


def test_a_database_that_fails_acknowledges_nothing(writer: Writer, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE fact"))
    with pytest.raises(StoreError, match="nothing was stored: no such table"):
        writer.submit(insert(1)).result(10)


class Counting:
    """Stores numbers, and remembers how many came together."""

    def __init__(self) -> None:
        self.together: list[int] = []

    def store(self, connection: Connection, numbers: Sequence[int]) -> list[int]:
        self.together.append(len(numbers))
        for number in numbers:
            insert(number)(connection)
        return [-number for number in numbers]


@pytest.fixture
def held(engine: Engine) -> Iterator[Writer]:
    """A writer whose first transaction begins when everything is queued."""
    writer = Writer(engine)
    yield writer
    writer.stop()


def test_items_that_wait_together_are_handled_together_and_each_gets_its_own_answer(
    held: Writer, engine: Engine
) -> None:
    counting = Counting()
    futures = [held.submit_item(counting.store, number) for number in (1, 2, 3)]
    held.start()
    assert [future.result(10) for future in futures] == [-1, -2, -3]
    assert counting.together == [3]
    assert stored(engine) == [1, 2, 3]


def test_another_job_between_them_keeps_its_place(held: Writer) -> None:
    counting = Counting()
    held.submit_item(counting.store, 1)
    between = held.submit(lambda connection: connection.execute(text("SELECT count(*) FROM fact")).scalar_one())
    last = held.submit_item(counting.store, 2)
    held.start()
    assert (between.result(10), last.result(10)) == (1, -2)
    assert counting.together == [1, 1]


@pytest.mark.parametrize("others", [[], [4]])
def test_of_items_handled_together_only_the_broken_one_is_refused(
    held: Writer, engine: Engine, others: list[int]
) -> None:
    counting = Counting()
    futures = [held.submit_item(counting.store, number) for number in (1, 1, 2)]
    last = [held.submit(insert(number)) for number in others]
    held.start()
    assert [type(future.exception(10)).__name__ for future in futures] == ["NoneType", "IntegrityError", "NoneType"]
    assert [future.result(10) for future in last] == others
    assert stored(engine) == [1, 2, *others]
