"""Channel kind `email`: plain text by SMTP. All messages of an incident refer to one Message-ID, so that threads hold.

That root is never itself sent: mail services drop a second message with a known Message-ID, and an incident may open
twice. Each message's own Message-ID comes from its key, so that a repeat of the same message can be recognised.
"""

import enum
import hashlib
import re
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, ClassVar

from pydantic import BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import DeliveryError
from tillwatch.model.text import language_of
from tillwatch.notify.base import REPEAT_MARK, Delivery, Message, Result, Unlimited, scrub

#: Subjects are read in lists; the whole title stands in the body.
MAX_SUBJECT_CHARACTERS = 200
MAX_BODY_BYTES = 200_000

_ADDRESS = re.compile(r"^[!-?A-~]+@[A-Za-z0-9.\-]+$")
Address = Annotated[str, Key(pattern=_ADDRESS.pattern)]


class Security(enum.StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    #: Only for a relay on the same machine or a trusted network; a password is then refused.
    NONE = "none"


class EmailOptions(Strict):
    """`sender` and `to` are bare addresses. Certificates are verified, always."""

    host: Annotated[str, Key(min_length=1)]
    port: Annotated[int, Key(ge=1, le=65_535)] = 587
    security: Security = Security.STARTTLS
    user: str = ""
    password: Secret = Secret("")
    #: The authority that signed the server's certificate, when the system does not know it.
    ca_file: str = ""
    sender: Address
    to: Annotated[tuple[Address, ...], Key(min_length=1)]
    timeout: Annotated[Duration, Key(ge=timedelta(seconds=1), le=timedelta(seconds=60))] = timedelta(seconds=20)


class Email(Unlimited):
    """One mail account; a connection per message."""

    kind: ClassVar[str] = "email"
    Options: ClassVar[type[BaseModel]] = EmailOptions
    #: A person should see a message twice at most.
    repeats_when_unknown: ClassVar[int] = 1

    def __init__(self, options: EmailOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    def describe(self) -> str:
        return f"{', '.join(self._options.to)} by {self._options.host}:{self._options.port}"

    def close(self) -> None:
        """Nothing stays open between messages."""

    def send(self, message: Message, *, key: str) -> Delivery:
        """Raises DeliveryError until the server was given the text; from then on silence means unknown."""
        started = self._clock.monotonic()
        content = compose(message, key=key, options=self._options).as_bytes()
        smtp, refused = self._envelope(addressees(message, self._options), started)
        try:
            self._hurry(smtp, started)
            code, words = smtp.data(content)
        except smtplib.SMTPDataError as error:
            code, words = error.smtp_code, _bytes(error.smtp_error)
        except (smtplib.SMTPException, OSError) as error:
            return self._delivery(Result.UNKNOWN, "broken", f"no answer to the text: {error}", started)
        finally:
            smtp.close()
        self._check(code, words)
        if code >= 300:
            return self._delivery(Result.REJECTED, str(code), _text(words), started)
        if refused:
            # Some have it. Called delivered, nobody would look for the others.
            said = "; ".join(f"{address}: {answer}" for address, (_, answer) in refused.items())
            return self._delivery(Result.REJECTED, "partial", f"refused for {said}", started)
        return self._delivery(Result.DELIVERED, str(code), _text(words), started)

    def _envelope(self, to: Sequence[str], started: float) -> tuple[smtplib.SMTP, Mapping[str, tuple[int, str]]]:
        """A connection that waits for the text, and who was refused; at least one address was taken."""
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._connect(started)
            code, words = smtp.mail(self._options.sender)
            self._refuse_unless(code < 300, code, _text(words))
            refused: dict[str, tuple[int, str]] = {}
            for address in to:
                self._hurry(smtp, started)
                code, words = smtp.rcpt(address)
                if code >= 300:
                    refused[address] = (code, _text(words))
            if len(refused) == len(to):
                # One that may pass later is reason enough to come back.
                code, said = min(refused.values())
                self._refuse_unless(False, code, said)
        except smtplib.SMTPResponseException as error:
            _quit(smtp)
            self._refuse_unless(False, error.smtp_code, _text(_bytes(error.smtp_error)))
            raise
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            _quit(smtp)
            raise DeliveryError(self._say(str(error)), retryable=False, code="tls") from error
        except (smtplib.SMTPException, OSError) as error:
            _quit(smtp)
            raise DeliveryError(self._say(f"cannot hand over: {error}"), retryable=True, code="connect") from error
        except DeliveryError:
            _quit(smtp)
            raise
        return smtp, refused

    def _connect(self, started: float) -> smtplib.SMTP:
        options, seconds = self._options, self._options.timeout.total_seconds()
        if options.security is Security.TLS:
            context = self._context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(options.host, options.port, timeout=seconds, context=context)
        else:
            smtp = smtplib.SMTP(options.host, options.port, timeout=seconds)
        try:
            self._hurry(smtp, started)
            smtp.ehlo_or_helo_if_needed()
            if options.security is Security.STARTTLS:
                smtp.starttls(context=self._context())
                smtp.ehlo()
            if options.user:
                if options.security is Security.NONE:
                    raise smtplib.SMTPNotSupportedError("a password is not sent without TLS; set security")
                smtp.login(options.user, str(options.password))
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _context(self) -> ssl.SSLContext:
        """Raises DeliveryError when `ca_file` cannot be used: it may be put right while the message waits."""
        try:
            return ssl.create_default_context(cafile=self._options.ca_file or None)
        except OSError as error:
            raise DeliveryError(
                f"ca_file {self._options.ca_file} cannot be used: {error}", retryable=True, code="tls"
            ) from error

    def _hurry(self, smtp: smtplib.SMTP, started: float) -> None:
        """What is left of the timeout is all that the next answers may take."""
        left = self._options.timeout.total_seconds() - (self._clock.monotonic() - started)
        if left <= 0:
            raise TimeoutError("the mail server is too slow")
        if smtp.sock is not None:
            smtp.sock.settimeout(left)

    def _check(self, code: int, words: bytes) -> None:
        if 400 <= code < 500:
            self._refuse_unless(False, code, _text(words))

    def _refuse_unless(self, good: bool, code: int, words: str) -> None:
        """4xx may pass, anything else would be refused again."""
        if not good:
            raise DeliveryError(self._say(f"{code}: {words}"), retryable=400 <= code < 500, code=str(code))

    def _delivery(self, result: Result, code: str, detail: str, started: float) -> Delivery:
        return Delivery(result=result, code=code, detail=self._say(detail), seconds=self._clock.monotonic() - started)

    def _say(self, text: str) -> str:
        return scrub(text, [str(self._options.password)])


def addressees(message: Message, options: EmailOptions) -> tuple[str, ...]:
    """The person the message is meant for, when they have an address; else everybody the channel names."""
    own = tuple(one for one in message.mentions if _ADDRESS.fullmatch(one))
    return own or options.to


def compose(message: Message, *, key: str, options: EmailOptions) -> EmailMessage:
    """The mail: inert headers, a plain text, the incident's page and its runbooks as addresses."""
    domain = options.sender.rpartition("@")[2]
    mark = REPEAT_MARK[language_of(message.locale)] if message.possible_repeat else ""
    title = _clean(f"{mark}{message.title}")
    mail = EmailMessage()
    # A line break in a header would begin another header.
    mail["Subject"] = " ".join(title.split())[:MAX_SUBJECT_CHARACTERS]
    mail["From"] = options.sender
    mail["To"] = ", ".join(addressees(message, options))
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{_digest(key)}@{domain}>"
    if message.incident is not None:
        root = f"<incident-{message.incident['incident']}-{_digest(message.chain)}@{domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    # No out-of-office answers to a monitor.
    mail["Auto-Submitted"] = "auto-generated"
    links = [f"{link.title}: {link.url}" for link in message.runbooks]
    links += [one for one in (message.ack_url, message.url) if one and one not in message.body]
    text = _clean("\n".join([title, "", message.body, "", *links])).encode()[:MAX_BODY_BYTES]
    mail.set_content(text.decode("utf-8", "ignore").rstrip() + "\n", charset="utf-8", cte="base64")
    return mail


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no charset can carry."""
    return text.encode("utf-8", "replace").decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _bytes(words: bytes | str) -> bytes:
    return words if isinstance(words, bytes) else words.encode()


def _text(words: bytes) -> str:
    return words.decode("utf-8", "replace")


def _quit(smtp: smtplib.SMTP | None) -> None:
    if smtp is not None:
        smtp.close()
