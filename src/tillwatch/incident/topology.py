"""Where an alert belongs in the business, and which trouble is only the shadow of a bigger one. Pure."""

from collections.abc import Iterable, Mapping

from tillwatch.config.load import ChainConfig
from tillwatch.model.alert import Episode
from tillwatch.model.incident import Component, ComponentKind
from tillwatch.model.labels import Labels

#: Alerts that say "not available": behind a system that is down they say nothing new. Drift never folds: a wrong number
#: stays wrong whatever is down.
FOLDING = frozenset(
    {"InterfaceDown", "SyncStale", "SyncLag", "AuditInconclusive", "ValidationInconclusive", "ApplicationFailing"}
)
#: Alerts about a component that explain why what depends on it is not available either.
DOWN = frozenset({"InterfaceDown", "ApplicationFailing", "CredentialsRefused", "Throttled"})
#: From the root of the chain to its leaves: causes are looked at before their shadows.
_DEPTH = (
    ComponentKind.STORM,
    ComponentKind.CHAIN,
    ComponentKind.SITE,
    ComponentKind.HOST,
    ComponentKind.SYSTEM,
    ComponentKind.INTERFACE,
)
#: The kind of source that stands for a machine and not for a business system.
HOST_SOURCE = "host"


def depth(component: Component) -> int:
    """0 is the whole chain; what depends on something has a greater depth than it."""
    return _DEPTH.index(component.kind)


class Topology:
    """The links of one chain, indexed once: an alert storm asks about every one of them."""

    def __init__(self, config: ChainConfig) -> None:
        self._chain = Component(kind=ComponentKind.CHAIN, id=config.chain.id)
        #: What no incident of its own is opened for any more, while too many open.
        self.storm = Component(kind=ComponentKind.STORM, id=config.chain.id)
        self._interfaces = {interface.id: interface for interface in config.interfaces}
        self._site_of_system = {system.id: system.site for system in config.systems}
        #: What probes and audits look at: an alert about a probe that went stale is about the same thing.
        self._subjects: dict[tuple[str, str], dict[str, str]] = {
            **{("probe", one.id): _named(interface=one.interface, system=one.system) for one in config.probes},
            **{("audit", one.id): _named(interface=one.interface) for one in config.audits},
        }
        self._hosts = {system.id for system in config.systems if system.source == HOST_SOURCE}
        dependents: dict[Component, set[Component]] = {}
        declared = [Component(kind=ComponentKind.INTERFACE, id=one.id) for one in config.interfaces]
        for system in config.systems:
            kind = ComponentKind.HOST if system.id in self._hosts else ComponentKind.SYSTEM
            declared.append(Component(kind=kind, id=system.id))
        for below in declared:
            for above in self.dependencies(below):
                dependents.setdefault(above, set()).add(below)
        self._dependents = {above: frozenset(below) for above, below in dependents.items()}

    def component_of(self, labels: Labels) -> Component:
        """What an alert is about: interface, else system or host, else site, else the chain.

        Ids that the chain does not know are taken as they are: an alert from outside still gets its own incident.
        """
        labels = {**self._subjects.get(("probe", labels.get("probe", "")), {}), **labels}
        labels = {**self._subjects.get(("audit", labels.get("audit", "")), {}), **labels}
        if interface := labels.get("interface"):
            return Component(kind=ComponentKind.INTERFACE, id=interface)
        if system := labels.get("system"):
            return Component(kind=ComponentKind.HOST if system in self._hosts else ComponentKind.SYSTEM, id=system)
        if host := labels.get("host") or labels.get("instance"):
            return Component(kind=ComponentKind.HOST, id=host)
        if site := labels.get("site"):
            return Component(kind=ComponentKind.SITE, id=site)
        return self._chain

    def dependencies(self, component: Component) -> tuple[Component, ...]:
        """What `component` needs to work, the nearest first: the systems of an interface, then the sites."""
        if component.kind is ComponentKind.INTERFACE:
            interface = self._interfaces.get(component.id)
            if interface is None:
                return ()
            # The receiving system first: that is where orders, stock and prices fail to arrive.
            systems = [interface.to, interface.from_]
            sites = [interface.site, *(self._site_of_system.get(system, "") for system in systems)]
            return (*_components(ComponentKind.SYSTEM, systems), *_components(ComponentKind.SITE, sites))
        if component.kind in {ComponentKind.SYSTEM, ComponentKind.HOST}:
            return _components(ComponentKind.SITE, [self._site_of_system.get(component.id, "")])
        return ()

    def dependents(self, component: Component) -> frozenset[Component]:
        """What may fold under `component`: the declared systems and interfaces that need it."""
        return self._dependents.get(component, frozenset())

    def parent_of(
        self, component: Component, alerts: Iterable[Episode], live: Mapping[Component, Iterable[Episode]]
    ) -> Component | None:
        """The component under whose open incident `component` folds, and None when it stands for itself.

        `alerts` are the live alerts about `component`; all of them must be foldable. `live` holds the live alerts of
        the open incidents by component.
        """
        if not all(episode.name in FOLDING for episode in alerts):
            return None
        return next((one for one in self.dependencies(component) if self.is_down(one, live.get(one, ()))), None)

    def is_down(self, component: Component, alerts: Iterable[Episode]) -> bool:
        """True when a live alert about `component` itself, not one folded into its incident, says that it is down."""
        return any(
            episode.is_live and episode.name in DOWN and self.component_of(episode.labels) == component
            for episode in alerts
        )


def _named(**labels: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def _components(kind: ComponentKind, ids: Iterable[str]) -> tuple[Component, ...]:
    return tuple(Component(kind=kind, id=id) for id in dict.fromkeys(ids) if id)
