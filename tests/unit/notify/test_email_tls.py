"""Mail over TLS and with a login: nothing secret leaves before the connection is safe, and no certificate is excused.

The server is a stub of SMTP on a real TLS connection, with certificates of an authority made for the tests.
"""

import base64
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest
from tests.support.endpoints import Authority
from tests.unit.notify.test_email import MESSAGE

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.notify.base import Delivery, Result
from tillwatch.notify.email import Email, EmailOptions, Security

USER, PASSWORD = "watch@shop.example", "pa55-word-of-the-mail"


@dataclass
class StubServer:
    """Speaks TLS from the first byte or after STARTTLS, and takes one login."""

    context: ssl.SSLContext
    implicit: bool
    offers_tls: bool = True
    port: int = 0
    #: (over TLS, the line) of everything it was told.
    lines: list[tuple[bool, str]] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        with ExitStack() as opened:
            self._talk(connection, opened)

    def _talk(self, connection: socket.socket, opened: ExitStack) -> None:
        safe = self.implicit
        if safe:
            connection = opened.enter_context(self.context.wrap_socket(connection, server_side=True))
        stream = opened.enter_context(connection.makefile("rwb"))
        _say(stream, "220 stub")
        while raw := stream.readline():
            line = raw.decode().strip()
            self.lines.append((safe, line))
            verb = line[:4].upper()
            if verb == "STAR":
                _say(stream, "220 go ahead")
                connection = opened.enter_context(self.context.wrap_socket(connection, server_side=True))
                stream, safe = opened.enter_context(connection.makefile("rwb")), True
            elif verb == "EHLO":
                offers = ["250-STARTTLS"] if self.offers_tls and not safe else []
                _say(stream, "\r\n".join(["250-stub", *offers, "250 AUTH PLAIN"]))
            elif verb == "AUTH":
                given = base64.b64decode(line.split()[-1]).decode().split("\0")[1:]
                _say(stream, "235 welcome" if given == [USER, PASSWORD] else "535 5.7.8 wrong user or password")
            elif verb == "DATA":
                _say(stream, "354 go on")
                self.mails.append(b"".join(iter(stream.readline, b".\r\n")))
                _say(stream, "250 queued as 42")
            else:
                _say(stream, "250 ok")


def _say(stream: IO[bytes], text: str) -> None:
    stream.write(text.encode() + b"\r\n")
    stream.flush()


Make = Callable[..., StubServer]


@pytest.fixture
def make(authority: Authority) -> Iterator[Make]:
    running: list[tuple[socketserver.ThreadingTCPServer, threading.Thread]] = []

    def start(*, implicit: bool, offers_tls: bool = True, days: int = 30) -> StubServer:
        stub = StubServer(context=authority.issue(f"mail{days}", days=days), implicit=implicit, offers_tls=offers_tls)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(10)
                try:
                    stub.serve(self.request)
                except (OSError, ValueError):
                    # The client hung up, as it should when something is wrong with us.
                    return

        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        tcp.daemon_threads = True
        stub.port = tcp.server_address[1]
        thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((tcp, thread))
        return stub

    yield start
    for tcp, thread in running:
        tcp.shutdown()
        tcp.server_close()
        thread.join()


def sent(stub: StubServer, security: Security, ca_file: Path | None, password: str = PASSWORD) -> Delivery:
    options = EmailOptions(
        host="127.0.0.1", port=stub.port, security=security, user=USER, password=Secret(password),
        ca_file=str(ca_file or ""), sender=USER, to=("a@shop.example",), timeout=timedelta(seconds=10),
    )  # fmt: skip
    return Email(options, clock=SystemClock()).send(MESSAGE, key=MESSAGE.key)


def secrets_in_clear(stub: StubServer) -> list[str]:
    return [line for safe, line in stub.lines if not safe and line[:4].upper() not in ("EHLO", "STAR", "QUIT")]


@pytest.mark.parametrize(("security", "implicit"), [(Security.STARTTLS, False), (Security.TLS, True)])
def test_a_mail_is_delivered_after_tls_and_login(
    make: Make, authority: Authority, security: Security, implicit: bool
) -> None:
    stub = make(implicit=implicit)
    delivery = sent(stub, security, authority.ca_file)
    assert (delivery.result, delivery.code, len(stub.mails)) == (Result.DELIVERED, "250", 1)
    assert secrets_in_clear(stub) == []


@pytest.mark.parametrize(("security", "implicit"), [(Security.STARTTLS, False), (Security.TLS, True)])
def test_a_certificate_of_an_unknown_authority_gets_neither_password_nor_mail(
    make: Make, security: Security, implicit: bool
) -> None:
    stub = make(implicit=implicit)
    with pytest.raises(DeliveryError) as caught:
        sent(stub, security, None)
    assert (caught.value.code, caught.value.retryable) == ("tls", False)
    assert [line for _, line in stub.lines if line[:4].upper() in ("AUTH", "MAIL", "DATA")] == []


def test_an_expired_certificate_is_refused(make: Make, authority: Authority) -> None:
    stub = make(implicit=True, days=-1)
    with pytest.raises(DeliveryError, match="expired"):
        sent(stub, Security.TLS, authority.ca_file)


def test_a_server_that_offers_no_tls_gets_no_password(make: Make, authority: Authority) -> None:
    stub = make(implicit=False, offers_tls=False)
    with pytest.raises(DeliveryError) as caught:
        sent(stub, Security.STARTTLS, authority.ca_file)
    assert (caught.value.code, caught.value.retryable) == ("tls", False)
    assert secrets_in_clear(stub) == []


def test_a_wrong_password_is_a_rejection_in_the_servers_words_without_the_password(
    make: Make, authority: Authority
) -> None:
    stub = make(implicit=True)
    with pytest.raises(DeliveryError) as caught:
        sent(stub, Security.TLS, authority.ca_file, password="wrong-wrong-wrong")
    assert (caught.value.code, caught.value.retryable) == ("535", False)
    assert "wrong user or password" in str(caught.value)
    assert "wrong-wrong-wrong" not in str(caught.value)


def test_a_file_of_authorities_that_is_not_there_is_said_and_the_mail_waits(make: Make, tmp_path: Path) -> None:
    stub = make(implicit=True)
    with pytest.raises(DeliveryError, match="ca_file") as caught:
        sent(stub, Security.TLS, tmp_path / "nowhere.pem")
    assert (caught.value.code, caught.value.retryable) == ("tls", True)
