"""Does an HTTP endpoint answer, quickly, with the right status, headers and content, under a certificate that lasts?"""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, ClassVar, Literal

import httpcore
import httpx
from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch import __version__
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import AuthRefused, Cause
from tillwatch.model.probe import Outcome
from tillwatch.probers import certificate
from tillwatch.probers.base import OK, Finding, Recorder, Target, Unreachable
from tillwatch.probers.dial import tls_context
from tillwatch.probers.http_transport import ProbeTransport
from tillwatch.probers.predicate import (
    Failure,
    HeaderPredicate,
    JsonPredicate,
    PatternText,
    check_body,
    check_headers,
    check_json,
)

#: A health answer is small; reading more would measure the network, not the application.
MAX_BODY_BYTES = 1024 * 1024
MAX_REDIRECTS = 10
_EXCERPT_CHARACTERS = 2000

#: What a status means when it is not one of the expected ones.
_CAUSE_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: Cause.AUTH,
    HTTPStatus.FORBIDDEN: Cause.AUTHZ,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Cause.AUTH,
    HTTPStatus.TOO_MANY_REQUESTS: Cause.THROTTLE,
    HTTPStatus.REQUEST_TIMEOUT: Cause.TIMEOUT,
    HTTPStatus.GATEWAY_TIMEOUT: Cause.TIMEOUT,
}
#: A refused password is not sent again before this: accounts are locked after a handful of attempts in half an hour.
REFUSED_PAUSE_SECONDS = 1800.0
#: The usual way to say that a session ended (419, 440) without being told so in the standard.
_SESSION_STATUSES = {419, 440}


def _status(value: int) -> int:
    if not 100 <= value <= 599:
        raise ValueError("an HTTP status lies between 100 and 599")
    return value


class HttpOptions(Strict):
    method: Literal["GET", "HEAD", "POST", "PUT", "OPTIONS"] = "GET"
    headers: Annotated[dict[str, Secret], Key(default_factory=dict)]
    body: str = ""
    user: str = ""
    password: Secret = Secret("")
    #: Accepted statuses; empty means 200 to 299.
    statuses: tuple[Annotated[int, AfterValidator(_status)], ...] = ()
    follow_redirects: bool = True
    headers_match: tuple[HeaderPredicate, ...] = ()
    body_matches: tuple[PatternText, ...] = ()
    body_lacks: tuple[PatternText, ...] = ()
    json_: Annotated[tuple[JsonPredicate, ...], Key(alias="json")] = ()
    #: Slower than this is degraded.
    slow: Duration | None = None
    verify: bool = True
    ca_file: str = ""
    certificate_warn: Duration = certificate.WARN_BEFORE
    certificate_fail: Duration = certificate.FAIL_BEFORE


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class HttpProber:
    kind: ClassVar[str] = "http"
    Options: ClassVar[type[BaseModel]] = HttpOptions

    def __init__(self) -> None:
        #: Probe: (the credentials that were refused, when on the monotonic clock).
        self._refused: dict[str, tuple[tuple[str, str], float]] = {}

    def problems(self, target: Target) -> Sequence[str]:
        text = target.probe.target
        try:
            url = httpx.URL(text)
            port_is_valid = url.port is None or 0 < url.port < 65536
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            return (f"target '{text}' is not a URL ({error}); write for example http://10.0.0.5:8000/health",)
        if url.scheme not in {"http", "https"} or not url.host or not port_is_valid:
            return (
                f"target '{text}' is not an http:// or https:// URL with a host; write http://10.0.0.5:8000/health",
            )
        if url.userinfo:
            return ("the target holds a user or password; put them into the options 'user' and 'password'",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options = target.options
        assert isinstance(options, HttpOptions)
        self._hold_back(target.probe.id, options, recorder)
        context = tls_context(verify=options.verify, ca_file=options.ca_file)
        transport = ProbeTransport(recorder, context, seconds=target.timeout_seconds)
        async with _client(transport, target, options, recorder) as client:
            try:
                answer = await _ask(client, target, options, recorder)
            except (httpcore.ReadError, httpcore.WriteError, httpx.TransportError) as error:
                raise _broken_off(target.probe.target, error) from error
            except (httpcore.ProtocolError, httpx.TooManyRedirects, httpx.InvalidURL, httpx.DecodingError) as error:
                raise _not_http(target.probe.target, error) from error
            ending = _certificate(transport, options, recorder)
        if answer.status == HTTPStatus.UNAUTHORIZED and options.user:
            self._refused[target.probe.id] = ((options.user, options.password), recorder.clock.monotonic())
        finding = judge(answer, options, recorder)
        if finding.outcome is Outcome.FAILED or ending is None:
            return finding
        return ending

    def _hold_back(self, probe: str, options: HttpOptions, recorder: Recorder) -> None:
        """Raises AuthRefused, without touching the network, while these very credentials are known to be refused."""
        credentials, at = self._refused.get(probe, (("", ""), 0.0))
        left = REFUSED_PAUSE_SECONDS - (recorder.clock.monotonic() - at)
        if credentials == (options.user, options.password) and options.user and left > 0:
            raise AuthRefused(
                f"user '{options.user}' was refused and is not tried again for {left / 60:.0f} minutes, so that the "
                "account is not locked; correct user and password in the probe's options"
            )
        self._refused.pop(probe, None)


def _client(transport: ProbeTransport, target: Target, options: HttpOptions, recorder: Recorder) -> httpx.AsyncClient:
    """A client that never hands our headers or password to another host."""
    home = httpx.URL(target.probe.target)

    async def stay_home(request: httpx.Request) -> None:
        recorder.log(f"{request.method} {request.url}")
        if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
            for name in (*options.headers, "authorization"):
                if name.lower() != "host" and request.headers.pop(name, None) is not None:
                    recorder.log(f"header {name} is not sent to {request.url.host}: another host")

    return httpx.AsyncClient(
        transport=transport,
        headers={"user-agent": f"tillwatch/{__version__}", **options.headers},
        auth=httpx.BasicAuth(options.user, options.password) if options.user else None,
        follow_redirects=options.follow_redirects,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"request": [stay_home]},
        trust_env=False,
        timeout=None,
    )


async def _ask(client: httpx.AsyncClient, target: Target, options: HttpOptions, recorder: Recorder) -> _Answer:
    content = options.body.encode() if options.body else None
    async with client.stream(options.method, target.probe.target, content=content) as response:
        version = response.extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace").removeprefix("HTTP/")
        recorder.log(f"{response.status_code} {response.reason_phrase} HTTP/{version}".rstrip())
        for name, value in response.headers.items():
            recorder.log(f"header {name}: {value}")
        body = await _read(response, recorder)
        recorder.measure("probe_http_status_code", response.status_code)
        recorder.measure("probe_http_version", float(version) if version in {"1.0", "1.1", "2"} else 0)
        recorder.measure("probe_http_redirects", len(response.history))
        recorder.measure("probe_http_ssl", response.url.scheme == "https")
        length = response.headers.get("content-length", "")
        recorder.measure("probe_http_content_length", int(length) if length.isascii() and length.isdigit() else -1)
        recorder.measure("probe_http_uncompressed_body_length", len(body))
        text = body.decode(_encoding(response), "replace")
        return _Answer(status=response.status_code, headers=response.headers, text=text)


async def _read(response: httpx.Response, recorder: Recorder) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= MAX_BODY_BYTES:
            recorder.log(f"only the first {MAX_BODY_BYTES} bytes of the body were read")
            break
    return bytes(body[:MAX_BODY_BYTES])


def _encoding(response: httpx.Response) -> str:
    """What the server says, if Python knows it; many ERPs send GBK and say so."""
    try:
        codecs.lookup(response.charset_encoding or "utf-8")
    except LookupError:
        return "utf-8"
    return response.charset_encoding or "utf-8"


def judge(answer: _Answer, options: HttpOptions, recorder: Recorder) -> Finding:
    """Status first, then headers, body and JSON; a wrong content under a right status is the application's fault."""
    recorder.measure("probe_failed_due_to_regex", 0)
    if not _accepted(answer.status, options):
        recorder.evidence("body", answer.text[:_EXCERPT_CHARACTERS])
        return _wrong_status(answer, options)
    failure = (
        check_headers(options.headers_match, answer.headers)
        or check_body(answer.text, matches=options.body_matches, lacks=options.body_lacks)
        or check_json(options.json_, answer.text)
    )
    if failure is not None:
        return _wrong_content(answer, failure, recorder)
    took = sum(recorder.phases.values())
    if options.slow and took > options.slow.total_seconds():
        limit = f"{options.slow.total_seconds():g}"
        return Finding(
            outcome=Outcome.DEGRADED,
            cause=Cause.TIMEOUT,
            message=f"the answer took {took:.2f} s, more than {limit} s",
            message_zh=f"响应用时 {took:.2f} 秒，超过 {limit} 秒",
        )
    return OK


def _accepted(status: int, options: HttpOptions) -> bool:
    return status in options.statuses if options.statuses else 200 <= status <= 299


def _wrong_status(answer: _Answer, options: HttpOptions) -> Finding:
    cause = _CAUSE_BY_STATUS.get(HTTPStatus(answer.status)) if answer.status in HTTPStatus._value2member_map_ else None
    if answer.status in _SESSION_STATUSES:
        cause = Cause.SESSION
    wanted = ", ".join(str(status) for status in options.statuses) or "200-299"
    retry = answer.headers.get("retry-after")
    later = f"; it asks to come back after {retry}" if retry else ""
    return Finding(
        outcome=Outcome.FAILED,
        cause=cause or Cause.APPLICATION,
        message=f"status {answer.status}, {wanted} expected{later}",
        message_zh=f"返回状态 {answer.status}，应为 {wanted}",
    )


def _wrong_content(answer: _Answer, failure: Failure, recorder: Recorder) -> Finding:
    recorder.measure("probe_failed_due_to_regex", 1)
    recorder.log(f"body: {answer.text}")
    recorder.evidence("body", answer.text[:_EXCERPT_CHARACTERS])
    return Finding(
        outcome=Outcome.FAILED,
        cause=Cause.APPLICATION,
        message=f"status {answer.status}, but {failure.message}",
        message_zh=f"返回状态 {answer.status}，但{failure.message_zh}",
    )


def _certificate(transport: ProbeTransport, options: HttpOptions, recorder: Recorder) -> Finding | None:
    if transport.secured is None:
        return None
    return certificate.judge(
        transport.secured,
        recorder,
        name=transport.secured.server_hostname or "the server",
        warn_before=options.certificate_warn,
        fail_before=options.certificate_fail,
    )


def _broken_off(url: str, error: Exception) -> Unreachable:
    reason = str(error) or type(error).__name__
    return Unreachable(
        f"{url} broke off the connection before the answer was complete ({reason})",
        f"{url} 在响应完成前断开了连接（{reason}）",
        cause=Cause.TCP,
    )


def _not_http(url: str, error: Exception) -> Unreachable:
    reason = str(error) or type(error).__name__
    return Unreachable(
        f"{url} does not answer as HTTP should ({reason}); is this the right port?",
        f"{url} 的响应不符合 HTTP 协议（{reason}）；端口是否正确？",
        cause=Cause.APPLICATION,
    )
