"""Does a TCP port accept, and does it say what it should?"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.config.schema import Strict
from tillwatch.errors import Cause, UsageError
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.dial import Connection, connected, parse_address, tls_context
from tillwatch.probers.pattern import compiled, valid_pattern

#: A banner or a short answer; whoever sends more without matching is not the service we look for.
MAX_ANSWER_BYTES = 65_536


class TcpOptions(Strict):
    #: Sent after connecting; `\\r\\n` and the like are understood.
    send: str = ""
    #: RE2 pattern that must appear in what comes back.
    expect: Annotated[str, AfterValidator(valid_pattern)] = ""
    tls: bool = False
    server_name: str = ""
    verify: bool = True
    ca_file: str = ""
    max_answer_bytes: Annotated[int, Key(ge=1, le=MAX_ANSWER_BYTES)] = MAX_ANSWER_BYTES


class TcpProber:
    kind: ClassVar[str] = "tcp"
    Options: ClassVar[type[BaseModel]] = TcpOptions

    def problems(self, target: Target) -> Sequence[str]:
        try:
            parse_address(target.probe.target)
        except UsageError as error:
            return (str(error),)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options = target.options
        assert isinstance(options, TcpOptions)
        address = parse_address(target.probe.target)
        context = tls_context(verify=options.verify, ca_file=options.ca_file) if options.tls else None
        async with connected(address, recorder, seconds=target.timeout_seconds) as connection:
            if context is not None:
                await connection.start_tls(context, options.server_name or address.host, recorder)
            if options.send:
                connection.writer.write(options.send.encode().decode("unicode_escape").encode("latin-1", "replace"))
            return await _expected(connection, options, recorder) if options.expect else OK


async def _expected(connection: Connection, options: TcpOptions, recorder: Recorder) -> Finding:
    pattern = compiled(options.expect)
    received = b""
    with recorder.timing("processing"):
        while len(received) < options.max_answer_bytes:
            try:
                chunk = await connection.reader.read(4096)
            except OSError as error:
                recorder.log(f"the connection broke: {error.strerror or error}")
                chunk = b""
            received += chunk
            text = received.decode("utf-8", "replace")
            if pattern.search(text):
                recorder.log(f"the answer matches '{options.expect}'")
                return OK
            if not chunk:
                break
    recorder.log(f"answer: {text!r}")
    recorder.evidence("answer", text[:500])
    return Finding(
        outcome=Outcome.FAILED,
        cause=Cause.APPLICATION,
        message=f"{connection.address} answered {len(received)} bytes without '{options.expect}'",
        message_zh=f"{connection.address} 返回了 {len(received)} 字节，其中没有匹配 {options.expect} 的内容",
    )
