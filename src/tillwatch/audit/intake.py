"""From rows as they arrive to rows in the spill: one by one while they are few, in columns when they are many."""

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from tillwatch.audit.rows import Encoded, Encoder
from tillwatch.audit.spill import Spill
from tillwatch.model.audit import Row

#: From this many rows of a side on they are encoded in columns: fewer are done before Polars is loaded (0.2 s).
MANY_ROWS = 20_000
#: Rows encoded at once in columns: more take no less time a row, only memory.
BATCH_ROWS = 10_000


class _Batches(Protocol):
    def encode(self, rows: Sequence[Row]) -> list[Encoded]: ...


class Intake:
    """Takes the rows of one side in. Its `encoder` has their faults when it is finished."""

    def __init__(self, side: str, encoder: Encoder, spill: Spill, *, pending_only: bool) -> None:
        self._side, self.encoder, self._spill, self._pending_only = side, encoder, spill, pending_only
        self._seen = 0
        self._waiting: list[Row] = []
        self._batches: _Batches | None = None
        #: Every key so far is written by the system as it is compared.
        self.exact = True

    def take(self, rows: Sequence[Row]) -> None:
        """Encode and keep them, now or with the next ones. Raises SchemaMismatch for an absent column."""
        self._seen += len(rows)
        if self.encoder.chooses or self._seen < MANY_ROWS:
            self._keep([one for one in map(self.encoder.encode, rows) if one is not None])
            return
        self._waiting.extend(rows)
        if len(self._waiting) >= BATCH_ROWS:
            self.finish()

    def finish(self) -> None:
        """Keep what waits. Raises as `take`."""
        if self._waiting:
            rows, self._waiting = self._waiting, []
            self._keep(self._in_columns().encode(rows))

    def _in_columns(self) -> _Batches:
        if self._batches is None:
            # Loaded only here: a command that reads few rows must not wait for it.
            module = importlib.import_module("tillwatch.audit.frames.encoding")
            self._batches = cast("_Batches", module.Batches(self.encoder))
        return self._batches

    def _keep(self, encoded: Sequence[Encoded]) -> None:
        self.exact = self.exact and all(one.exact for one in encoded)
        self._spill.add(self._side, encoded, pending_only=self._pending_only)
