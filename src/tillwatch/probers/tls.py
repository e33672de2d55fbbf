"""Does a port present a valid certificate, and for how long yet?"""

import ssl
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel

from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import UsageError
from tillwatch.probers import certificate
from tillwatch.probers.base import OK, Finding, Recorder, Target, Unreachable
from tillwatch.probers.dial import connected, parse_address, tls_context

HTTPS_PORT = 443


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


class TlsOptions(Strict):
    server_name: str = ""
    ca_file: str = ""
    verify: bool = True
    certificate_warn: Annotated[Duration, AfterValidator(_positive)] = certificate.WARN_BEFORE
    certificate_fail: Duration = certificate.FAIL_BEFORE


class TlsProber:
    kind: ClassVar[str] = "tls"
    Options: ClassVar[type[BaseModel]] = TlsOptions

    def problems(self, target: Target) -> Sequence[str]:
        try:
            parse_address(target.probe.target, default_port=HTTPS_PORT)
        except UsageError as error:
            return (str(error),)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options = target.options
        assert isinstance(options, TlsOptions)
        try:
            finding = await self._handshake(target, recorder, verify=options.verify)
        except Unreachable as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                await self._look_anyway(target, recorder)
            raise
        return finding or OK

    async def _handshake(self, target: Target, recorder: Recorder, *, verify: bool) -> Finding | None:
        options = target.options
        assert isinstance(options, TlsOptions)
        address = parse_address(target.probe.target, default_port=HTTPS_PORT)
        context = tls_context(verify=verify, ca_file=options.ca_file)
        async with connected(address, recorder, seconds=target.timeout_seconds) as connection:
            secured = await connection.start_tls(context, options.server_name or address.host, recorder)
            return certificate.judge(
                secured,
                recorder,
                name=str(address),
                warn_before=options.certificate_warn,
                fail_before=options.certificate_fail,
            )

    async def _look_anyway(self, target: Target, recorder: Recorder) -> None:
        """The certificate was refused; look at it without trusting it, so that the report can say when it ended."""
        try:
            await self._handshake(target, recorder, verify=False)
        except Unreachable as error:
            recorder.log(f"the refused certificate could not be looked at: {error}")
