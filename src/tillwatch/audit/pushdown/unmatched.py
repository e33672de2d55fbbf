"""Items of two sides that have no equal on the other, found while both are still coming, in bounded memory.

Two sides that come in about the same order leave little waiting for its equal. When more waits than may be held, it
goes to a file in parts, an item and its equal into the same part, and the parts are matched one by one at the end.
"""

import pickle
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

from tillwatch.audit.reading import SIDES

#: Items of both sides held at a time, about 100 MB of short rows.
MAX_WAITING = 400_000
#: Bytes of them held at a time, whatever their number.
MAX_WAITING_BYTES = 150_000_000
PARTS = 128

_OTHER = {"left": "right", "right": "left"}


class Unmatched:
    """Fed with the items of both sides. Equal items must stand once on each side: keys are part of them."""

    def __init__(self, *, limit: int = MAX_WAITING, limit_bytes: int = MAX_WAITING_BYTES) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._waiting: dict[str, set[bytes]] = {side: set() for side in SIDES}
        self._bytes_an_item = 0.0
        self._file: IO[bytes] | None = None
        #: Where the pieces of each part of each side lie.
        self._pieces: dict[tuple[str, int], list[int]] = {}
        #: Whether it had to use a file, for tests and reports.
        self.spilled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, side: str, items: list[bytes]) -> None:
        """Match `items` of `side` with what waits of the other."""
        if not items:
            return
        new, other = set(items), self._waiting[_OTHER[side]]
        if other:
            common = new & other
            other -= common
            new -= common
        waiting = self._waiting[side]
        waiting |= new
        self._bytes_an_item = max(self._bytes_an_item, sum(map(len, items)) / len(items))
        held = len(waiting) + len(other)
        if held > self._limit or held * self._bytes_an_item > self._limit_bytes:
            self._spill()

    def found(self) -> Iterator[bytes]:
        """Every item without an equal. Asked once, after the last was added."""
        if self._file is None:
            yield from self._waiting["left"]
            yield from self._waiting["right"]
            return
        self._spill()
        for part in range(PARTS):
            yield from self._part("left", part) ^ self._part("right", part)

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tillwatch-")  # noqa: SIM115 - closed by __exit__
            self.spilled = True
        for side in SIDES:
            parts: list[list[bytes]] = [[] for _ in range(PARTS)]
            for item in self._waiting[side]:
                # The hash of this process: the parts end with it.
                parts[hash(item) % PARTS].append(item)
            self._waiting[side] = set()
            for part, items in enumerate(parts):
                if items:
                    self._pieces.setdefault((side, part), []).append(self._file.tell())
                    pickle.dump(items, self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def _part(self, side: str, part: int) -> set[bytes]:
        assert self._file is not None
        found: set[bytes] = set()
        for place in self._pieces.get((side, part), ()):
            self._file.seek(place)
            found.update(pickle.load(self._file))
        return found
