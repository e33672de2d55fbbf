"""Everything that can be known to be wrong with a chain directory without asking any other machine."""

import dataclasses
from collections.abc import Callable, Mapping

from tillwatch.audit import repair_plan
from tillwatch.audit.declare import declare
from tillwatch.audit.timetable import timetable
from tillwatch.clock import Clock
from tillwatch.config.bind import bind
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Probe
from tillwatch.errors import ConfigError, Problem, RunbookError, UsageError
from tillwatch.notify import registry as channels
from tillwatch.notify import render
from tillwatch.oncall import lint as oncall
from tillwatch.probers import registry as probers
from tillwatch.probers.base import Prober
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.lint import load_all
from tillwatch.sources import registry as sources
from tillwatch.validation import declare as validations

#: One reading of the whole configuration by those who understand a part of it.
Lint = Callable[[ChainConfig, Clock], list[Problem]]


def _sources(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001 - every lint is called alike
    return sources.problems(config)


def _channels(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    return channels.check(config)


def _messages(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    return render.check(config)


def _probes(config: ChainConfig, clock: Clock) -> list[Problem]:
    """Of probes whose system is itself wrong, or waits for a secret, only the options can be judged."""
    sound = [system for system in config.systems if not sources.problems(_only_system(config, system.id))]
    opened = sources.build(dataclasses.replace(config, systems=tuple(sound)), clock=clock)
    known = set(opened.ids)
    whole = tuple(probe for probe in config.probes if not probe.system or probe.system in known)
    kinds = probers.builtin()
    found = [problem for probe in config.probes if probe not in whole for problem in _options(probe, kinds)]
    try:
        probers.prepare(dataclasses.replace(config, probes=whole), kinds, opened)
    except ConfigError as error:
        found += error.problems
    finally:
        opened.close()
    return found


def _options(probe: Probe, kinds: Mapping[str, Prober]) -> list[Problem]:
    found: list[Problem] = []
    if probe.options is not None and probe.prober in kinds:
        where = f"options of probe '{probe.id}' ({probe.prober})"
        bind(probe.options, kinds[probe.prober].Options, where=where, problems=found)
    return found


def _only_system(config: ChainConfig, id: str) -> ChainConfig:
    return dataclasses.replace(config, systems=(config.system(id),))


def _audits(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    problems: list[Problem] = []
    for audit in config.audits:
        try:
            declare(audit, config.chain.timezone)
            timetable(audit, config)
        except UsageError as error:
            own = f"audit '{audit.id}': "
            problems += [config.problem("audit", audit.id, line.removeprefix(own)) for line in str(error).splitlines()]
        repair_plan.options_of(audit, problems)
    return problems


def _validations(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    problems: list[Problem] = []
    for spec in config.validations:
        try:
            validations.declare(spec, config.chain.timezone)
        except UsageError as error:
            own = f"validation '{spec.id}': "
            lines = (line.removeprefix(own) for line in str(error).splitlines())
            problems += [config.problem("validation", spec.id, line) for line in lines]
    return problems


def _runbooks(config: ChainConfig, clock: Clock) -> list[Problem]:  # noqa: ARG001
    try:
        load_all(config, REGISTRY)
    except RunbookError as error:
        return list(error.problems)
    return []


def _oncall(config: ChainConfig, clock: Clock) -> list[Problem]:
    return oncall.problems(config, clock.now())


LINTS: tuple[Lint, ...] = (_sources, _channels, _messages, _probes, _audits, _validations, _runbooks, _oncall)


def problems(config: ChainConfig, clock: Clock) -> list[Problem]:
    """Every problem the plugins see, each once, in file order."""
    found = [problem for lint in LINTS for problem in lint(config, clock)]
    return sorted(dict.fromkeys(found))
