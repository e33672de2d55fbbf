"""Does a name server answer, and with what it should?"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, ClassVar

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from pydantic import AfterValidator, BaseModel

from tillwatch.config.schema import Strict
from tillwatch.errors import Cause, UsageError
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, Recorder, Target, Unreachable
from tillwatch.probers.dial import parse_address
from tillwatch.probers.pattern import compiled, valid_pattern

DNS_PORT = 53


def _server(text: str) -> str:
    if text:
        try:
            address = parse_address(text, default_port=DNS_PORT)
            ipaddress.ip_address(address.host)
        except (UsageError, ValueError) as error:
            raise ValueError(
                f"'{text}' is not a name server; write its IP address, for example 10.0.0.53:53"
            ) from error
    return text


def _record(text: str) -> str:
    try:
        dns.rdatatype.from_text(text)
    except dns.exception.DNSException as error:
        raise ValueError(f"'{text}' is not a record type; write for example A, AAAA, CNAME, MX or SRV") from error
    return text.upper()


class DnsOptions(Strict):
    #: The name server to ask, the machine's own when empty.
    server: Annotated[str, AfterValidator(_server)] = ""
    record: Annotated[str, AfterValidator(_record)] = "A"
    #: Each of these must be among the answers, spelled as a zone file does.
    answers: tuple[str, ...] = ()
    #: RE2 pattern that some answer must match.
    expect: Annotated[str, AfterValidator(valid_pattern)] = ""
    tcp: bool = False


class DnsProber:
    kind: ClassVar[str] = "dns"
    Options: ClassVar[type[BaseModel]] = DnsOptions

    def problems(self, target: Target) -> Sequence[str]:
        name = target.probe.target
        try:
            if not name or any(character.isspace() or character in "/:@" for character in name):
                raise UsageError("it is not a host name")
            dns.name.from_text(name)
        except (dns.exception.DNSException, UsageError) as error:
            return (f"target '{name}' is not a name to look up ({error}); write for example erp.example.com",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options = target.options
        assert isinstance(options, DnsOptions)
        resolver = _resolver(options, target.timeout_seconds)
        name = target.probe.target
        servers = ", ".join(str(server) for server in resolver.nameservers)
        recorder.log(f"asking {servers} for {name} {options.record}")
        recorder.measure("probe_dns_query_succeeded", 0)
        with recorder.timing("dns"):
            try:
                answer = await resolver.resolve(name, options.record, tcp=options.tcp, search=False)
            except dns.exception.DNSException as error:
                raise _unanswered(name, options.record, servers, error) from error
        found = sorted(record.to_text() for record in answer)
        recorder.measure("probe_dns_query_succeeded", 1)
        recorder.measure("probe_dns_answer_rrs", len(found))
        recorder.log(f"answers: {', '.join(found)}")
        recorder.evidence("answers", found)
        return _judge(name, options, found)


def _resolver(options: DnsOptions, seconds: float) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not options.server)
    except dns.resolver.NoResolverConfiguration as error:
        raise UsageError("this machine names no DNS server; set the option 'server'") from error
    if options.server:
        address = parse_address(options.server, default_port=DNS_PORT)
        resolver.nameservers = [address.host]
        resolver.port = address.port
    # A cached answer would measure nothing. Half the time each for UDP and its one repetition.
    resolver.cache = None
    resolver.timeout = seconds / 2
    resolver.lifetime = seconds
    return resolver


def _unanswered(name: str, record: str, servers: str, error: dns.exception.DNSException) -> Unreachable:
    if isinstance(error, dns.resolver.NXDOMAIN):
        why, why_zh = "the name does not exist", "该名称不存在"
    elif isinstance(error, dns.resolver.NoAnswer):
        why, why_zh = f"the name has no {record} record", f"该名称没有 {record} 记录"
    elif isinstance(error, dns.resolver.LifetimeTimeout):
        why, why_zh = "no name server answered in time", "DNS 服务器没有及时响应"
    else:
        why = why_zh = str(error) or type(error).__name__
    cause = Cause.TIMEOUT if isinstance(error, dns.resolver.LifetimeTimeout) else Cause.DNS
    return Unreachable(
        f"'{name}' cannot be resolved by {servers}: {why}", f"{servers} 无法解析 {name}：{why_zh}", cause=cause
    )


def _judge(name: str, options: DnsOptions, found: Sequence[str]) -> Finding:
    missing = [wanted for wanted in options.answers if _canonical(wanted) not in {_canonical(text) for text in found}]
    shown = ", ".join(found)
    if missing:
        wanted = ", ".join(missing)
        return Finding(
            outcome=Outcome.FAILED,
            cause=Cause.DATA,
            message=f"'{name}' resolves to {shown}, without {wanted}",
            message_zh=f"{name} 解析为 {shown}，缺少 {wanted}",
        )
    if options.expect and not any(compiled(options.expect).search(text) for text in found):
        return Finding(
            outcome=Outcome.FAILED,
            cause=Cause.DATA,
            message=f"'{name}' resolves to {shown}, nothing of which matches '{options.expect}'",
            message_zh=f"{name} 解析为 {shown}，没有匹配 {options.expect} 的记录",
        )
    return OK


def _canonical(text: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(text))
    return text.rstrip(".").lower()
