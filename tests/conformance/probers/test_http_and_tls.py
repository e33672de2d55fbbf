"""Real answers over real sockets: what each kind of answer means."""

import asyncio
import gzip
import itertools
import socketserver
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.support.endpoints import Authority, Endpoints, Reply, http_server, send, serving

from tillwatch.clock import Clock, ManualClock, SystemClock
from tillwatch.config.schema import Probe
from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.probers.base import Target
from tillwatch.probers.drop_in import measure as drop_in
from tillwatch.probers.frame import run_one
from tillwatch.probers.http import MAX_BODY_BYTES
from tillwatch.probers.registry import builtin

PATIENT = timedelta(seconds=20)


def look(
    kind: str, url: str, *, clock: Clock | None = None, secrets: tuple[str, ...] = (), **options: Any
) -> ProbeResult:
    prober = builtin()[kind]
    probe = Probe(id="p", prober=kind, target=url, every=timedelta(seconds=15), timeout=PATIENT)
    target = Target(probe=probe, options=prober.Options.model_validate(options), secrets=secrets)
    return asyncio.run(run_one(target, prober, clock=clock or SystemClock()))


def measured(result: ProbeResult, name: str) -> float:
    return next(item.value for item in result.measurements if item.name == name)


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    with ExitStack() as stack:
        yield lambda reply: f"http://127.0.0.1:{stack.enter_context(serving(http_server(reply)))}"


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (301, Cause.APPLICATION),
        (401, Cause.AUTH),
        (403, Cause.AUTHZ),
        (404, Cause.APPLICATION),
        (419, Cause.SESSION),
        (429, Cause.THROTTLE),
        (500, Cause.APPLICATION),
        (503, Cause.APPLICATION),
        (504, Cause.TIMEOUT),
        (599, Cause.APPLICATION),
    ],
)
def test_a_status_that_was_not_expected_has_its_own_cause(
    serve: Callable[[Reply], str], status: int, cause: Cause
) -> None:
    result = look("http", serve(lambda handler: send(handler, status, "sorry")))
    assert (result.outcome, result.cause) == (Outcome.FAILED, cause)
    assert result.message == f"status {status}, 200-299 expected"
    assert result.evidence["message_zh"] == f"返回状态 {status}，应为 200-299"
    assert result.evidence["body"] == "sorry"
    assert measured(result, "probe_http_status_code") == status


def test_a_status_that_is_declared_is_a_success(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda handler: send(handler, 405))
    assert look("http", url, statuses=[200, 405]).outcome is Outcome.OK


def test_an_error_inside_a_200_is_a_failure_of_the_application(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda handler: send(handler, 200, '{"success": false, "errmsg": "期间已关闭"}'))
    assert look("http", url).outcome is Outcome.OK
    result = look("http", url, json=[{"path": "$.success", "equals": "true"}])
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.APPLICATION)
    assert result.message == "status 200, but $.success is 'false', 'true' expected"
    assert "期间已关闭" in str(result.evidence["body"])
    assert measured(result, "probe_failed_due_to_regex") == 1
    assert look("http", url, body_lacks=["期间已关闭"]).cause is Cause.APPLICATION


def test_a_body_in_the_encoding_it_declares_is_understood(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda h: send(h, 200, "同步成功".encode("gbk"), Content_Type="text/plain; charset=GBK"))
    assert look("http", url, body_matches=["同步成功"]).outcome is Outcome.OK
    unknown = serve(lambda h: send(h, 200, "同步成功", Content_Type="text/plain; charset=klingon"))
    assert look("http", unknown, body_matches=["同步成功"]).outcome is Outcome.OK


