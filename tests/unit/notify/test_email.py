"""The mail as the server gets it, and what each of a server's answers means. The server is a stub of SMTP."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.notify.base import Delivery, Message, Result
from tillwatch.notify.email import Email, EmailOptions, Security, addressees, compose

MESSAGE = Message(
    key="7:opened:1:mail",
    kind=NoticeKind.OPENED,
    channel="mail",
    receiver="oncall",
    locale="zh-CN",
    title="【严重】ERP：无法连接",
    body=".详情\n第二行",
    url="http://127.0.0.1:8080/incidents/7",
    incident={"incident": 7},
    chain="demo",
    at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
)


@dataclass
class StubServer:
    """Says what `answers` holds for a command (`text` is the end of the mail); silence where it holds nothing."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)
    port: int = 0

    def reply(self, word: str, usual: str) -> bytes:
        said = self.answers.get(word, usual)
        return f"{said}\r\n".encode() if said else b""

    def talk(self, handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(self.reply("greeting", "220 stub"))
        for line in handler.rfile:
            word = line.decode().strip().lower()
            verb = word if word in self.answers else word[:4]
            usual = "354 go on" if verb == "data" else "250 ok"
            handler.wfile.write(self.reply(verb, usual))
            if verb == "data" and self.answers.get("data", usual).startswith("354"):
                lines = iter(handler.rfile.readline, b".\r\n")
                self.mails.append(b"".join(one.removeprefix(b".") for one in lines))
                handler.wfile.write(self.reply("text", "250 queued as 42"))


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            stub.talk(self)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as tcp:
        tcp.daemon_threads = True
        stub.port = tcp.server_address[1]
        thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield stub
        tcp.shutdown()
        thread.join()


def options(port: int = 587, to: tuple[str, ...] = ("a@shop.example", "b@shop.example")) -> EmailOptions:
    return EmailOptions(
        host="127.0.0.1",
        port=port,
        security=Security.NONE,
        sender="watch@shop.example",
        to=to,
        timeout=timedelta(seconds=1),
    )


def sent(server: StubServer, answers: Mapping[str, str] = {}) -> Delivery:
    server.answers.update(answers)
    return Email(options(server.port), clock=SystemClock()).send(MESSAGE, key=MESSAGE.key)


def test_a_taken_mail_is_delivered_with_the_servers_words(server: StubServer) -> None:
    delivery = sent(server)
    assert (delivery.result, delivery.code, delivery.detail) == (Result.DELIVERED, "250", "queued as 42")
    mail = email.message_from_bytes(server.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "【严重】ERP：无法连接"
    assert mail.get_content().splitlines() == [
        "【严重】ERP：无法连接",
        "",
        ".详情",
        "第二行",
        "",
        "http://127.0.0.1:8080/incidents/7",
    ]


def test_a_mail_meant_for_a_person_goes_to_their_own_address() -> None:
    meant, group = replace(MESSAGE, mentions=("li@shop.example",)), replace(MESSAGE, mentions=("not an address",))
    assert compose(meant, key="k", options=options())["To"] == "li@shop.example"
    assert addressees(group, options()) == ("a@shop.example", "b@shop.example")


def test_all_mails_of_an_incident_hang_on_one_root_that_none_of_them_is() -> None:
    mails = [compose(MESSAGE, key=key, options=options()) for key in ("7:opened:1:mail", "7:resolved:2:mail")]
    assert len({mail["References"] for mail in mails}) == 1
    assert len({mail["Message-ID"] for mail in mails} | {mail["In-Reply-To"] for mail in mails}) == 3


def test_a_repeat_has_the_same_message_id_and_says_so() -> None:
    first = compose(MESSAGE, key=MESSAGE.key, options=options())
    again = compose(replace(MESSAGE, possible_repeat=True), key=MESSAGE.key, options=options())
    assert first["Message-ID"] == again["Message-ID"]
    assert again["Subject"].startswith("（可能重复）")


def test_a_line_break_in_a_title_begins_no_header() -> None:
    mail = compose(replace(MESSAGE, title="ERP\r\nBcc: x@y.example"), key="k", options=options())
    assert mail["Subject"] == "ERP Bcc: x@y.example"
    assert mail["Bcc"] is None


@pytest.mark.parametrize("step", ["mail", "data", "text"])
@pytest.mark.parametrize("said", ["451 later", "421 busy"])
def test_a_4xx_at_any_step_is_tried_again(server: StubServer, step: str, said: str) -> None:
    with pytest.raises(DeliveryError, match=said.partition(" ")[2]) as caught:
        sent(server, {step: said})
    assert caught.value.retryable


def test_a_5xx_before_the_text_is_final(server: StubServer) -> None:
    with pytest.raises(DeliveryError, match="550: no") as caught:
        sent(server, {"rcpt": "550 no"})
    assert not caught.value.retryable


def test_a_5xx_to_the_text_is_a_refusal(server: StubServer) -> None:
    assert sent(server, {"text": "554 spam"}).result is Result.REJECTED


def test_with_one_address_refused_the_other_gets_it_and_it_is_not_called_delivered(server: StubServer) -> None:
    delivery = sent(server, {"rcpt to:<b@shop.example>": "550 unknown"})
    assert (delivery.result, delivery.code) == (Result.REJECTED, "partial")
    assert "b@shop.example: unknown" in delivery.detail
    assert len(server.mails) == 1


def test_silence_before_the_text_is_no_arrival(server: StubServer) -> None:
    with pytest.raises(DeliveryError) as caught:
        sent(server, {"mail": ""})
    assert caught.value.retryable


def test_silence_after_the_text_is_unknown(server: StubServer) -> None:
    assert sent(server, {"text": ""}).result is Result.UNKNOWN


def test_a_password_is_not_sent_in_the_clear(server: StubServer) -> None:
    open_account = options(server.port).model_copy(update={"user": "u", "password": Secret("s3cret-word")})
    with pytest.raises(DeliveryError, match="without TLS") as caught:
        Email(open_account, clock=SystemClock()).send(MESSAGE, key="k")
    assert not caught.value.retryable
