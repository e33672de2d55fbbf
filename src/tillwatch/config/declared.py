"""Everything a chain directory says, with look-ups."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tillwatch.config.bind import did_you_mean
from tillwatch.config.schema import (
    Acceptance,
    Audit,
    Calendar,
    Chain,
    ChainFile,
    Channel,
    Compare,
    Escalation,
    Heartbeat,
    Inhibition,
    Interface,
    Listen,
    Maintenance,
    Offender,
    Override,
    Person,
    Probe,
    Receiver,
    Rota,
    Route,
    Service,
    Site,
    StoreSpec,
    System,
    Validation,
    Webhook,
    Window,
)
from tillwatch.config.yaml import Place
from tillwatch.errors import Problem, UsageError


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Identified)


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Everything a chain directory says. Look-ups raise UsageError with a suggestion when the id is unknown."""

    root: Path
    chain: Chain
    store: StoreSpec
    listen: Listen
    compare: Compare = field(default_factory=Compare)
    sites: tuple[Site, ...] = ()
    systems: tuple[System, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    channels: tuple[Channel, ...] = ()
    services: tuple[Service, ...] = ()
    offenders: tuple[Offender, ...] = ()
    probes: tuple[Probe, ...] = ()
    audits: tuple[Audit, ...] = ()
    validations: tuple[Validation, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    route: Route
    receivers: tuple[Receiver, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    people: tuple[Person, ...] = ()
    rotas: tuple[Rota, ...] = ()
    overrides: tuple[Override, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    calendar: Calendar = field(default_factory=Calendar)
    windows: tuple[Window, ...] = ()
    #: Prometheus rule files, absolute, in name order.
    rules: tuple[Path, ...] = ()
    #: Runbook files, absolute, in name order.
    runbooks: tuple[Path, ...] = ()
    #: Where each thing is declared, by `kind:id` such as `audit:orders`; empty for a config made in code.
    places: dict[str, Place] = field(default_factory=dict, repr=False)
    _by_id: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def problem(self, kind: str, id: str, message: str) -> Problem:
        """A problem of one declared thing, at its place."""
        place = self.places.get(f"{kind}:{id}")
        text = f"{kind} '{id}': {message}"
        return place.problem(text) if place else Problem(file=ChainFile.path, message=text)

    def site(self, id: str) -> Site:
        return self._one(self.sites, id, "site")

    def system(self, id: str) -> System:
        return self._one(self.systems, id, "system")

    def interface(self, id: str) -> Interface:
        return self._one(self.interfaces, id, "interface")

    def channel(self, id: str) -> Channel:
        return self._one(self.channels, id, "channel")

    def receiver(self, id: str) -> Receiver:
        return self._one(self.receivers, id, "receiver")

    def heartbeat(self, id: str) -> Heartbeat:
        return self._one(self.heartbeats, id, "heartbeat")

    def webhook(self, id: str) -> Webhook:
        return self._one(self.webhooks, id, "webhook")

    def person(self, id: str) -> Person:
        return self._one(self.people, id, "person")

    def rota(self, id: str) -> Rota:
        return self._one(self.rotas, id, "rota")

    def escalation(self, id: str) -> Escalation:
        return self._one(self.escalations, id, "escalation")

    def service(self, id: str) -> Service:
        return self._one(self.services, id, "service")

    def offender(self, id: str) -> Offender:
        return self._one(self.offenders, id, "offender")

    def probe(self, id: str) -> Probe:
        return self._one(self.probes, id, "probe")

    def audit(self, id: str) -> Audit:
        return self._one(self.audits, id, "audit")

    def acceptance(self, id: str) -> Acceptance:
        return self._one(self.acceptances, id, "acceptance")

    def validation(self, id: str) -> Validation:
        return self._one(self.validations, id, "validation")

    def _one(self, items: tuple[Item, ...], id: str, kind: str) -> Item:
        if kind not in self._by_id:
            self._by_id[kind] = {item.id: item for item in items}
        known: dict[str, Item] = self._by_id[kind]
        if id not in known:
            raise UsageError(f"unknown {kind} '{id}'{did_you_mean(id, known)}")
        return known[id]