def test_a_compressed_body_is_unpacked_and_an_endless_one_is_cut(serve: Callable[[Reply], str]) -> None:
    packed = gzip.compress(b"x" * (5 * MAX_BODY_BYTES) + b"needle")
    url = serve(lambda handler: send(handler, 200, packed, Content_Encoding="gzip"))
    result = look("http", url, body_matches=["needle"])
    assert result.outcome is Outcome.FAILED
    assert measured(result, "probe_http_uncompressed_body_length") == MAX_BODY_BYTES
    broken = serve(lambda handler: send(handler, 200, b"no gzip", Content_Encoding="gzip"))
    assert look("http", broken).cause is Cause.APPLICATION


def test_redirects_are_followed_counted_and_end(serve: Callable[[Reply], str]) -> None:
    def hop(handler: BaseHTTPRequestHandler) -> None:
        left = int(handler.path.strip("/") or 0)
        send(handler, 302, Location=f"/{left - 1}") if left else send(handler, 200, "here")

    url = serve(hop)
    result = look("http", f"{url}/3", body_matches=["here"])
    assert (result.outcome, measured(result, "probe_http_redirects")) == (Outcome.OK, 3)
    assert look("http", f"{url}/99").cause is Cause.APPLICATION
    stays = look("http", f"{url}/3", follow_redirects=False, statuses=[302])
    assert stays.outcome is Outcome.OK


def test_a_redirect_to_another_host_gets_neither_our_password_nor_our_headers(serve: Callable[[Reply], str]) -> None:
    seen: list[dict[str, str]] = []

    def remember(handler: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in handler.headers.items()})
        send(handler, 200, "ok")

    elsewhere = serve(remember)
    url = serve(lambda handler: send(handler, 302, Location=f"{elsewhere}/"))
    result = look("http", url, user="till", password="geheim-1234", headers={"x-api-key": "geheim-5678"})
    assert result.outcome is Outcome.OK
    assert "authorization" not in seen[0]
    assert "x-api-key" not in seen[0]
    assert any("header x-api-key is not sent to 127.0.0.1: another host" in line for line in result.log)


def test_a_server_that_echoes_our_secret_does_not_bring_it_into_the_result(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda h: send(h, 500, f"you sent {h.headers['x-api-key']}", X_Echo=h.headers["x-api-key"]))
    result = look("http", url, headers={"x-api-key": "geheim-5678"}, secrets=("geheim-5678",))
    assert result.cause is Cause.APPLICATION
    assert "geheim-5678" not in repr(result)


def test_a_refused_password_is_sent_once_in_half_an_hour_and_a_new_one_at_once(serve: Callable[[Reply], str]) -> None:
    sent: list[str] = []

    def refuse(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers.get("authorization", ""))
        send(handler, 401, "no")

    prober, clock, url = builtin()["http"], ManualClock(), serve(refuse)
    probe = Probe(id="p", prober="http", target=url, every=timedelta(seconds=15), timeout=PATIENT)

    def look_as(password: str) -> ProbeResult:
        options = prober.Options.model_validate({"user": "till", "password": password})
        return asyncio.run(run_one(Target(probe=probe, options=options, secrets=(password,)), prober, clock=clock))

    for _ in range(10):
        clock.advance(15)
        result = look_as("falsch-1")
        assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.AUTH)
    assert len(sent) == 1
    assert "was refused and is not tried again for 28 minutes" in result.message
    look_as("falsch-2")
    assert len(sent) == 2
    clock.advance(1801)
    look_as("falsch-2")
    assert len(sent) == 3


def test_headers_are_checked(serve: Callable[[Reply], str]) -> None:
    url = serve(lambda handler: send(handler, 200, "ok", X_Version="8.2"))
    assert look("http", url, headers_match=[{"name": "X-Version", "matches": r"^8\."}]).outcome is Outcome.OK
    result = look("http", url, headers_match=[{"name": "X-Version", "matches": r"^7\."}])
    assert result.cause is Cause.APPLICATION


class Slow(ManualClock):
    """Every look at it takes a second."""

    def monotonic(self) -> float:
        self.advance(1.0)
        return super().monotonic()


