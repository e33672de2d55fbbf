"""Measures both sides of every audit of an acceptance, and one side again later."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tillwatch import __version__
from tillwatch.acceptance import kept as rows
from tillwatch.acceptance import manifest as manifests
from tillwatch.acceptance.manifest import Compared, Held, Manifest
from tillwatch.acceptance.measure import Look, Measured, measure, no_look
from tillwatch.audit.declare import Declared
from tillwatch.audit.reading import Gate, Leftovers
from tillwatch.audit.rows import Encoded
from tillwatch.clock import Clock
from tillwatch.config.checks import Acceptance
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources.base import Source
from tillwatch.validation.reading import Place, Reader

#: How often an audit of systems that keep changing is run and measured again before its numbers are called unstable.
MAX_ROUNDS = 3


class Audits(Protocol):
    @property
    def declared(self) -> Mapping[str, Declared]: ...

    def run(self, audit_id: str, *, trigger: str = "cli") -> AuditReport: ...


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What one side no longer holds as it was measured; empty when nothing changed."""

    #: Kept and found, by what differs.
    numbers: dict[str, dict[str, str]]
    rows: list[rows.Named]


@dataclass(frozen=True, kw_only=True)
class Acceptances:
    """What an acceptance needs of the product."""

    config: ChainConfig
    audits: Audits
    #: Gives the source of a system; may refuse.
    open: Callable[[str], Source]
    clock: Clock
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, spec: Acceptance) -> Manifest:
        """Measure both sides of every audit and run it. A side that cannot be measured is an error, not a manifest."""
        datasets = tuple(self._compare(audit) for audit in spec.audits)
        return Manifest(
            acceptance=spec.id,
            chain=self.config.chain.id,
            version=__version__,
            made_at=self.clock.now(),
            accepted=all(one.accepted for one in datasets),
            datasets=datasets,
        )

    def _compare(self, audit: str) -> Compared:
        """One verdict with numbers that belong to it.

        The systems may be at work, and two readings are never of one moment. Numbers that agree with each other need no
        more proof. Numbers that do not are believed only when a second measurement, after the audit, gives the same.
        """
        declared = self.audits.declared[audit]
        before = self._both(declared)
        for _ in range(MAX_ROUNDS):
            report = self.audits.run(audit, trigger="acceptance")
            if report.verdict is Verdict.CLEAN and not manifests.unequal(*before):
                return manifests.compared(report, *before, stable=True)
            after = self._both(declared)
            if before == after:
                return manifests.compared(report, *after, stable=True)
            before = after
        return manifests.compared(report, *after, stable=False)

    def _both(self, declared: Declared) -> tuple[Measured, Measured]:
        return self._measure(declared, "left"), self._measure(declared, "right")

    def verify(
        self, manifest: Manifest, *, side: str = "right", system: str = "", folder: Path | None = None
    ) -> dict[str, Changed]:
        """What `side` (read from `system` when one is named, a restored copy) no longer holds, by audit. With `folder`,
        where its rows were kept, those that differ are named, by the same reading as the numbers."""
        return {kept.audit: self._changed(kept, side, system, folder) for kept in manifest.datasets}

    def _changed(self, kept: Compared, side: str, system: str, folder: Path | None) -> Changed:
        declared, held = self._declared(kept), self._held(kept, side)
        named: list[rows.Named] = []

        def look(measured: Measured, found: Iterator[Encoded]) -> None:
            if folder is not None and manifests.differences(held, measured):
                named.extend(rows.named(declared, rows.read(rows.file_of(folder, kept.audit, side), held), found))

        measured = self._measure(declared, side, system, look)
        return Changed(numbers=manifests.differences(held, measured), rows=named)

    def keep(self, manifest: Manifest, folder: Path, *, side: str = "right") -> dict[str, Path]:
        """Keep the rows of `side` in `folder`, one file an audit. Raises UsageError when they are not those of the
        manifest any more; what was kept before stays then."""
        return {kept.audit: self._kept(kept, folder, side) for kept in manifest.datasets}

    def _kept(self, kept: Compared, folder: Path, side: str) -> Path:
        file = rows.file_of(folder, kept.audit, side)
        try:
            self._measure(self._declared(kept), side, look=lambda _, found: rows.write(file, found))
            rows.accept(file, self._held(kept, side))
        finally:
            rows.discard(file)
        return file

    def _held(self, kept: Compared, side: str) -> Held:
        return kept.left if side == "left" else kept.right

    def _declared(self, kept: Compared) -> Declared:
        declared = self.audits.declared.get(kept.audit)
        if declared is None:
            raise UsageError(f"the manifest is about audit '{kept.audit}', which is not declared any more")
        return declared

    def _measure(self, declared: Declared, side: str, system: str = "", look: Look = no_look) -> Measured:
        spec = declared.spec
        which = spec.left if side == "left" else spec.right
        system = self.config.system(system or which.system).id
        timeout = spec.timeout.total_seconds()
        gate = Gate(
            clock=self.clock,
            deadline=self.clock.monotonic() + timeout,
            timeout_seconds=timeout,
            stop=self.stop,
        )
        reader = Reader(gate=gate, leftovers=Leftovers(), name=spec.id)
        place = Place(source=self.open(system), system=system, dataset=which.dataset)
        return measure(declared, side, place, reader, look)
