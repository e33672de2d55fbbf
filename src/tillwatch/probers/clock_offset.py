"""How wrong our clock is, against a server everybody here depends on: the `Date` header of its answer."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from tillwatch.probers.base import Recorder, Unreachable
from tillwatch.probers.dial import tls_context
from tillwatch.probers.http_transport import ProbeTransport

#: The comparison is a by-product of a host check; a peer that is down must not hold it up.
MAX_SECONDS = 1.5
#: The header has whole seconds: the true time lies within the second it names.
_HALF_A_SECOND = 0.5


@dataclass(frozen=True, kw_only=True)
class Offset:
    """Our clock minus the peer's, and by how much that may be wrong, in seconds."""

    peer: str
    seconds: float
    uncertainty_seconds: float

    @property
    def certain_seconds(self) -> float:
        """The part of the offset that no rounding and no slow network can explain."""
        return max(0.0, abs(self.seconds) - self.uncertainty_seconds)


def offset(peer: str, date_header: str, *, sent: datetime, received: datetime) -> Offset | None:
    """Compare the middle of the exchange with the header. None when the header is no date."""
    try:
        stated = parsedate_to_datetime(date_header)
    except ValueError:
        return None
    stated = stated if stated.tzinfo else stated.replace(tzinfo=UTC)
    round_trip = (received - sent).total_seconds()
    middle = sent.timestamp() + round_trip / 2
    return Offset(
        peer=peer,
        seconds=middle - (stated.timestamp() + _HALF_A_SECOND),
        uncertainty_seconds=_HALF_A_SECOND + abs(round_trip) / 2,
    )


async def compare(url: str, recorder: Recorder) -> Offset | None:
    """Ask `url` for its time; None, with the reason in the log, when it cannot be had."""
    peer = httpx.URL(url).host
    transport = ProbeTransport(Recorder(recorder.clock), tls_context(verify=False), seconds=MAX_SECONDS)
    try:
        # The certificate is not our question here, and nothing secret is sent.
        async with asyncio.timeout(MAX_SECONDS), transport:
            sent = recorder.clock.now()
            response = await transport.handle_async_request(httpx.Request("HEAD", url))
            received = recorder.clock.now()
            await response.aclose()
    except (TimeoutError, Unreachable, httpx.HTTPError, httpcore.ReadError, httpcore.WriteError) as error:
        recorder.log(f"clock not compared with {peer}: {error or 'no answer in time'}")
        return None
    except httpcore.ProtocolError as error:
        recorder.log(f"clock not compared with {peer}: it does not answer as HTTP should ({error})")
        return None
    if "age" in response.headers or "date" not in response.headers:
        recorder.log(f"clock not compared with {peer}: its answer has no fresh Date header")
        return None
    found = offset(peer, response.headers["date"], sent=sent, received=received)
    if found is None:
        recorder.log(f"clock not compared with {peer}: '{response.headers['date']}' is no date")
    return found