def test_a_slow_answer_is_degraded_and_raises_nothing(endpoints: Endpoints) -> None:
    result = look("http", f"http://127.0.0.1:{endpoints.http}/", clock=Slow(), slow=timedelta(milliseconds=1))
    assert (result.outcome, result.cause) == (Outcome.DEGRADED, Cause.TIMEOUT)


def test_a_port_that_does_not_speak_http_says_so(endpoints: Endpoints) -> None:
    result = look("http", f"http://127.0.0.1:{endpoints.banner}/")
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.APPLICATION)
    assert "is this the right port?" in result.message


class _Slam(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(10)


def test_a_server_that_hangs_up_is_failed_not_our_defect() -> None:
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Slam)) as port:
        plain = look("http", f"http://127.0.0.1:{port}/")
        secure = look("http", f"https://127.0.0.1:{port}/")
    assert (plain.outcome, secure.outcome) == (Outcome.FAILED, Outcome.FAILED)
    assert plain.cause in {Cause.TCP, Cause.APPLICATION}
    assert secure.cause is Cause.TLS


def test_the_phases_of_an_https_answer_are_all_there(secure: Callable[[str, int], int], authority: Authority) -> None:
    port = secure("healthy", 365)
    result = look("http", f"https://localhost:{port}/", ca_file=str(authority.ca_file))
    assert result.outcome is Outcome.OK
    assert set(result.phases) == {"dns", "connect", "tls", "processing", "transfer"}
    assert measured(result, "probe_http_ssl") == 1
    left = measured(result, "probe_ssl_earliest_cert_expiry") - datetime.now(UTC).timestamp()  # noqa: TID251
    assert 364 * 86400 < left <= 365 * 86400


@pytest.mark.parametrize("kind", ["http", "tls"])
@pytest.mark.parametrize(
    ("days_before_end", "outcome"),
    [(22, Outcome.OK), (20.9, Outcome.DEGRADED), (2.9, Outcome.FAILED), (-1, Outcome.FAILED)],
)
def test_a_certificate_is_judged_by_the_time_it_has_left(
    kind: str,
    days_before_end: float,
    outcome: Outcome,
    secure: Callable[[str, int], int],
    authority: Authority,
) -> None:
    port = secure("healthy", 365)
    url = f"https://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
    ends = measured(look(kind, url, ca_file=str(authority.ca_file)), "probe_ssl_earliest_cert_expiry")
    # Our clock moves, not the certificate: verification itself stays with OpenSSL and the machine's clock.
    clock = ManualClock(datetime.fromtimestamp(ends, UTC) - timedelta(days=days_before_end))
    result = look(kind, url, clock=clock, ca_file=str(authority.ca_file))
    assert result.outcome is outcome
    assert result.cause is (Cause.NONE if outcome is Outcome.OK else Cause.EXPIRY)


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_a_certificate_that_has_expired_is_failed_with_cause_expiry(
    kind: str, secure: Callable[[str, int], int], authority: Authority
) -> None:
    port = secure("expired", -1)
    url = f"https://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
    result = look(kind, url, ca_file=str(authority.ca_file))
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.EXPIRY)
    assert "has expired; renew it" in result.message
    if kind == "tls":
        # Refused, but looked at: the report says when it ended.
        assert "certificate_expires_at" in result.evidence


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_a_certificate_nobody_vouches_for_is_failed_with_cause_tls(
    kind: str, secure: Callable[[str, int], int]
) -> None:
    port = secure("healthy", 365)
    url = f"https://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
    result = look(kind, url)
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TLS)
    assert "install the right one or set ca_file" in result.message
    assert look(kind, url, verify=False).outcome is Outcome.OK


def test_a_certificate_for_another_name_is_refused(secure: Callable[[str, int], int], authority: Authority) -> None:
    port = secure("healthy", 365)
    result = look("tls", f"127.0.0.1:{port}", ca_file=str(authority.ca_file), server_name="erp.example")
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TLS)
    assert "not valid for 'erp.example'" in result.message


