"""A reading gives its tail only when it is complete, and a breaker remembers exactly the refused credentials."""

from collections.abc import Iterator

import pytest

from tillwatch.errors import AuthRefused, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.base import MemoryBreaker, Reading, Tail, credential_digest


def reading_of(batches: list[list[Row]], closed: list[str]) -> Reading:
    def generate() -> Iterator[list[Row]]:
        yield from batches

    return Reading(generate(), lambda: Tail(rows=sum(map(len, batches))), lambda: closed.append("closed"))


def test_a_tail_of_half_a_reading_is_refused() -> None:
    reading = reading_of([[{"a": 1}], [{"a": 2}]], [])
    iterator = iter(reading)
    next(iterator)
    with pytest.raises(UsageError, match="not finished"):
        _ = reading.tail
    assert list(iterator) == [[{"a": 2}]]
    assert reading.tail.rows == 2


def test_an_empty_page_is_not_handed_over() -> None:
    assert list(reading_of([[], [{"a": 1}], []], [])) == [[{"a": 1}]]


def test_leaving_the_with_closes_whatever_happened() -> None:
    closed: list[str] = []
    with pytest.raises(ZeroDivisionError), reading_of([[{"a": 1}]], closed):
        raise ZeroDivisionError
    assert closed == ["closed"]


def test_refused_credentials_stay_refused_until_they_change_or_are_rearmed() -> None:
    breaker = MemoryBreaker()
    breaker.check("erp", "one")
    breaker.refused("erp", "one", "user 'u'")
    with pytest.raises(AuthRefused, match=r"user 'u'.*not tried again.*re-arm"):
        breaker.check("erp", "one")
    breaker.check("erp", "two")
    breaker.check("till", "one")
    breaker.rearm("erp")
    breaker.check("erp", "one")


def test_a_digest_changes_with_the_secret_and_its_place_and_shows_neither() -> None:
    digest = credential_digest("s3cret", "erp", "http://erp")
    assert digest == credential_digest("s3cret", "erp", "http://erp")
    others = {
        credential_digest("s3cret2", "erp", "http://erp"),
        credential_digest("s3cret", "erp", "http://other"),
        credential_digest("s3cret", "er", "phttp://erp"),
    }
    assert digest not in others
    assert len(others) == 3
    assert "s3cret" not in digest
