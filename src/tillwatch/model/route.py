"""What a routing tree answers for one alert."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Routed:
    """One receiver an alert goes to, with the clocks of the node that matched."""

    receiver: str
    #: From the first alert of an incident to its notice, so that what breaks together is told together.
    group_wait: timedelta
    #: Between two notices about news in the same incident.
    group_interval: timedelta
    #: Between two reminders of an incident nobody has acknowledged.
    repeat_interval: timedelta
    #: The nodes from the root to the one that matched, each as its matchers, for `route explain`.
    path: tuple[str, ...]
