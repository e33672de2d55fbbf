"""Which probers there are, and each declared probe made ready: its options read, its target looked up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from tillwatch.config.bind import EMPTY, bind, did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Probe, System
from tillwatch.config.yaml import Mapping as MappingNode
from tillwatch.config.yaml import Node, Scalar
from tillwatch.config.yaml import Sequence as SequenceNode
from tillwatch.errors import ConfigError, Problem, UsageError
from tillwatch.probers.base import Prober, Target
from tillwatch.probers.dns import DnsProber
from tillwatch.probers.freshness import FreshnessProber
from tillwatch.probers.host import HostProber
from tillwatch.probers.http import HttpProber
from tillwatch.probers.source import SourceProber
from tillwatch.probers.sql import SqlProber
from tillwatch.probers.tcp import TcpProber
from tillwatch.probers.tls import TlsProber
from tillwatch.probers.workers import Workers
from tillwatch.sources.base import Source


class Sources(Protocol):
    """Where live connections come from; one for each system, made at the first question."""

    def get(self, system: str) -> Source: ...


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A probe that can run."""

    target: Target
    prober: Prober

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that say where a result belongs; the ones that do not apply are left out."""
        probe = self.target.probe
        named = {
            "probe": probe.id,
            "system": self.target.system.id if self.target.system else "",
            "interface": probe.interface,
            "site": self.target.site,
        }
        return {name: value for name, value in named.items() if value}


def builtin(workers: Workers | None = None) -> dict[str, Prober]:
    """Every prober that ships with the product, by kind. They share `workers` for what blocks."""
    pool = workers or Workers()
    probers: tuple[Prober, ...] = (
        HttpProber(),
        TcpProber(),
        TlsProber(),
        DnsProber(),
        SqlProber(pool),
        FreshnessProber(pool),
        SourceProber(pool),
        HostProber(pool),
    )
    return {prober.kind: prober for prober in probers}


def prepare(config: ChainConfig, probers: Mapping[str, Prober], sources: Sources) -> dict[str, Ready]:
    """Every probe of `config`, ready to run, by id. Raises ConfigError with the problems of all of them."""
    problems: list[Problem] = []
    ready: dict[str, Ready] = {}
    peers = tuple(_http_urls(config.systems))
    for probe in config.probes:
        prober = probers.get(probe.prober)
        if prober is None:
            hint = did_you_mean(probe.prober, probers)
            problems.append(config.problem("probe", probe.id, f"there is no prober '{probe.prober}'{hint}"))
            continue
        options = _options(config, probe, prober, problems)
        if options is None:
            continue
        system = _system(config, probe)
        target = Target(
            probe=probe,
            options=options,
            system=system,
            interface=config.interface(probe.interface) if probe.interface else None,
            site=_site(config, probe, system),
            source=sources.get(system.id) if system else None,
            peers=peers,
            secrets=tuple(_secrets(system, probe)),
        )
        problems.extend(config.problem("probe", probe.id, text) for text in prober.problems(target))
        ready[probe.id] = Ready(target=target, prober=prober)
    if problems:
        raise ConfigError(problems)
    return ready


def _options(config: ChainConfig, probe: Probe, prober: Prober, problems: list[Problem]) -> BaseModel | None:
    if probe.options is not None:
        where = f"options of probe '{probe.id}' ({prober.kind})"
        return bind(probe.options, prober.Options, where=where, problems=problems)
    # A block nobody wrote has no place; the probe has one.
    missing: list[Problem] = []
    bound = bind(EMPTY, prober.Options, where=f"options ({prober.kind})", problems=missing)
    problems.extend(config.problem("probe", probe.id, problem.message) for problem in missing)
    return bound


def _system(config: ChainConfig, probe: Probe) -> System | None:
    return config.system(probe.system) if probe.system else None


def _site(config: ChainConfig, probe: Probe, system: System | None) -> str:
    """The nearest place that is said: the probe's own, its interface's, its system's."""
    interface = config.interface(probe.interface) if probe.interface else None
    return probe.site or (interface.site if interface else "") or (system.site if system else "")


def _http_urls(systems: Sequence[System]) -> Iterator[str]:
    for system in systems:
        node = system.options.entries.get("url")
        if isinstance(node, Scalar) and node.text.startswith(("http://", "https://")):
            yield node.text


def _secrets(system: System | None, probe: Probe) -> Iterator[str]:
    """Every value that came from outside the files, and every password inside a URL."""
    for root in (system.options if system else None, probe.options):
        for node in _scalars(root):
            if node.reference:
                yield node.text
            elif "://" in node.text:
                try:
                    if password := urlsplit(node.text).password:
                        yield password
                except ValueError:
                    continue


def _scalars(node: Node | None) -> Iterator[Scalar]:
    if isinstance(node, MappingNode):
        for child in node.entries.values():
            yield from _scalars(child)
    elif isinstance(node, SequenceNode):
        for child in node.items:
            yield from _scalars(child)
    elif isinstance(node, Scalar):
        yield node


def chosen(ready: Mapping[str, Ready], probes: Sequence[str]) -> list[Ready]:
    """The named probes, each once. Raises UsageError naming what is close when one is unknown."""
    found: dict[str, Ready] = {}
    for probe in probes:
        if probe not in ready:
            raise UsageError(f"there is no probe '{probe}'{did_you_mean(probe, ready)}")
        found[probe] = ready[probe]
    return list(found.values())
