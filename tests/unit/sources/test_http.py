"""Every way a request can fail has its cause, and what may have been executed is told from what was never sent."""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SourceError, SourceUnavailable
from tillwatch.sources.budget import Budget
from tillwatch.sources.http import MAX_ANSWER_BYTES, AnswerLost, Transport, retry_after_seconds

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
Handler = Callable[[httpx.Request], httpx.Response]


def transport(handler: Handler, clock: ManualClock | None = None) -> Transport:
    clock = clock or ManualClock()
    return Transport(
        "erp",
        clock=clock,
        budget=Budget("erp", 600, clock=clock),
        timeout_seconds=5,
        connect_timeout_seconds=1,
        transport=httpx.MockTransport(handler),
    )


def raising(error: Exception) -> Handler:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


def connect_error(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError("no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause", "maybe_executed"),
    [
        (connect_error(ConnectionRefusedError()), Cause.TCP, False),
        (connect_error(socket.gaierror()), Cause.DNS, False),
        (connect_error(ssl.SSLError()), Cause.TLS, False),
        (httpx.ConnectTimeout("no"), Cause.TIMEOUT, False),
        (httpx.PoolTimeout("no"), Cause.TIMEOUT, False),
        (httpx.ReadTimeout("no"), Cause.TIMEOUT, True),
        (httpx.WriteTimeout("no"), Cause.TIMEOUT, True),
        (httpx.ReadError("no"), Cause.TCP, True),
        (httpx.RemoteProtocolError("no"), Cause.TCP, True),
    ],
)
def test_a_broken_request_names_its_cause_and_whether_it_was_sent(
    error: Exception, cause: Cause, maybe_executed: bool
) -> None:
    with pytest.raises(SourceUnavailable, match="'erp' at http://erp/") as failure:
        transport(raising(error)).post("http://erp/", b"{}")
    assert failure.value.cause is cause
    assert isinstance(failure.value, AnswerLost) is maybe_executed


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_may_have_been_executed(status: int) -> None:
    with pytest.raises(AnswerLost, match=f"HTTP {status}: broken pipe"):
        transport(lambda _: httpx.Response(status, text="broken\n pipe")).post("http://erp/", b"{}")


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 302])
def test_other_statuses_are_the_callers_to_judge_and_redirects_are_not_followed(status: int) -> None:
    headers = {"location": "http://elsewhere/"}
    answer = transport(lambda _: httpx.Response(status, headers=headers)).post("http://erp/", b"{}")
    assert answer.status == status


def test_too_many_requests_holds_everybody_for_as_long_as_asked() -> None:
    clock = ManualClock()
    statuses = iter([429, 200])
    sender = transport(lambda _: httpx.Response(next(statuses), headers={"Retry-After": "17"}), clock)
    with pytest.raises(SourceUnavailable, match="pause of 17 s") as failure:
        sender.post("http://erp/", b"{}")
    assert (failure.value.cause, failure.value.retry_after_seconds) == (Cause.THROTTLE, 17)
    assert not isinstance(failure.value, AnswerLost)
    assert sender.post("http://erp/", b"{}").status == 200
    assert clock.monotonic() == 17


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("  ", None),
        ("0", 0.0),
        ("120", 120.0),
        ("Tue, 24 Nov 2026 03:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 02:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_an_endless_answer_is_cut_off() -> None:
    piece = b"x" * 1_048_576

    def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=(piece for _ in range(MAX_ANSWER_BYTES // len(piece) + 2)))

    with pytest.raises(SourceError, match="more than"):
        transport(endless).post("http://erp/", b"{}")


def test_a_get_sends_no_body_and_its_errors_leave_out_the_query() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(501 if len(seen) == 1 else 500, text="no")

    http = transport(handler)
    assert http.get("http://erp/x?key=s3cret", headers={"Accept": "text/plain"}).status == 501
    with pytest.raises(AnswerLost, match="http://erp/x answered HTTP 500") as failure:
        http.get("http://erp/x?key=s3cret")
    assert "s3cret" not in str(failure.value)
    assert (seen[0].method, seen[0].content, seen[0].headers["accept"]) == ("GET", b"", "text/plain")
    http.close()
