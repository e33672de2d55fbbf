"""Where things are: which site a check or a component belongs to, which shops an incident touches, and their names."""

from collections.abc import Mapping, Sequence

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Chain, Interface, Site, System
from tillwatch.model.incident import Component, ComponentKind

#: The row of checks that belong to no site.
CHAIN_ROW = ""


def site_of(config: ChainConfig, *, site: str = "", interface: str = "", system: str = "") -> str:
    """The site of a check: said outright, else its interface's, else its system's, else none."""
    interfaces = {item.id: item for item in config.interfaces}
    systems = {item.id: item for item in config.systems}
    if site:
        return site
    if interface in interfaces and interfaces[interface].site:
        return interfaces[interface].site
    return systems[system].site if system in systems else CHAIN_ROW


def hub(config: ChainConfig) -> str | None:
    """The system most sites exchange documents with: the ERP, in a chain that has one."""
    partners: dict[str, set[str]] = {}
    sites = {item.id: item.site for item in config.systems}
    for interface in config.interfaces:
        for here, there in ((interface.from_, interface.to), (interface.to, interface.from_)):
            partners.setdefault(here, set()).add(sites.get(there, "") or interface.site)
    if not partners:
        return None
    best = max(partners, key=lambda system: (len(partners[system]), system))
    return best if len(partners[best]) > 1 or len(config.interfaces) == 1 else None


def shops(config: ChainConfig) -> tuple[str, ...]:
    """The sites that exchange something with the hub, in the order of the chain directory."""
    centre = hub(config)
    centre_site = next((system.site for system in config.systems if system.id == centre), None)
    linked = {interface.site for interface in config.interfaces}
    return tuple(site.id for site in config.sites if site.id != centre_site and site.id in linked)


def affected_shops(config: ChainConfig, component: Component) -> tuple[str, ...]:
    """The shops that cannot work normally while this component does not."""
    every = shops(config)
    match component.kind:
        case ComponentKind.SITE:
            return (component.id,) if component.id in every else ()
        case ComponentKind.INTERFACE:
            return _only(every, site_of(config, interface=component.id))
        case ComponentKind.SYSTEM | ComponentKind.HOST:
            own = site_of(config, system=component.id)
            touching = {item.site for item in config.interfaces if component.id in (item.from_, item.to)}
            return tuple(site for site in every if site == own or site in touching)
        case ComponentKind.CHAIN | ComponentKind.STORM:
            return every


def component_names(config: ChainConfig, component: Component) -> Mapping[str, str]:
    """The localised name of a component; empty when the chain directory no longer has it."""
    named: Mapping[ComponentKind, Sequence[Site | System | Interface | Chain]] = {
        ComponentKind.INTERFACE: config.interfaces,
        ComponentKind.SYSTEM: config.systems,
        ComponentKind.HOST: (*config.systems, *config.sites),
        ComponentKind.SITE: config.sites,
        ComponentKind.CHAIN: (config.chain,),
        ComponentKind.STORM: (config.chain,),
    }
    return next((thing.name for thing in named[component.kind] if thing.id == component.id), {})


def _only(known: Sequence[str], site: str) -> tuple[str, ...]:
    return (site,) if site in known else ()
