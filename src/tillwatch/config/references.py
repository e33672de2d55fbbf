"""Ids and references across the files of a chain directory, checked on nodes so that a message knows its place."""

from collections.abc import Iterator
from dataclasses import dataclass

from tillwatch.config.bind import did_you_mean
from tillwatch.config.yaml import Mapping, Node, Place, Scalar, Sequence
from tillwatch.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The parsed files; None for one that could not be parsed."""

    chain: Node | None
    checks: tuple[Node, ...]
    routes: Node | None
    oncall: Node | None = None
    calendar: Node | None = None
    #: False when alerts/oncall.yaml is there and is not YAML; a chain may well have none.
    oncall_is_readable: bool = True

    def of(self, file: str) -> tuple[Node, ...]:
        if file == "checks":
            return self.checks
        files = {"chain": self.chain, "routes": self.routes, "oncall": self.oncall, "calendar": self.calendar}
        node = files[file]
        return (node,) if node else ()


#: Where things are declared: kind → (file, list).
DECLARED = {
    "site": ("chain", "sites"),
    "system": ("chain", "systems"),
    "interface": ("chain", "interfaces"),
    "channel": ("chain", "channels"),
    "service": ("chain", "services"),
    "offender": ("chain", "offenders"),
    "probe": ("checks", "probes"),
    "audit": ("checks", "audits"),
    "validation": ("checks", "validations"),
    "acceptance": ("checks", "acceptances"),
    "receiver": ("routes", "receivers"),
    "heartbeat": ("routes", "heartbeats"),
    "inhibition": ("routes", "inhibitions"),
    "maintenance": ("routes", "maintenance"),
    "webhook": ("routes", "webhooks"),
    "person": ("oncall", "people"),
    "rota": ("oncall", "rotas"),
    "escalation": ("oncall", "escalations"),
    "window": ("calendar", "windows"),
}

#: Where things are referred to: (file, path, kind). `*` is every item of a list, `**` a list of routes at any depth.
REFERRED = (
    ("chain", ("systems", "*", "site"), "site"),
    ("chain", ("interfaces", "*", "site"), "site"),
    ("chain", ("interfaces", "*", "from"), "system"),
    ("chain", ("interfaces", "*", "to"), "system"),
    ("checks", ("probes", "*", "system"), "system"),
    ("checks", ("probes", "*", "interface"), "interface"),
    ("checks", ("probes", "*", "site"), "site"),
    ("checks", ("audits", "*", "interface"), "interface"),
    ("checks", ("audits", "*", "left", "system"), "system"),
    ("checks", ("audits", "*", "right", "system"), "system"),
    ("checks", ("audits", "*", "repair", "lines", "system"), "system"),
    ("checks", ("audits", "*", "report", "channels", "*"), "channel"),
    ("checks", ("audits", "*", "when", "not_in", "*"), "window"),
    ("checks", ("acceptances", "*", "audits", "*"), "audit"),
    ("checks", ("validations", "*", "system"), "system"),
    ("checks", ("validations", "*", "interface"), "interface"),
    ("checks", ("validations", "*", "site"), "site"),
    ("checks", ("validations", "*", "rules", "*", "to", "system"), "system"),
    ("checks", ("validations", "*", "rules", "*", "lines", "system"), "system"),
    ("routes", ("receivers", "*", "channels", "*"), "channel"),
    ("routes", ("receivers", "*", "oncall"), "rota"),
    ("routes", ("receivers", "*", "escalation"), "escalation"),
    ("oncall", ("people", "*", "channels", "*"), "channel"),
    ("oncall", ("rotas", "*", "rotations", "*", "members", "*"), "person"),
    ("oncall", ("overrides", "*", "rota"), "rota"),
    ("oncall", ("overrides", "*", "person"), "person"),
    ("oncall", ("escalations", "*", "steps", "*", "notify", "person"), "person"),
    ("oncall", ("escalations", "*", "steps", "*", "notify", "rota"), "rota"),
    ("oncall", ("escalations", "*", "steps", "*", "notify", "receiver"), "receiver"),
    ("routes", ("heartbeats", "*", "system"), "system"),
    ("routes", ("heartbeats", "*", "interface"), "interface"),
    ("routes", ("heartbeats", "*", "site"), "site"),
    ("routes", ("route", "receiver"), "receiver"),
    ("routes", ("route", "**", "receiver"), "receiver"),
)


def check(nodes: Nodes) -> list[Problem]:
    """Duplicate ids, references to nothing, and links that make no sense."""
    problems: list[Problem] = []
    known: dict[str, dict[str, Place]] = {}
    for kind, (file, name) in DECLARED.items():
        known[kind] = _declared(nodes.of(file), kind, name, problems)
    for file, path, kind in REFERRED:
        if kind in _unreadable(nodes):
            continue
        for root in nodes.of(file):
            for node in _find(root, path):
                if node.text and not node.is_null and node.text not in known[kind]:
                    hint = did_you_mean(node.text, known[kind]) or f"; no {kind} is declared"
                    problems.append(node.place.problem(f"unknown {kind} '{node.text}'{hint}"))
    problems.extend(_links(nodes))
    problems.extend(_sides(nodes))
    problems.extend(_validated(nodes))
    problems.extend(_reach(nodes))
    return problems


def places(nodes: Nodes) -> dict[str, Place]:
    """Where the id of everything declared stands, by `kind:id`, for messages that come later."""
    return {
        f"{kind}:{id}": place
        for kind, (file, name) in DECLARED.items()
        for id, place in _declared(nodes.of(file), kind, name, []).items()
    }


def _unreadable(nodes: Nodes) -> set[str]:
    """Kinds declared in a file that is not YAML: what refers to them cannot be judged."""
    missing = {"chain"} if nodes.chain is None else set()
    if nodes.routes is None:
        missing.add("routes")
    if not nodes.oncall_is_readable:
        missing.add("oncall")
    return {kind for kind, (file, _) in DECLARED.items() if file in missing}


def _declared(roots: tuple[Node, ...], kind: str, name: str, problems: list[Problem]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for root in roots:
        for node in _find(root, (name, "*", "id")):
            if node.text in found:
                first = found[node.text]
                problems.append(
                    node.place.problem(f"duplicate {kind} id '{node.text}'; it stands at {first.file}:{first.line} too")
                )
            else:
                found[node.text] = node.place
    return found


def _find(node: Node | None, path: tuple[str, ...]) -> Iterator[Scalar]:
    """Every scalar at `path`; whatever has another shape is the schema's business."""
    if not path:
        if isinstance(node, Scalar):
            yield node
        return
    step, rest = path[0], path[1:]
    if step == "*":
        for item in _items(node):
            yield from _find(item, rest)
    elif step == "**":
        for item in _items(_entry(node, "routes")):
            yield from _find(item, rest)
            yield from _find(item, path)
    else:
        yield from _find(_entry(node, step), rest)


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, Sequence) else ()


