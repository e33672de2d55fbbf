"""Parameters: a value proposed by an incident or typed by a person is checked the same way, never trusted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, Interface, Probe, Site, System, Validation
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Component
from tillwatch.runbook.document import INVENTORY, Param

#: A parameter is an id, a number or a word.
MAX_VALUE_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Checked parameters, what they name, and what is wrong with the others (by name)."""

    params: dict[str, str] = field(default_factory=dict)
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def resolve(declared: Mapping[str, Param], given: Mapping[str, str], config: ChainConfig) -> Resolved:
    """Check every parameter; every problem is reported, not the first."""
    resolved = Resolved()
    for name in given:
        if name not in declared:
            hint = did_you_mean(name, declared, what="parameters")
            resolved.problems[name] = f"unknown parameter '{name}'{hint}"
    for name, param in declared.items():
        value = given.get(name) or param.default
        if value is None or value == "":
            resolved.problems[name] = f"'{name}' is missing; give {name}=VALUE"
            continue
        try:
            text, target = _checked(name, param, str(value), config)
        except ValueError as error:
            resolved.problems[name] = str(error)
            continue
        resolved.params[name] = text
        if target is not None:
            resolved.targets[name] = target
    return resolved


def choices(param: Param, config: ChainConfig) -> tuple[str, ...]:
    """What a form offers, empty when anything that fits the pattern goes."""
    if param.type in INVENTORY:
        known = tuple(item.id for item in _items(param.type, config))
        return tuple(item for item in known if not param.enum or item in param.enum)
    return ("true", "false") if param.type == "boolean" else param.enum


def proposals(
    declared: Mapping[str, Param],
    *,
    incident: int,
    component: Component,
    episodes: Sequence[Episode],
    config: ChainConfig,
    serves: Sequence[str] = (),
) -> dict[str, str]:
    """What the incident says about each parameter; unchecked text, for a form or for `resolve`.

    Only firing alerts speak, those the runbook serves first, the latest news first.
    """
    firing = [episode for episode in episodes if episode.state is not AlertState.RESOLVED]
    firing.sort(key=lambda item: item.updated_at, reverse=True)
    firing.sort(key=lambda item: item.labels.get("alertname", "") not in serves)
    found: dict[str, str] = {}
    for name, param in declared.items():
        for source in param.from_:
            value = _proposal(source, incident, component, firing, config)
            if value:
                found[name] = value[:MAX_VALUE_CHARACTERS]
                break
    return found


def _proposal(
    source: str, incident: int, component: Component, episodes: Sequence[Episode], config: ChainConfig
) -> str:
    if source == "incident.id":
        return str(incident)
    if source == "incident.component":
        return component.id
    if source == "incident.offender":
        return _offender(episodes, config)
    _, place, key = source.split(".", 2)
    for episode in episodes:
        held: Mapping[str, object] = episode.labels if place == "labels" else episode.evidence
        value = held.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    return ""


def _offender(episodes: Sequence[Episode], config: ChainConfig) -> str:
    """The first job of the allow-list among the top processes that the evidence names."""
    for episode in episodes:
        processes = episode.evidence.get("top_processes")
        for process in processes if isinstance(processes, list | tuple) else ():
            argv = process.get("argv") if isinstance(process, Mapping) else None
            line = " ".join(map(str, argv)) if isinstance(argv, list | tuple) else str(argv or "")
            for offender in config.offenders:
                if offender.argv_contains in line:
                    return offender.id
    return ""


def _checked(name: str, param: Param, value: str, config: ChainConfig) -> tuple[str, dict[str, Any] | None]:
    """(the value in its normal form, what it names). Raises ValueError with a message for a person."""
    if len(value) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"'{name}' has {len(value)} characters; at most {MAX_VALUE_CHARACTERS}")
    if param.enum and value not in param.enum:
        raise ValueError(f"'{name}': '{value}' is not allowed{did_you_mean(value, param.enum, what='one of')}")
    if param.type in INVENTORY:
        for item in _items(param.type, config):
            if item.id == value:
                return value, _target(item)
        known = [item.id for item in _items(param.type, config)]
        raise ValueError(f"'{name}': there is no {param.type} '{value}'{did_you_mean(value, known)}")
    if param.type == "string":
        if param.pattern and not re.fullmatch(param.pattern, value):
            raise ValueError(f"'{name}': '{value}' does not have the form {param.pattern}")
        return value, None
    return _typed(name, param, value), None


def _typed(name: str, param: Param, value: str) -> str:
    if param.type == "boolean":
        if value not in {"true", "false"}:
            raise ValueError(f"'{name}': '{value}' is neither true nor false")
        return value
    try:
        number = Decimal(value) if param.type == "decimal" else Decimal(int(value))
    except (InvalidOperation, ValueError):
        wanted = "a decimal number such as 0.5" if param.type == "decimal" else "a whole number"
        raise ValueError(f"'{name}': '{value}' is not {wanted}") from None
    if not number.is_finite():
        raise ValueError(f"'{name}': '{value}' is not a finite number")
    if param.minimum is not None and number < param.minimum:
        raise ValueError(f"'{name}': {value} is less than {param.minimum}")
    if param.maximum is not None and number > param.maximum:
        raise ValueError(f"'{name}': {value} is more than {param.maximum}")
    return str(number)


def _items(kind: str, config: ChainConfig) -> Sequence[Any]:
    tables: dict[str, Sequence[Any]] = {
        "site": config.sites,
        "system": config.systems,
        "interface": config.interfaces,
        "probe": config.probes,
        "audit": config.audits,
        "validation": config.validations,
        "service": config.services,
        "offender": config.offenders,
        "channel": config.channels,
    }
    return tables[kind]


def _target(item: Any) -> dict[str, Any]:
    """What templates may say about a thing of the inventory: ids and names, never options (they hold secrets)."""
    target: dict[str, Any] = {"id": item.id, "name": dict(item.name)}
    if isinstance(item, System):
        target |= {"site": item.site, "source": item.source}
    elif isinstance(item, Interface):
        target |= {"site": item.site, "from": item.from_, "to": item.to, "carries": item.carries}
    elif isinstance(item, Probe):
        target |= {"site": item.site, "system": item.system, "interface": item.interface}
    elif isinstance(item, Audit):
        target |= {"interface": item.interface, "left": item.left.system, "right": item.right.system}
    elif isinstance(item, Validation):
        target |= {"system": item.system, "interface": item.interface, "dataset": item.dataset}
    elif isinstance(item, Site):
        target |= {"hours": item.hours}
    return target
