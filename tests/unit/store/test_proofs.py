"""The last good state of an audit comes back as it was kept, and only what changed is written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import event, select

from tillwatch.model.proof import Bucket, Mark, Proof, SideProof
from tillwatch.store import proofs
from tillwatch.store.db import Database
from tillwatch.store.tables.audits import audit_buckets

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LARGEST = 2**64 - 1


def bucket(number: int, hours: int = 0) -> Bucket:
    return Bucket(
        left=Mark(rows=number, fingerprint=LARGEST - number),
        right=Mark(rows=0, fingerprint=number),
        verified_at=NOW - timedelta(hours=hours, microseconds=1),
    )


def proof(buckets: int = 2_000, **changes: object) -> Proof:
    values = {
        "audit": "stock",
        "run": 1,
        "signature": "s",
        "proven_at": NOW,
        "full_at": NOW,
        "swept_at": NOW,
        "deltas": 2,
        "left": SideProof(rows=7, basis="xmin:1", newest_change=NOW),
        "right": SideProof(rows=8),
        "exact_keys": True,
        "prefix": 5,
        "buckets": {f"店\x1f{number:05d}": bucket(number, number % 3) for number in range(buckets)},
        "known": ({"shop": "店", "sku": "a'b"},),
    }
    return Proof(**(values | changes))  # type: ignore[arg-type]


def kept(database: Database, audit: str = "stock") -> Proof | None:
    with database.read() as connection:
        return proofs.load(connection, audit)


def save(database: Database, state: Proof, base: Proof | None) -> None:
    database.write(lambda connection: proofs.save(connection, state, base=base))


def pages(database: Database) -> dict[int, str]:
    with database.read() as connection:
        rows = connection.execute(select(audit_buckets.c.page, audit_buckets.c.buckets)).all()
    return {row.page: repr(row.buckets) for row in rows}


def test_it_comes_back_as_it_was_kept(database: Database) -> None:
    assert kept(database) is None
    for state in (proof(), proof(0, run=2, known=None, prefix=0, unfinished_since=NOW), proof(10, run=3)):
        save(database, state, None)
        assert kept(database) == state
    assert kept(database, "another") is None


def test_a_run_that_changed_few_buckets_writes_few_pages(sqlite_database: Database) -> None:
    first = proof()
    save(sqlite_database, first, None)
    before = pages(sqlite_database)
    assert len(before) == 4
    name = "店\x1f00042"
    second = replace(first, run=2, buckets={**first.buckets, name: bucket(1), "new": bucket(2)})
    written: list[str] = []
    engine = sqlite_database._writers
    event.listen(engine, "before_cursor_execute", lambda *call: written.append(call[2]))
    save(sqlite_database, second, first)
    assert sum("INSERT INTO audit_buckets" in statement for statement in written) in (1, 2)
    assert kept(sqlite_database) == second


def test_pages_of_another_base_are_replaced_whole(database: Database) -> None:
    """Another process has proven the audit meanwhile: two runs are never mixed."""
    first = proof()
    save(database, first, None)
    save(database, proof(3, run=2), first)
    third = replace(first, run=3, buckets={name: first.buckets[name] for name in list(first.buckets)[:1_000]})
    save(database, third, first)
    assert kept(database) == third


def test_the_row_looked_at_longest_ago_is_known_without_reading_the_buckets(database: Database) -> None:
    save(database, proof(), None)
    save(database, proof(0, audit="orders", full_at=NOW - timedelta(days=1)), None)
    with database.read() as connection:
        assert proofs.oldest_verified(connection) == {
            "stock": NOW - timedelta(hours=2, microseconds=1),
            "orders": NOW - timedelta(days=1),
        }


def test_buckets_nobody_looks_at_are_neither_read_nor_written(sqlite_database: Database) -> None:
    first = proof()
    save(sqlite_database, first, None)
    said: list[str] = []
    for engine in (sqlite_database._writers, sqlite_database._readers):
        event.listen(engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    with sqlite_database.read() as connection:
        base = proofs.load(connection, "stock", later=sqlite_database.read)
    assert base is not None
    second = replace(base, run=2, deltas=3)
    save(sqlite_database, second, base)
    assert not any("audit_buckets" in statement for statement in said)
    assert kept(sqlite_database) == replace(first, run=2, deltas=3)
    with sqlite_database.read() as connection:
        assert proofs.oldest_verified(connection) == {"stock": first.oldest_verified_at}


def test_buckets_read_later_are_those_of_the_same_run_or_none(sqlite_database: Database) -> None:
    first = proof()
    save(sqlite_database, first, None)
    with sqlite_database.read() as connection:
        early = proofs.load(connection, "stock", later=sqlite_database.read)
        late = proofs.load(connection, "stock", later=sqlite_database.read)
    assert early is not None
    assert late is not None
    assert early == first
    save(sqlite_database, proof(10, run=2), first)
    assert len(late.buckets) == 0
    assert len(early.buckets) == len(first.buckets)
