"""Signing keys are made once, links are used once, on both databases."""

from concurrent.futures import ThreadPoolExecutor

from tillwatch.clock import ManualClock
from tillwatch.store import links
from tillwatch.store.db import Database


def test_a_key_is_made_once_and_stays(database: Database, clock: ManualClock) -> None:
    first = links.signing_key(database, "ack-link", clock.now())
    assert len(first) == links.KEY_BYTES
    assert links.signing_key(database, "ack-link", clock.now()) == first
    assert links.signing_key(database, "other", clock.now()) != first


def test_processes_that_start_together_get_the_same_key(database: Database, clock: ManualClock) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: links.signing_key(database, "ack-link", clock.now()), range(16)))
    assert len(set(keys)) == 1


def test_a_link_is_used_once(database: Database, clock: ManualClock) -> None:
    def use(actor: str) -> bool:
        now = clock.now()
        return database.write(lambda c: links.use(c, 12, incident=7, actor=actor, now=now))

    assert [use("li"), use("wang")] == [True, False]
    with database.read() as connection:
        assert links.used(connection, 12) == links.Use(at=clock.now(), actor="li")
        assert links.used(connection, 13) is None
