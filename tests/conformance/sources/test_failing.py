"""What any source owes an operator: one login, the right cause, the place, and never a secret."""

import socket
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest
from tests.conformance.sources.conftest import WRONG_PASSWORD, Subject, erp_source, odata_source, sql_source
from tests.conformance.sources.test_reading import rows_of

from tillwatch.errors import AuthRefused, Cause, RefusedError, SourceUnavailable
from tillwatch.lab.erp import Erp
from tillwatch.sources.base import CheckOutcome, MemoryBreaker, OrderDocument, Source


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield int(listener.getsockname()[1])


def refusing(subject: Subject, breaker: MemoryBreaker) -> tuple[Source, Callable[[], int]]:
    if subject.refusing is None or subject.refused_logins is None:
        pytest.skip("a file has no password")
    return subject.refusing(breaker), subject.refused_logins


def test_what_cannot_be_reached_says_so_and_skips_the_rest(subject: Subject) -> None:
    source = subject.unreachable()
    first, *rest = source.check()
    assert (first.outcome, first.cause) == (CheckOutcome.FAIL, Cause.TCP)
    assert source.id in first.message
    assert {check.outcome for check in rest} == {CheckOutcome.SKIPPED}
    with pytest.raises(SourceUnavailable) as failure:
        rows_of(source)
    assert failure.value.cause is Cause.TCP
    source.close()


def test_a_wrong_password_is_tried_exactly_once_whatever_is_asked(subject: Subject) -> None:
    breaker = MemoryBreaker()
    source, refused_logins = refusing(subject, breaker)
    before = refused_logins()
    checks = source.check()
    assert Cause.AUTH in {check.cause for check in checks}
    for _ in range(3):
        with pytest.raises(AuthRefused, match="password"):
            rows_of(source)
    with pytest.raises(AuthRefused):
        source.describe()
    source.close()
    assert refused_logins() == before + 1


def test_many_threads_with_a_wrong_password_make_one_login(subject: Subject) -> None:
    breaker = MemoryBreaker()
    source, refused_logins = refusing(subject, breaker)
    before = refused_logins()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            rows_of(source)
        except AuthRefused as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    source.close()
    assert len(failures) == 8
    assert refused_logins() == before + 1


def test_another_source_with_the_same_credentials_does_not_try_them_again(subject: Subject) -> None:
    breaker = MemoryBreaker()
    source, refused_logins = refusing(subject, breaker)
    with pytest.raises(AuthRefused):
        rows_of(source)
    source.close()
    again, _ = refusing(subject, breaker)
    before = refused_logins()
    with pytest.raises(AuthRefused, match="not tried again"):
        rows_of(again)
    assert refused_logins() == before
    breaker.rearm(again.id)
    with pytest.raises(AuthRefused):
        rows_of(again)
    assert refused_logins() == before + 1
    again.close()


def test_no_message_repr_or_trace_holds_the_password(subject: Subject) -> None:
    source, _ = refusing(subject, MemoryBreaker())
    said = [repr(source), str(source), *(repr(check) for check in source.check())]
    for _ in range(2):
        try:
            rows_of(source)
        except AuthRefused as error:
            said += [str(error), repr(error), "".join(traceback.format_exception(error))]
            said += [repr(link) for link in (error.__cause__, error.__context__) if link is not None]
    source.close()
    assert len(said) > 4
    assert not [text for text in said if WRONG_PASSWORD in text or "wr0ng" in text]


def test_a_secret_in_a_url_is_not_repeated_by_an_error() -> None:
    for url in ("postgresql://u:s3cret@127.0.0.1:1/x", "sqlite:////no/s3cret-free/path.db"):
        source = sql_source(url, 10)
        with pytest.raises(SourceUnavailable) as failure:
            rows_of(source)
        assert "u:s3cret" not in repr(failure.value) + repr(source) + repr(source._options)


@pytest.mark.parametrize("kind", ["sql", "tryton", "odata"])
def test_a_system_that_hangs_is_a_timeout_not_a_hanging_probe(kind: str, silent_port: int, erp: Erp) -> None:
    if kind == "sql":
        source: Source = sql_source(f"postgresql://u@127.0.0.1:{silent_port}/x", 10)
    elif kind == "odata":
        source = odata_source(f"http://127.0.0.1:{silent_port}", timeout_seconds="0.2")
    else:
        source = erp_source(erp, url=f"http://127.0.0.1:{silent_port}", timeout_seconds="0.2")
    check, *_ = source.check()
    assert (check.outcome, check.cause) == (CheckOutcome.FAIL, Cause.TIMEOUT)
    source.close()


@pytest.mark.parametrize("kind", ["sql", "tryton", "odata"])
def test_a_name_nobody_knows_is_a_dns_failure(kind: str, erp: Erp) -> None:
    if kind == "sql":
        source: Source = sql_source("postgresql://u@no-such-host.invalid/x", 10)
    elif kind == "odata":
        source = odata_source("http://no-such-host.invalid:8000")
    else:
        source = erp_source(erp, url="http://no-such-host.invalid:8000")
    check, *_ = source.check()
    assert (check.outcome, check.cause) == (CheckOutcome.FAIL, Cause.DNS)
    source.close()


def test_a_database_source_never_writes(subject: Subject) -> None:
    if subject.name == "tryton":
        pytest.skip("it may, when told to")
    source = subject.open(10)
    with pytest.raises(RefusedError, match="read only"):
        source.plan(OrderDocument(reference="X-1", lines=()))
    source.close()


def test_a_query_that_tries_to_write_changes_nothing(subject: Subject) -> None:
    if subject.name == "tryton" or subject.name.startswith("odata"):
        pytest.skip("it takes no queries")
    source = subject.open(10)
    before = rows_of(source)[1].rows
    # What a dataset's validator would refuse, straight at the connection: the database itself must say no.
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        source.query("DELETE FROM items", limit=1)  # type: ignore[attr-defined]
    assert rows_of(source)[1].rows == before
    source.close()