def _entry(node: Node | None, key: str) -> Node | None:
    return node.entries.get(key) if isinstance(node, Mapping) else None


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and not node.is_null else ""


def _links(nodes: Nodes) -> Iterator[Problem]:
    for interface in _items(_entry(nodes.chain, "interfaces")):
        source, target = _entry(interface, "from"), _entry(interface, "to")
        if target and _text(source) and _text(source) == _text(target):
            yield target.place.problem(f"an interface links two systems; from and to are both '{_text(target)}'")


def _datasets(nodes: Nodes) -> dict[str, Node | None]:
    """What each system declares."""
    return {
        _text(_entry(system, "id")): _entry(system, "datasets") for system in _items(_entry(nodes.chain, "systems"))
    }


def _validated(nodes: Nodes) -> Iterator[Problem]:
    """The datasets a validation reads, each declared by its system when the system declares any."""
    datasets = _datasets(nodes)
    for root in nodes.checks:
        for validation in _items(_entry(root, "validations")):
            yield from _dataset(validation, datasets)
            own = _text(_entry(validation, "system"))
            for rule in _items(_entry(validation, "rules")):
                for other in (_entry(rule, "to"), _entry(rule, "lines")):
                    yield from _dataset(other, datasets, own=own)


def _sides(nodes: Nodes) -> Iterator[Problem]:
    """An audit needs two different datasets, each declared by its system when the system declares any."""
    datasets = _datasets(nodes)
    for root in nodes.checks:
        for audit in _items(_entry(root, "audits")):
            left, right = _entry(audit, "left"), _entry(audit, "right")
            lines = _entry(_entry(audit, "repair"), "lines")
            for side in (left, right, lines):
                yield from _dataset(side, datasets)
            pair = [(_text(_entry(side, "system")), _text(_entry(side, "dataset"))) for side in (left, right)]
            if right and all(pair[0]) and pair[0] == pair[1]:
                yield right.place.problem("left and right are the same dataset; an audit compares two")
            key = _entry(audit, "key")
            names = [_text(item) for item in _items(key)]
            for position, item in enumerate(_items(key)):
                if names[position] in names[:position]:
                    yield item.place.problem(f"key field '{names[position]}' is listed twice")


def _dataset(side: Node | None, datasets: dict[str, Node | None], *, own: str = "") -> Iterator[Problem]:
    """`own` is the system meant when none is named."""
    system, dataset = _text(_entry(side, "system")) or own, _entry(side, "dataset")
    declared = datasets.get(system)
    if dataset and _text(dataset) and isinstance(declared, Mapping) and _text(dataset) not in declared.entries:
        hint = did_you_mean(_text(dataset), declared.entries)
        yield dataset.place.problem(f"system '{system}' has no dataset '{_text(dataset)}'{hint}")


def _reach(nodes: Nodes) -> Iterator[Problem]:
    """An alert that reaches nobody is the worst configuration error there is."""
    route = _entry(nodes.routes, "route")
    if isinstance(route, Mapping) and not _text(route.entries.get("receiver")):
        yield route.place.problem("the first route has no receiver; an alert no other route matches would reach nobody")
    if isinstance(route, Mapping) and (matchers := _entry(route, "matchers")) and _items(matchers):
        yield matchers.place.problem("the first route takes every alert; move the matchers into one of its routes")
    for receiver in _items(_entry(nodes.routes, "receivers")):
        people = _text(_entry(receiver, "oncall")) or _text(_entry(receiver, "escalation"))
        if not _items(_entry(receiver, "channels")) and not people:
            name = _text(_entry(receiver, "id"))
            yield receiver.place.problem(f"receiver '{name}' has no channels, oncall or escalation; it reaches nobody")
