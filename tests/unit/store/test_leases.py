"""One owner at a time, and a late owner is fenced out."""

from datetime import timedelta

from tillwatch.clock import ManualClock
from tillwatch.store import leases
from tillwatch.store.db import Database

TTL = timedelta(seconds=30)


def acquire(database: Database, owner: str, clock: ManualClock) -> int | None:
    return database.write(lambda connection: leases.acquire(connection, "run:1", owner, TTL, clock.now()))


def renew(database: Database, owner: str, epoch: int, clock: ManualClock) -> bool:
    return database.write(lambda connection: leases.renew(connection, "run:1", owner, epoch, TTL, clock.now()))


def test_a_held_lease_is_not_given_to_anybody_not_even_to_its_owner(database: Database, clock: ManualClock) -> None:
    assert acquire(database, "a", clock) == 1
    assert acquire(database, "b", clock) is None
    assert acquire(database, "a", clock) is None


def test_a_renewed_lease_outlives_its_first_end(database: Database, clock: ManualClock) -> None:
    assert acquire(database, "a", clock) == 1
    clock.advance(20)
    assert renew(database, "a", 1, clock)
    clock.advance(20)
    assert acquire(database, "b", clock) is None
    clock.advance(10)
    assert acquire(database, "b", clock) == 2


def test_an_owner_that_slept_too_long_cannot_renew_or_release(database: Database, clock: ManualClock) -> None:
    assert acquire(database, "a", clock) == 1
    clock.advance(30)
    assert acquire(database, "b", clock) == 2
    assert not renew(database, "a", 1, clock)
    assert not database.write(lambda connection: leases.release(connection, "run:1", "a", 1, clock.now()))
    assert renew(database, "b", 2, clock)


def test_a_lease_that_ran_out_and_was_not_taken_can_be_kept(database: Database, clock: ManualClock) -> None:
    assert acquire(database, "a", clock) == 1
    clock.advance(300)
    assert renew(database, "a", 1, clock)


def test_a_released_lease_is_free_at_once_under_a_higher_epoch(database: Database, clock: ManualClock) -> None:
    assert acquire(database, "a", clock) == 1
    assert database.write(lambda connection: leases.release(connection, "run:1", "a", 1, clock.now()))
    assert acquire(database, "a", clock) == 2
