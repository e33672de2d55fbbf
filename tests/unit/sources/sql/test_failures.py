"""A driver's error becomes the cause an operator can act on."""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceUnavailable
from tillwatch.sources.checks import cause_of
from tillwatch.sources.sql.failures import translated


def driver_error(words: str = "", *, state: str = "", number: int | None = None) -> Exception:
    error: Any = Exception(number, words) if number is not None else Exception(words)
    if state:
        error.sqlstate = state
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("original", "kind", "cause"),
    [
        (driver_error(state="28P01"), AuthRefused, Cause.AUTH),
        (driver_error(state="28000"), AuthRefused, Cause.AUTH),
        (driver_error(state="42P01"), SchemaMismatch, Cause.DATA),
        (driver_error(state="42703"), SchemaMismatch, Cause.DATA),
        (driver_error(state="42501"), SourceError, Cause.AUTHZ),
        (driver_error("function f(bigint) does not exist", state="42883"), SourceError, Cause.APPLICATION),
        (driver_error("FUNCTION shop.f does not exist", number=1305), SourceError, Cause.APPLICATION),
        (driver_error(state="57014"), SourceUnavailable, Cause.TIMEOUT),
        (driver_error(state="57P01"), SourceUnavailable, Cause.TCP),
        (driver_error(state="08006"), SourceUnavailable, Cause.TCP),
        (driver_error(state="53300"), SourceUnavailable, Cause.THROTTLE),
        (driver_error(state="25006"), SourceError, Cause.APPLICATION),
        (driver_error("Access denied", number=1045), AuthRefused, Cause.AUTH),
        (driver_error("denied", number=1142), SourceError, Cause.AUTHZ),
        (driver_error("gone", number=2006), SourceUnavailable, Cause.TCP),
        (driver_error("Can't connect (timed out)", number=2003), SourceUnavailable, Cause.TIMEOUT),
        (driver_error("Can't connect ([Errno 111] Connection refused)", number=2003), SourceUnavailable, Cause.TCP),
        (driver_error('FATAL: password authentication failed for user "u"'), AuthRefused, Cause.AUTH),
        (driver_error('致命错误:  用户 "u" Password 认证失败'), AuthRefused, Cause.AUTH),
        (driver_error('FATAL:  role "u" does not exist'), AuthRefused, Cause.AUTH),
        (driver_error('FATAL:  database "x" does not exist'), SchemaMismatch, Cause.DATA),
        (driver_error("no pg_hba.conf entry for host"), SourceError, Cause.AUTHZ),
        (driver_error("failed to resolve host 'x'"), SourceUnavailable, Cause.DNS),
        (driver_error("connection timeout expired"), SourceUnavailable, Cause.TIMEOUT),
        (driver_error("server does not support SSL, but SSL was required"), SourceUnavailable, Cause.TLS),
        (driver_error("database is locked"), SourceUnavailable, Cause.TIMEOUT),
        (driver_error("unable to open database file"), SourceUnavailable, Cause.TCP),
        (driver_error("no such column: x"), SchemaMismatch, Cause.DATA),
        (driver_error("file is not a database"), SourceError, Cause.APPLICATION),
        (driver_error("something new"), SourceError, Cause.APPLICATION),
    ],
)
def test_an_error_gets_its_class_and_cause(original: Exception, kind: type[SourceError], cause: Cause) -> None:
    error = translated(OperationalError("SELECT 1", {}, original), system="till", place="p", secrets=())
    assert type(error) is kind
    assert cause_of(error) is cause
    assert str(error).startswith("system 'till' at p could not be read: ")


def test_a_full_pool_is_our_own_throttle() -> None:
    error = translated(PoolTimeout("QueuePool limit"), system="till", place="p", secrets=())
    assert cause_of(error) is Cause.THROTTLE


def test_a_secret_in_a_drivers_words_is_taken_out_and_long_words_are_cut() -> None:
    original = driver_error("bad option password=s3cret " + "x" * 5000)
    error = translated(DBAPIError("SELECT", {}, original), system="till", place="p", secrets=("", "s3cret"))
    assert "s3cret" not in str(error)
    assert "password=***" in str(error)
    assert len(str(error)) < 500


def test_a_connection_the_pool_calls_dead_is_a_lost_connection() -> None:
    error = DBAPIError("SELECT", {}, driver_error("odd"), connection_invalidated=True)
    assert cause_of(translated(error, system="till", place="p", secrets=())) is Cause.TCP
