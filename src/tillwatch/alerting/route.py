"""The routing tree: who is told about an alert, when, and why. Pure; Alertmanager's rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from tillwatch.config.matcher import matches_all, parse_matcher
from tillwatch.config.schema import Route
from tillwatch.model.labels import Labels
from tillwatch.model.route import Routed

#: Alertmanager's defaults, for what neither a node nor a parent says.
GROUP_WAIT = timedelta(seconds=30)
GROUP_INTERVAL = timedelta(minutes=5)
REPEAT_INTERVAL = timedelta(hours=4)


def route(labels: Labels, tree: Route) -> tuple[Routed, ...]:
    """The receivers of an alert, in the order of the tree.

    1. The root matches everything.
    2. Of a matching node's children the first that matches takes the alert; with `continue` the next ones may too.
    3. A node none of whose children matched takes it itself.
    4. What a node does not say it has from its parent.
    """
    root = Routed(
        receiver=tree.receiver,
        group_wait=GROUP_WAIT,
        group_interval=GROUP_INTERVAL,
        repeat_interval=REPEAT_INTERVAL,
        path=(),
    )
    return tuple(_below(tree, root, labels, is_root=True))


def _below(node: Route, parent: Routed, labels: Labels, *, is_root: bool = False) -> Iterator[Routed]:
    if not is_root and not _matches(node, labels):
        return
    here = Routed(
        receiver=node.receiver or parent.receiver,
        group_wait=parent.group_wait if node.group_wait is None else node.group_wait,
        group_interval=parent.group_interval if node.group_interval is None else node.group_interval,
        repeat_interval=parent.repeat_interval if node.repeat_interval is None else node.repeat_interval,
        path=(*parent.path, _name(node, is_root=is_root)),
    )
    matched = False
    for child in node.routes:
        found = tuple(_below(child, here, labels))
        yield from found
        matched = matched or bool(found)
        if found and not child.continue_:
            break
    if not matched:
        yield here


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One node that was looked at for an alert, and what came of it."""

    depth: int
    name: str
    matched: bool
    #: The first matcher that did not hold, or why the node did or did not take the alert.
    reason: str


def explain(labels: Labels, tree: Route) -> tuple[Visit, ...]:
    """Every node that was looked at, in order, with the reason; what `route` decides, told step by step."""
    return tuple(_visits(tree, labels, depth=0))


def _visits(node: Route, labels: Labels, *, depth: int) -> Iterator[Visit]:
    name = _name(node, is_root=depth == 0)
    if depth > 0 and not _matches(node, labels):
        failing = next(text for text in node.matchers if not parse_matcher(text).matches(labels))
        label = parse_matcher(failing).name
        yield Visit(depth=depth, name=name, matched=False, reason=f"{label} is {labels.get(label, '')!r}")
        return
    below: list[Visit] = []
    taken = False
    for child in node.routes:
        visits = tuple(_visits(child, labels, depth=depth + 1))
        below += visits
        taken = taken or visits[0].matched
        if visits[0].matched and not child.continue_:
            break
    reason = "a node below takes it" if taken else "takes it: nothing below matches" if node.routes else "takes it"
    yield Visit(depth=depth, name=name, matched=True, reason=reason)
    yield from below


def _matches(node: Route, labels: Labels) -> bool:
    return matches_all((parse_matcher(text) for text in node.matchers), labels)


def _name(node: Route, *, is_root: bool) -> str:
    return "root" if is_root else "{" + ",".join(node.matchers) + "}"
