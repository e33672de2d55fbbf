"""What things are called in the reader's language."""

from collections.abc import Mapping

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Probe
from tillwatch.model.incident import Component
from tillwatch.web.language import Texts
from tillwatch.web.views.places import component_names


def audit_names(config: ChainConfig, t: Texts) -> dict[str, str]:
    """An audit without a name of its own is called after its interface."""
    interfaces: dict[str, Mapping[str, str]] = {item.id: item.name for item in config.interfaces}
    return {audit.id: t.name(audit.name or interfaces.get(audit.interface, {}), audit.id) for audit in config.audits}


def validation_names(config: ChainConfig, t: Texts) -> dict[str, str]:
    return {one.id: t.name(one.name, one.id) for one in config.validations}


def probe_name(config: ChainConfig, probe: Probe, t: Texts) -> str:
    """A probe without a name of its own is called after what it looks at, and how."""
    if probe.name:
        return t.name(probe.name, probe.id)
    subjects: dict[str, Mapping[str, str]] = {
        item.id: item.name for group in (config.systems, config.sites, config.interfaces) for item in group
    }
    subject = t.name(subjects.get(probe.interface or probe.system or probe.site, {}), "")
    return t("probe.named", subject=subject, how=t.or_raw("prober", probe.prober)) if subject else probe.id


def site_names(config: ChainConfig, t: Texts) -> dict[str, str]:
    return {site.id: t.name(site.name, site.id) for site in config.sites}


def system_names(config: ChainConfig, t: Texts) -> dict[str, str]:
    return {system.id: t.name(system.name, system.id) for system in config.systems}


def channel_names(config: ChainConfig, t: Texts) -> dict[str, str]:
    return {channel.id: t.name(channel.name, channel.id) for channel in config.channels}


def component_name(config: ChainConfig, text: str, t: Texts) -> str:
    """The name of a component written `kind:id`; what cannot be read as one is shown as it is."""
    try:
        component = Component.parse(text)
    except ValueError:
        return text
    return t.name(component_names(config, component), component.id)


def person_name(config: ChainConfig, person: str, t: Texts) -> str:
    """Nobody in particular has no name; somebody who left the chain directory keeps the id."""
    names = next((one.name for one in config.people if one.id == person), {})
    return t.name(names, person)


def target_name(config: ChainConfig, target: str, person: str, t: Texts) -> str:
    """Whom a step means, written `rota:primary`, with the person it found."""
    kind, _, id = target.partition(":")
    groups: dict[str, dict[str, Mapping[str, str]]] = {
        "person": {one.id: one.name for one in config.people},
        "rota": {one.id: one.name for one in config.rotas},
        "receiver": {one.id: one.name for one in config.receivers},
    }
    name = t.name(groups.get(kind, {}).get(id, {}), id)
    who = person_name(config, person, t) if person else t("oncall.nobody")
    return name if kind == "person" or (kind == "receiver" and not person) else f"{name} · {who}"


def window_name(config: ChainConfig, window: str, t: Texts) -> str:
    """A window of the calendar, or another reason of its own."""
    names: Mapping[str, str] = next((one.name for one in config.windows if one.id == window), {})
    return t.name(names, "") or t.or_raw("calendar", window)