@pytest.mark.parametrize("kind", ["http", "tls", "tcp"])
def test_a_ca_file_that_is_none_is_unknown_with_the_remedy(kind: str, endpoints: Endpoints) -> None:
    address = f"127.0.0.1:{endpoints.banner}"
    options = {"tls": True} if kind == "tcp" else {}
    url = f"https://{address}/" if kind == "http" else address
    result = look(kind, url, ca_file="/nowhere/ca.pem", **options)
    assert result.outcome is Outcome.UNKNOWN
    assert "ca_file '/nowhere/ca.pem' cannot be used" in result.message
    assert "must hold PEM certificates" in result.message


def test_a_tcp_answer_is_awaited_and_a_wrong_one_is_the_applications(endpoints: Endpoints) -> None:
    address = f"127.0.0.1:{endpoints.banner}"
    assert look("tcp", address, send="ping\\r\\n", expect="echo ping").outcome is Outcome.OK
    result = look("tcp", address, send="ping", expect="pong")
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.APPLICATION)
    assert "without 'pong'" in result.message


@pytest.mark.parametrize(
    ("options", "outcome", "cause"),
    [
        ({"answers": ["10.0.0.6"]}, Outcome.OK, Cause.NONE),
        ({"expect": r"^10\.0\."}, Outcome.OK, Cause.NONE),
        ({"answers": ["10.0.0.7"]}, Outcome.FAILED, Cause.DATA),
        ({"expect": r"^192\."}, Outcome.FAILED, Cause.DATA),
    ],
)
def test_dns_answers_are_compared(
    endpoints: Endpoints, options: dict[str, Any], outcome: Outcome, cause: Cause
) -> None:
    result = look("dns", "erp.example", server=f"127.0.0.1:{endpoints.names}", **options)
    assert (result.outcome, result.cause) == (outcome, cause)
    assert result.evidence["answers"] == ["10.0.0.5", "10.0.0.6"]


def test_a_name_that_does_not_exist_is_a_failure_of_dns(endpoints: Endpoints) -> None:
    result = look("dns", "nowhere.example", server=f"127.0.0.1:{endpoints.names}")
    assert (result.cause, measured(result, "probe_dns_query_succeeded")) == (Cause.DNS, 0)
    assert "the name does not exist" in result.message
    missing = look("http", "http://nowhere.invalid/")
    assert (missing.outcome, missing.cause) == (Outcome.FAILED, Cause.DNS)


def test_the_drop_in_answers_blackbox_questions(endpoints: Endpoints) -> None:
    def ask(target: str, module: str) -> str:
        return asyncio.run(drop_in(target, module, builtin(), clock=SystemClock())).decode()

    assert "\nprobe_success 1.0\n" in ask(f"127.0.0.1:{endpoints.http}", "http_2xx")
    assert "\nprobe_success 1.0\n" in ask(f"127.0.0.1:{endpoints.banner}", "tcp_connect")
    assert "\nprobe_success 0.0\n" in ask(f"127.0.0.1:{endpoints.closed}", "tcp_connect")


def test_hosts_with_several_addresses_are_tried_one_after_the_other(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = "127.0.0.77", "127.0.0.1"

    async def addresses(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (host, 0)) for host in (dead, alive)]

    async def both(port: int) -> ProbeResult:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", addresses)
        prober = builtin()["tcp"]
        probe = Probe(id="p", prober="tcp", target=f"till.example:{port}", every=PATIENT, timeout=PATIENT)
        target = Target(probe=probe, options=prober.Options.model_validate({}))
        return await run_one(target, prober, clock=SystemClock())

    result = asyncio.run(both(endpoints.http))
    assert result.outcome is Outcome.OK
    tried = [line.split("s ", 1)[1] for line in result.log if "connect" in line]
    assert [dead in tried[0], alive in tried[1]] == [True, True]
    assert all(earlier is not later for earlier, later in itertools.pairwise(tried))
