"""Refused credentials are not tried again, by any process, until they change or an operator says so."""

import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import AuthRefused
from tillwatch.store import breakers
from tillwatch.store.breakers import StoredBreaker
from tillwatch.store.db import Database


def test_refused_credentials_stay_refused_for_the_next_process(database: Database, clock: ManualClock) -> None:
    StoredBreaker(database, clock=clock).refused("erp", "digest-1", "HTTP 401")
    with pytest.raises(AuthRefused, match=r"system 'erp': these credentials were refused at .* \(HTTP 401\)"):
        StoredBreaker(database, clock=clock).check("erp", "digest-1")


def test_other_credentials_and_other_systems_may_be_tried(database: Database, clock: ManualClock) -> None:
    breaker = StoredBreaker(database, clock=clock)
    breaker.refused("erp", "digest-1", "HTTP 401")
    breaker.check("erp", "digest-2")
    breaker.check("till", "digest-1")


def test_a_rearmed_system_may_be_tried_again(database: Database, clock: ManualClock) -> None:
    breaker = StoredBreaker(database, clock=clock)
    breaker.refused("erp", "digest-1", "HTTP 401")
    assert breaker.rearm("erp")
    assert not breaker.rearm("erp")
    breaker.check("erp", "digest-1")


def test_the_first_refusal_of_the_same_credentials_stays_on_record(database: Database, clock: ManualClock) -> None:
    breaker = StoredBreaker(database, clock=clock)
    first = clock.now()
    breaker.refused("erp", "digest-1", "HTTP 401")
    clock.advance(60)
    breaker.refused("erp", "digest-1", "again")
    with database.read() as connection:
        assert [(one.opened_at, one.reason) for one in breakers.list_open(connection)] == [(first, "HTTP 401")]
    breaker.refused("erp", "digest-2", "new password, also wrong")
    with database.read() as connection:
        found = breakers.get(connection, "erp")
    assert found is not None
    assert (found.credential_digest, found.opened_at) == ("digest-2", clock.now())
