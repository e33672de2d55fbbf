"""The part of JSONPath that checks need: `$.a.b`, `['a b']`, `[0]`, `[-1]`, `[*]` and `.*`. No filters, no `..`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

#: Every value a wildcard reaches is compared; more than this is not a health document.
MAX_MATCHES = 10_000

_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]'"*]+)|\[\s*(?P<index>-?\d+)\s*\]|\[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\]"""
    r"""|(?P<any>\.\*|\[\s*\*\s*\])"""
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A name of an object, an index of an array, or (both None) every child."""

    name: str | None = None
    index: int | None = None


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """Raises ValueError naming the place that is not understood."""
    if not path.startswith("$"):
        raise ValueError(f"'{path}' is not a JSON path; start with $, for example $.status")
    steps: list[Step] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(
                f"'{path}' is not a JSON path: '{path[position:]}' is not understood; "
                "use .name, ['name'], [0] or [*], for example $.items[0].status"
            )
        if match["index"] is not None:
            steps.append(Step(index=int(match["index"])))
        elif match["any"] is not None:
            steps.append(Step())
        else:
            steps.append(Step(name=match["name"] if match["name"] is not None else match["key"]))
        position = match.end()
    return tuple(steps)


def find(document: object, path: str) -> list[object]:
    """All values `path` leads to, in document order, at most MAX_MATCHES; empty when it leads nowhere."""
    found = [document]
    for step in parse(path):
        found = [child for value in found for child in _children(value, step)][:MAX_MATCHES]
    return found


def _children(value: object, step: Step) -> Iterator[object]:
    if step.name is not None:
        if isinstance(value, dict) and step.name in value:
            yield value[step.name]
    elif step.index is not None:
        if isinstance(value, list) and -len(value) <= step.index < len(value):
            yield value[step.index]
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
