"""Reaching a network address step by step, so that each step has its own time and its own cause."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tillwatch.errors import Cause, UsageError
from tillwatch.probers.base import Recorder, Unreachable

#: More addresses of one name are not tried; the time is shared between those that are.
MAX_ADDRESSES = 4
_X509_V_ERR_CERT_HAS_EXPIRED = 10


@dataclass(frozen=True, kw_only=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(kw_only=True)
class Connection:
    """An open connection; after `start_tls` an encrypted one."""

    address: Address
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: A handshake was begun and not finished.
    _handshaking: bool = False

    async def start_tls(self, context: ssl.SSLContext, server_name: str, recorder: Recorder) -> ssl.SSLObject:
        """Do the handshake. Raises Unreachable with cause tls or expiry."""
        self._handshaking = True
        with recorder.timing("tls"):
            try:
                await self.writer.start_tls(context, server_hostname=server_name)
            except (ssl.SSLError, ssl.CertificateError) as error:
                raise _tls_refused(self.address, server_name, error) from error
            except OSError as error:
                raise Unreachable(
                    f"{self.address} broke off the TLS handshake ({_reason(error)}); does this port speak TLS?",
                    f"{self.address} 中断了 TLS 握手（{_reason(error)}）；该端口是否使用 TLS？",
                    cause=Cause.TLS,
                ) from error
        self._handshaking = False
        secured = self.writer.get_extra_info("ssl_object")
        assert isinstance(secured, ssl.SSLObject)
        recorder.log(f"{secured.version()} {(secured.cipher() or ('?',))[0]} with {server_name}")
        recorder.measure("probe_tls_version_info", 1, version=secured.version() or "unknown")
        return secured

    async def close(self) -> None:
        """Give the socket back at once; nothing is left to say to the peer."""
        self.writer.transport.abort()
        if self._handshaking:
            # asyncio never tells a stream of the end of a handshake that was cut off; waiting for it would hang.
            return
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


def parse_address(text: str, *, default_port: int | None = None) -> Address:
    """`host:port`, `[::1]:443`. Raises UsageError with the remedy."""
    host, _, port_text = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not host and default_port is not None:
        host, port_text = text, ""
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not port_text and default_port is not None:
        port_text = str(default_port)
    if not host or not port_text.isascii() or not port_text.isdigit() or not 0 < int(port_text) < 65536:
        raise UsageError(f"target '{text}' is not host:port; write for example 10.0.0.5:8000 or [fd00::5]:8000")
    if any(character.isspace() or character in "/@?#" for character in host):
        raise UsageError(f"target '{text}' holds more than host:port; remove scheme, path and user")
    return Address(host=host, port=int(port_text))


@asynccontextmanager
async def connected(address: Address, recorder: Recorder, *, seconds: float) -> AsyncIterator[Connection]:
    """A connection to `address`, closed at the end. `seconds` is shared between the addresses of the name.

    Raises Unreachable with cause dns, tcp or timeout.
    """
    connection = await open_connection(address, recorder, seconds=seconds)
    try:
        yield connection
    finally:
        await connection.close()


async def open_connection(address: Address, recorder: Recorder, *, seconds: float) -> Connection:
    """As `connected`, for callers that close it themselves."""
    numeric = await resolve(address, recorder)
    with recorder.timing("connect"):
        for index, host in enumerate(numeric):
            last = index == len(numeric) - 1
            try:
                # The last address may use all the time that is left; the deadline of the whole run ends it.
                async with asyncio.timeout(None if last else seconds / (len(numeric) + 1)):
                    reader, writer = await asyncio.open_connection(host, address.port)
            except OSError as error:
                recorder.log(f"connect {Address(host=host, port=address.port)}: {_reason(error)}")
                if last:
                    raise _not_connected(address, error) from error
            else:
                recorder.log(f"connected to {Address(host=host, port=address.port)}")
                recorder.measure("probe_ip_protocol", 6 if ":" in host else 4)
                return Connection(address=address, reader=reader, writer=writer)
    raise AssertionError("resolve returned no address")


async def resolve(address: Address, recorder: Recorder) -> Sequence[str]:
    """Numeric addresses of the host, at most MAX_ADDRESSES; a numeric host needs no lookup and has no dns phase."""
    with suppress(ValueError):
        return (str(ipaddress.ip_address(address.host)),)
    with recorder.timing("dns"):
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError) as error:
            raise Unreachable(
                f"host name '{address.host}' cannot be resolved ({_reason(error)}); check the name and the DNS server",
                f"无法解析主机名 {address.host}（{_reason(error)}）；请检查名称与 DNS 服务器",
                cause=Cause.DNS,
            ) from error
    numeric = tuple(dict.fromkeys(str(item[4][0]) for item in found))
    recorder.log(f"{address.host} is {', '.join(numeric)}")
    return numeric[:MAX_ADDRESSES]


def tls_context(*, verify: bool = True, ca_file: str = "") -> ssl.SSLContext:
    """A context for one probe, shared by all that ask for the same. Raises UsageError when `ca_file` is unusable."""
    try:
        changed = Path(ca_file).stat().st_mtime_ns if ca_file else 0
        return _tls_context(verify, ca_file, changed)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ca_file '{ca_file}' cannot be used ({error}); it must hold PEM certificates") from error


@lru_cache(maxsize=64)
def _tls_context(verify: bool, ca_file: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001 - `changed` is part of the key
    # Loading the system's authorities takes some 20 ms, more than a whole probe: hence the cache.
    context = ssl.create_default_context(cafile=ca_file or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _not_connected(address: Address, error: OSError) -> Unreachable:
    if isinstance(error, TimeoutError):
        return Unreachable(f"{address} did not answer in time", f"{address} 没有及时响应", cause=Cause.TIMEOUT)
    if error.errno == errno.ECONNREFUSED or isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"{address} refused the connection; is the service running and listening there?",
            f"{address} 拒绝连接；服务是否在运行并监听该端口？",
            cause=Cause.TCP,
        )
    return Unreachable(
        f"{address} cannot be reached: {_reason(error)}", f"{address} 无法连接：{_reason(error)}", cause=Cause.TCP
    )


def _tls_refused(address: Address, server_name: str, error: ssl.SSLError) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _X509_V_ERR_CERT_HAS_EXPIRED:
            return Unreachable(
                f"the certificate of {address} has expired; renew it",
                f"{address} 的证书已过期，请更换证书",
                cause=Cause.EXPIRY,
            )
        why = error.verify_message
        return Unreachable(
            f"the certificate of {address} is not valid for '{server_name}': {why}; "
            "install the right one or set ca_file",
            f"{address} 的证书对 {server_name} 无效：{why}；请安装正确的证书或设置 ca_file",
            cause=Cause.TLS,
        )
    return Unreachable(
        f"TLS with {address} failed: {error.reason or error}; does this port speak TLS?",
        f"与 {address} 的 TLS 握手失败：{error.reason or error}；该端口是否使用 TLS？",
        cause=Cause.TLS,
    )
