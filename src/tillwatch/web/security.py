"""What every request passes before a handler sees it (host, origin, token, a bounded body), and what answers carry.

1. The Host header names us (on loopback only loopback names: a foreign page cannot reach us by rebinding its own name).
2. A request that changes something comes from ourselves or from no browser at all.
3. Beyond loopback the caller shows the token, as a bearer or as the cookie the sign-in page sets.
4. The body arrives whole, within its limit and in time; only then is the handler called.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: A Prometheus batch is 256 alerts of a few KiB; 4 MiB leaves room and bounds what one request can make us hold.
MAX_ALERTS_BODY_BYTES = 4 * 1024 * 1024
#: Forms and API orders carry a few names and one text.
MAX_BODY_BYTES = 64 * 1024
#: A sender that needs longer for its body is broken or hostile.
BODY_DEADLINE_SECONDS = 20.0

CSRF_COOKIE = "tillwatch_csrf"
SESSION_COOKIE = "tillwatch_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Answered without a token: liveness, the sign-in page and its style sheet, and links that prove themselves.
OPEN_PATHS = ("/-/healthy", "/-/ready", "/sign-in", "/static/", "/ack/")
ALERT_PATHS = ("/api/v2/alerts", "/hooks/")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request goes no further."""

    status: HTTPStatus
    message: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may talk to this server."""

    loopback: bool
    token: str = ""

    def session(self) -> str:
        """The cookie value that proves the token was shown once; it does not reveal the token."""
        return hmac.new(self.token.encode(), b"tillwatch page session", hashlib.sha256).hexdigest()


def is_loopback(host: str) -> bool:
    """True for `localhost` and for every loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refusal(method: str, path: str, headers: Headers, cookies: Mapping[str, str], policy: Policy) -> Refusal | None:
    """Decide from the head of a request alone. None lets it through."""
    host = headers.get("host", "")
    if policy.loopback and not is_loopback(_hostname(host)):
        return Refusal(
            status=HTTPStatus.MISDIRECTED_REQUEST,
            message=f"This server listens on loopback and does not answer for the host '{host[:100]}'; "
            "open it as http://127.0.0.1 or http://localhost.",
        )
    if method not in SAFE_METHODS and not _from_ourselves(headers, host):
        return Refusal(
            status=HTTPStatus.FORBIDDEN,
            message="This request was sent by a page of another site; open the page here and repeat it.",
        )
    if policy.token and not path.startswith(OPEN_PATHS) and not _signed_in(headers, cookies, policy):
        return Refusal(
            status=HTTPStatus.UNAUTHORIZED,
            message="A token is needed; send it as 'Authorization: Bearer …' or sign in at /sign-in.",
        )
    return None


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _from_ourselves(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def _signed_in(headers: Headers, cookies: Mapping[str, str], policy: Policy) -> bool:
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return hmac.compare_digest(shown.strip().encode(), policy.token.encode())
    return hmac.compare_digest(cookies.get(SESSION_COOKIE, "").encode(), policy.session().encode())


def new_csrf_token() -> str:
    return secrets.token_urlsafe(24)


def csrf_matches(cookie: str | None, sent: str) -> bool:
    """A form is ours when it repeats the token only our own cookie carries."""
    return bool(cookie) and hmac.compare_digest((cookie or "").encode(), sent.encode())


def body_limit(path: str) -> int:
    return MAX_ALERTS_BODY_BYTES if path.startswith(ALERT_PATHS) else MAX_BODY_BYTES


class Guard:
    """The outermost ASGI layer. `refuse` renders a refusal as the caller reads it, `broken` an unexpected error."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: Policy,
        refuse: Callable[[Request, Refusal], Response],
        broken: Callable[[Request, Exception], Response],
    ) -> None:
        self._app = app
        self._policy = policy
        self._refuse = refuse
        self._broken = broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        guarded = _with_headers(send)
        refused = refusal(request.method, request.url.path, request.headers, request.cookies, self._policy)
        body = b""
        if refused is None and request.method not in SAFE_METHODS:
            read = await _read(receive, request.headers.get("content-length"), body_limit(request.url.path))
            refused, body = (read, b"") if isinstance(read, Refusal) else (None, read)
        if refused is not None:
            await (await to_thread.run_sync(self._refuse, request, refused))(scope, receive, guarded)
            return
        whole = receive if request.method in SAFE_METHODS else _replay(body, receive)
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await guarded(message)

        try:
            await self._app(scope, whole, sent)
        except Exception as error:
            if started:
                raise
            # Without this the server's own last resort would answer, and that answer carries none of our headers.
            await (await to_thread.run_sync(self._broken, request, error))(scope, receive, guarded)


async def _read(receive: Receive, declared: str | None, limit: int) -> bytes | Refusal:
    """The whole body, or why not. Nothing is parsed before it is known to be within the limit."""
    too_large = Refusal(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        message=f"The body is larger than {limit} bytes; send it in smaller parts.",
    )
    if declared is not None and declared.isdigit() and int(declared) > limit:
        return too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    # Half a batch must never look like a whole one.
                    return Refusal(
                        status=HTTPStatus.BAD_REQUEST, message="The connection closed before the body ended."
                    )
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    return too_large
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return Refusal(
            status=HTTPStatus.REQUEST_TIMEOUT,
            message=f"The body did not arrive within {BODY_DEADLINE_SECONDS:.0f} s; send the request again.",
        )
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand the buffered body to the application once, then the connection's own messages."""
    pending = [body]

    async def replayed() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replayed


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded
