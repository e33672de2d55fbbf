"""Everything that can be known to be wrong with a chain directory without asking any other machine."""

import dataclasses
from collections.abc import Callable

from tillwatch.audit.declare import declare
from tillwatch.clock import Clock
from tillwatch.config.schema import ChainConfig
from tillwatch.errors import ConfigError, Problem, UsageError
from tillwatch.notify import registry as channels
from tillwatch.notify import render
from tillwatch.probers import registry as probers
from tillwatch.sources import registry as sources

#: One reading of the whole configuration by those who understand a part of it.
Lint = Callable[[ChainConfig, Clock], list[Problem]]


def _sources(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001 - every lint is called alike
    return sources.problems(config)


def _channels(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    return channels.check(config)


def _messages(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    return render.check(config)


def _probes(config: ChainConfig, clock: Clock) -> list[Problem]:
    """Probes of systems whose own options are wrong, or wait for a secret, cannot be judged and are left out."""
    judged = [system for system in config.systems if not sources.problems(_only_system(config, system.id))]
    opened = sources.build(dataclasses.replace(config, systems=tuple(judged)), clock=clock)
    try:
        known = set(opened.ids)
        probes = tuple(probe for probe in config.probes if not probe.system or probe.system in known)
        probers.prepare(dataclasses.replace(config, probes=probes), probers.builtin(), opened)
    except ConfigError as error:
        return list(error.problems)
    finally:
        opened.close()
    return []


def _only_system(config: ChainConfig, id: str) -> ChainConfig:
    return dataclasses.replace(config, systems=(config.system(id),))


def _audits(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    problems: list[Problem] = []
    for audit in config.audits:
        try:
            declare(audit, config.chain.timezone)
        except UsageError as error:
            problems.append(Problem(file="probes", message=str(error)))
    return problems


LINTS: tuple[Lint, ...] = (_sources, _channels, _messages, _probes, _audits)


def problems(config: ChainConfig, clock: Clock) -> list[Problem]:
    """Every problem the plugins see, each once, in file order."""
    found = [problem for lint in LINTS for problem in lint(config, clock)]
    return sorted(dict.fromkeys(found))
