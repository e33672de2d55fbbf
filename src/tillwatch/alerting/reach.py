"""What matchers reach among the alerts that are live now, and which matchers name the alerts of one incident. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tillwatch.config.matcher import Matcher, Operator, matches_all
from tillwatch.model.alert import Episode

#: What RE2 reads as more than itself; alert names are written out one by one in a regular expression.
_SPECIAL = re.compile(r"([.+*?()|\[\]{}^$\\])")


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Of one incident: how many of its live alerts are matched."""

    incident: int
    matched: int
    live: int

    @property
    def is_whole(self) -> bool:
        """Nothing of the incident is left to tell."""
        return self.matched == self.live


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many live alerts are matched, and of which incidents, the one with most first."""

    alerts: int
    incidents: tuple[Reached, ...]


class LiveAlerts:
    """The live alerts, indexed by label so that a page full of silences costs no product of the two."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._all = [one for one in episodes if one.is_live]
        self._by_label: dict[tuple[str, str], list[Episode]] = defaultdict(list)
        for one in self._all:
            for pair in one.labels.items():
                self._by_label[pair].append(one)
        self._live = Counter(one.incident for one in self._all)

    def reach(self, matchers: Sequence[Matcher]) -> Reach:
        found = [one for one in self._candidates(matchers) if matches_all(matchers, one.labels)]
        counted = Counter(one.incident for one in found)
        incidents = [
            Reached(incident=incident, matched=matched, live=self._live[incident])
            for incident, matched in counted.items()
            if incident is not None
        ]
        return Reach(
            alerts=len(found), incidents=tuple(sorted(incidents, key=lambda one: (-one.matched, one.incident)))
        )

    def _candidates(self, matchers: Sequence[Matcher]) -> Sequence[Episode]:
        """The shortest list that holds every match: an equality with a text is looked up, the rest is tried."""
        named = [
            self._by_label.get((one.name, one.value), [])
            for one in matchers
            if one.operator is Operator.EQUAL and one.value
        ]
        return min(named, key=len, default=self._all)


def matchers_for(episodes: Sequence[Episode]) -> tuple[Matcher, ...]:
    """Matchers that hold for all of `episodes`: the labels they share, and their names when those differ."""
    if not episodes:
        return ()
    shared = dict(episodes[0].labels)
    for one in episodes[1:]:
        shared = {name: value for name, value in shared.items() if one.labels.get(name) == value}
    equal = [Matcher(name=name, operator=Operator.EQUAL, value=value) for name, value in sorted(shared.items())]
    if "alertname" in shared:
        return tuple(equal)
    names = sorted({one.labels.get("alertname", "") for one in episodes})
    pattern = "|".join(_SPECIAL.sub(r"\\\1", name) for name in names)
    return (Matcher(name="alertname", operator=Operator.REGEX, value=pattern), *equal)
