"""What is told to nobody just now, and why: silences, maintenance windows, and alerts that explain others. Pure.

A muted alert is stored, shown and part of its incident as any other; only nobody is told of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.config.matcher import Matcher, matches_all, parse_matcher
from tillwatch.config.schema import Inhibition
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.labels import Labels
from tillwatch.store.silences import Silence, silenced_by

#: What Alertmanager lists in `inhibitedBy`, and what the timeline shows: enough to find the cause.
MAX_CAUSES = 5


class Rule:
    """One declared inhibition: while an alert fires that `source` matches, those that `target` matches are not told.

    Both must agree on the labels in `equal`; a label that neither has counts as agreed, as in Alertmanager. An alert
    that both sides match is never muted by another one that both sides match: two of a kind would mute each other.
    """

    def __init__(self, declared: Inhibition) -> None:
        self.source = tuple(map(parse_matcher, declared.source_matchers))
        self.target = tuple(map(parse_matcher, declared.target_matchers))
        self.equal = tuple(declared.equal)

    def is_source(self, labels: Labels) -> bool:
        return matches_all(self.source, labels)

    def agreed(self, labels: Labels) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.equal)

    @property
    def source_names(self) -> frozenset[str] | None:
        """The alert names a source can have; None when the matchers leave that open."""
        return _names(self.source)


@dataclass(frozen=True, kw_only=True)
class _Cause:
    fingerprint: str
    is_target: bool


@dataclass(frozen=True, kw_only=True)
class Muting:
    """Everything that mutes at one instant."""

    silences: Sequence[Silence] = ()
    #: With each rule, its firing sources by the labels they must agree on.
    causes: Sequence[tuple[Rule, Mapping[tuple[str, ...], Sequence[_Cause]]]] = field(default=(), repr=False)
    #: Of the sources: fingerprint → alert name.
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.silences or self.causes)

    @classmethod
    def of(cls, silences: Sequence[Silence], rules: Iterable[Rule], firing: Iterable[Episode]) -> "Muting":
        """`firing` holds at least every firing alert that some rule takes for a source."""
        sources = [one for one in firing if one.state is AlertState.FIRING]
        causes = []
        for rule in rules:
            found: dict[tuple[str, ...], list[_Cause]] = {}
            for one in sources:
                if rule.is_source(one.labels):
                    cause = _Cause(fingerprint=one.fingerprint, is_target=matches_all(rule.target, one.labels))
                    found.setdefault(rule.agreed(one.labels), []).append(cause)
            if found:
                causes.append((rule, found))
        return cls(silences=silences, causes=causes, names={one.fingerprint: one.name for one in sources})

    def silencing(self, labels: Labels) -> list[str]:
        """The ids of the silences that mute an alert with `labels`."""
        return silenced_by(self.silences, labels)

    def inhibiting(self, labels: Labels, fingerprint: str) -> list[str]:
        """Fingerprints of the alerts that explain this one by a declared rule, the first MAX_CAUSES."""
        found: list[str] = []
        for rule, causes in self.causes:
            if not matches_all(rule.target, labels):
                continue
            both = rule.is_source(labels)
            found += [
                cause.fingerprint
                for cause in causes.get(rule.agreed(labels), ())
                if not (both and cause.is_target) and cause.fingerprint != fingerprint
            ]
        return sorted(set(found))[:MAX_CAUSES]

    def mutes(self, labels: Labels, fingerprint: str) -> bool:
        return bool(self.silencing(labels) or self.inhibiting(labels, fingerprint))


def _names(matchers: Iterable[Matcher]) -> frozenset[str] | None:
    for matcher in matchers:
        if matcher.name == "alertname" and matcher.operator == "=":
            return frozenset({matcher.value})
    return None
