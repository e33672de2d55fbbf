"""A small bar chart of probe durations as plain numbers; the template draws it as SVG, which prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from tillwatch.model.probe import Outcome, ProbeResult

WIDTH = 600
HEIGHT = 72
_GAP = 2
#: A bar nobody can see says nothing.
_MIN_BAR = 3.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Position and size in the units of the view box; `result` for its title and colour."""

    x: float
    y: float
    width: float
    height: float
    result: ProbeResult

    @property
    def failed(self) -> bool:
        return self.result.outcome is Outcome.FAILED


def bars(history: Sequence[ProbeResult]) -> list[Bar]:
    """Oldest on the left. The tallest bar is the slowest run; a failed one is always full height."""
    if not history:
        return []
    width = WIDTH / len(history)
    slowest = max(result.seconds for result in history) or 1.0
    drawn = []
    for position, result in enumerate(reversed(history)):
        height = HEIGHT if result.outcome is Outcome.FAILED else max(_MIN_BAR, HEIGHT * result.seconds / slowest)
        drawn.append(
            Bar(
                x=round(position * width, 2),
                y=round(HEIGHT - height, 2),
                width=round(max(1.0, width - _GAP), 2),
                height=round(height, 2),
                result=result,
            )
        )
    return drawn
