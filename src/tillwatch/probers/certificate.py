"""When a certificate ends. Read from DER: the standard library tells nothing of one it did not verify."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import Finding, Recorder

WARN_BEFORE = timedelta(days=21)
FAIL_BEFORE = timedelta(days=3)

_SEQUENCE, _CONTEXT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def presented(secured: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates the peer sent, in DER: the whole chain from Python 3.13 on, before that the peer's own."""
    if chain := getattr(secured, "get_unverified_chain", None):
        return tuple(chain())
    own = secured.getpeercert(binary_form=True)
    return (own,) if own else ()


def not_after(der: bytes) -> datetime:
    """The end of validity. Raises ValueError when `der` is no X.509 certificate.

    Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version?, serial, algorithm, issuer, validity SEQUENCE { from, to } …
    """
    certificate = _body(der, _SEQUENCE)
    parts = list(_children(_body(certificate, _SEQUENCE), 5))
    if parts and parts[0][0] == _CONTEXT_0:
        parts.pop(0)
    if len(parts) < 4 or parts[3][0] != _SEQUENCE:
        raise ValueError("not an X.509 certificate: no validity")
    times = list(_children(parts[3][1], 2))
    if len(times) != 2:
        raise ValueError("not an X.509 certificate: the validity has no end")
    tag, text = times[1]
    if tag not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise ValueError(f"not an X.509 certificate: unknown time type {tag:#x}")
    try:
        digits = text.decode("ascii")
        if tag == _UTC_TIME:
            # RFC 5280: two-digit years from 50 on belong to the last century.
            digits = ("19" if int(digits[:2]) >= 50 else "20") + digits
        return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"not an X.509 certificate: {text!r} is no time") from error


def judge(
    secured: ssl.SSLObject, recorder: Recorder, *, name: str, warn_before: timedelta, fail_before: timedelta
) -> Finding | None:
    """Measure the earliest end in the presented chain; a finding when it is near or past, None when it is far."""
    ends = [not_after(der) for der in presented(secured)]
    if not ends:
        return None
    earliest = min(ends)
    recorder.measure("probe_ssl_earliest_cert_expiry", earliest.timestamp())
    recorder.evidence("certificate_expires_at", earliest.isoformat())
    left = earliest - recorder.clock.now()
    recorder.log(f"the certificate of {name} ends {earliest.isoformat()}, in {left.days} days")
    if left > warn_before:
        return None
    day = earliest.date().isoformat()
    ended = left <= timedelta(0)
    message = f"the certificate of {name} {'ended' if ended else 'ends'} on {day}"
    message_zh = f"{name} 的证书{'已于' if ended else '将于'} {day} 到期"
    return Finding(
        outcome=Outcome.FAILED if left <= fail_before else Outcome.DEGRADED,
        cause=Cause.EXPIRY,
        message=f"{message}; renew it" if ended else f"{message}, in {left.days} days; renew it",
        message_zh=f"{message_zh}，请更换" if ended else f"{message_zh}（还有 {left.days} 天），请更换",
    )


def _body(data: bytes, tag: int) -> bytes:
    first = next(_children(data, 1), None)
    if first is None or first[0] != tag:
        raise ValueError("not an X.509 certificate")
    return first[1]


def _children(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The first `count` elements of a DER sequence as (tag, content)."""
    position = 0
    while count > 0 and position < len(data):
        if position + 2 > len(data):
            raise ValueError("not an X.509 certificate: cut short")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or position + size > len(data):
                raise ValueError("not an X.509 certificate: bad length")
            length = int.from_bytes(data[position : position + size])
            position += size
        if position + length > len(data):
            raise ValueError("not an X.509 certificate: cut short")
        yield tag, data[position : position + length]
        position += length
        count -= 1
