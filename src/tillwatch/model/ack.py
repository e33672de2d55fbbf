"""The text of an acknowledge link: what it stands for, signed, so that a stranger can neither make nor change one.

48 bytes, written as 64 characters: short enough for every chat. Nothing in it is secret but the signature.
"""

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: Whoever acknowledges later than this looks at the incident first.
LINK_LASTS = timedelta(hours=24)
#: Bytes of the signature; guessing 128 bits is not tried by anybody.
_SIGNATURE_BYTES = 16
_BOUND_BYTES = 3
#: Format, message, incident, version, end in microseconds, what binds it. A multiple of three with the signature, so
#: that every bit of the text counts.
_FIELDS = struct.Struct(f">BQQIQ{_BOUND_BYTES}s")
_FORMAT = 1
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: A key signs for one purpose only.
_PURPOSE = b"tillwatch acknowledge link\x00"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AckLink:
    """One message's way to acknowledge its incident."""

    #: The message's number in the outbox; its row knows the person and the channel.
    message: int
    #: The message's key, which names incident, person and channel: a restored store may use a number again.
    key: str
    incident: int
    #: The incident's version the message spoke of.
    version: int
    expires_at: datetime

    def sign(self, secret: bytes) -> str:
        end = (self.expires_at - _BEGINNING) // _MICROSECOND
        fields = _FIELDS.pack(_FORMAT, self.message, self.incident, self.version, end, bound(self.key))
        return base64.urlsafe_b64encode(fields + _signature(fields, secret)).decode()


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What a link that we signed says."""

    message: int
    incident: int
    version: int
    expires_at: datetime
    #: Of the message's key.
    bound: bytes


def read(token: str, secret: bytes) -> Signed | None:
    """None for anything that was not signed with `secret`, however it was damaged."""
    if not _TOKEN.fullmatch(token):
        return None
    raw = base64.urlsafe_b64decode(token)
    fields, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(fields, secret)):
        return None
    form, message, incident, version, end, digest = _FIELDS.unpack(fields)
    if form != _FORMAT:
        return None
    expires_at = _BEGINNING + end * _MICROSECOND
    return Signed(message=message, incident=incident, version=version, expires_at=expires_at, bound=digest)


def bound(key: str) -> bytes:
    """What ties a link to one message, and with it to a person or a channel."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[:_BOUND_BYTES]


def _signature(fields: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + fields, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
