"""Documents in batches: the next begins only when every document of the last still holds, looked at after a pause.

A document is believed when it was read back once; what it sets off in the other system, an import or a rule that writes
over it, shows later. A batch bounds what a repair that goes wrong so can have sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tillwatch.audit.sending import NAP_SECONDS, Sender
from tillwatch.errors import TillwatchError
from tillwatch.model.repair import RepairItem

#: Documents named in the reason; the items hold them all.
_NAMED = 3


@dataclass(kw_only=True)
class Batches:
    """Counts what was sent and looks at it before more is."""

    sender: Sender
    size: int
    pause: timedelta
    _sent: list[RepairItem] = field(default_factory=list)
    _number: int = 1

    def took(self, item: RepairItem) -> None:
        """`item` was sent, whatever came of it."""
        self._sent.append(item)

    def gate(self, stop: Callable[[], bool]) -> str:
        """Why the next document may not be sent; empty when it may. Waits and reads only at the end of a batch."""
        if len(self._sent) < self.size:
            return ""
        clock = self.sender.clock
        until = clock.monotonic() + self.pause.total_seconds()
        while (left := until - clock.monotonic()) > 0:
            if stop():
                return "told to stop"
            clock.sleep(min(left, NAP_SECONDS))
        wrong = [item for item in self._sent if not self._holds(item)]
        if wrong:
            names = ", ".join("/".join(item.key.values()) for item in wrong[:_NAMED])
            return (
                f"{len(wrong)} of {len(self._sent)} documents of batch {self._number} do not hold ({names}); "
                "no further batch is sent; run the audit again"
            )
        self._sent, self._number = [], self._number + 1
        return ""

    def _holds(self, item: RepairItem) -> bool:
        """What cannot be looked at is not known to hold."""
        try:
            return self.sender.holds(item)
        except TillwatchError:
            return False
