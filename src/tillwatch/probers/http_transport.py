# ruff: noqa: ARG002 - the signatures are httpcore's
"""httpx over our own dialling, so that name lookup, connecting and TLS are timed and blamed apart."""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx

from tillwatch.probers.base import Recorder
from tillwatch.probers.dial import Address, Connection, open_connection

#: Events of httpcore that open and close the phases we report.
_OPENS = {"send_request_headers.started": "processing", "receive_response_body.started": "transfer"}
_CLOSES = {"receive_response_headers.complete": "processing", "receive_response_body.complete": "transfer"}


class ProbeTransport(httpx.AsyncBaseTransport):
    """One connection for each request, phases into the recorder, no proxy, no retries, no pool to hide a cold start."""

    def __init__(self, recorder: Recorder, context: ssl.SSLContext, *, seconds: float) -> None:
        self._recorder = recorder
        #: The TLS object of the last handshake, for looking at the certificate.
        self.secured: ssl.SSLObject | None = None
        self._opened: dict[str, float] = {}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            network_backend=_Backend(self, recorder, seconds),
            max_keepalive_connections=0,
            http2=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.secured = None
        assert isinstance(request.stream, httpx.AsyncByteStream)
        inner = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={**request.extensions, "trace": self._trace, "timeout": {}},
        )
        answer = await self._pool.handle_async_request(inner)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def _trace(self, event: str, _info: Mapping[str, Any]) -> None:
        name = event.partition(".")[2]
        if phase := _OPENS.get(name):
            self._opened[phase] = self._recorder.clock.monotonic()
            self._recorder.current_phase = phase
        elif (phase := _CLOSES.get(name)) and phase in self._opened:
            self._close(phase)

    def _close(self, phase: str) -> None:
        self._recorder.phase(phase, self._recorder.clock.monotonic() - self._opened.pop(phase))
        self._recorder.current_phase = ""

    async def aclose(self) -> None:
        # A phase that was cut off still took its time.
        for phase in list(self._opened):
            self._close(phase)
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Timeouts are ignored on purpose: the frame owns the one deadline."""

    def __init__(self, transport: ProbeTransport, recorder: Recorder, seconds: float) -> None:
        self._transport = transport
        self._recorder = recorder
        self._seconds = seconds

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        address = Address(host=host.strip("[]"), port=port)
        connection = await open_connection(address, self._recorder, seconds=self._seconds)
        return _Stream(self._transport, self._recorder, connection)

    async def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        raise httpcore.UnsupportedProtocol("unix sockets are not probed")

    async def sleep(self, seconds: float) -> None:
        await self._recorder.clock.wait(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, transport: ProbeTransport, recorder: Recorder, connection: Connection) -> None:
        self._transport = transport
        self._recorder = recorder
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._connection.reader.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(error.strerror or str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._connection.writer.write(buffer)
            await self._connection.writer.drain()
        except OSError as error:
            raise httpcore.WriteError(error.strerror or str(error)) from error

    async def aclose(self) -> None:
        await self._connection.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        name = server_hostname or self._connection.address.host
        self._transport.secured = await self._connection.start_tls(ssl_context, name, self._recorder)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._connection.writer.get_extra_info("ssl_object") if info == "ssl_object" else None
