"""The manifest of an acceptance: what both systems held, whether they agreed, and who signed for it. Pure.

A signature names the digest of everything but the signatures: what was signed cannot be changed without it showing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tillwatch.acceptance.measure import Measured
from tillwatch.errors import RefusedError, UsageError
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, Verdict

#: Raised when the meaning of a manifest changes.
FORMAT = 2
#: Rows named in the manifest of one audit; its counts are complete.
MAX_ROWS_NAMED = 500


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Held(_Part):
    """One side of a dataset; see `measure.Measured`."""

    system: str
    dataset: str
    product: str
    version: str
    rows: int
    sums: dict[str, str]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DifferingRow(_Part):
    """One row on which the systems disagree, as the audit saw it. A value the audit does not compare is not in it."""

    kind: DifferenceKind
    key: dict[str, str]
    fields: tuple[str, ...]
    left: dict[str, str | None] | None
    right: dict[str, str | None] | None


class Unequal(_Part):
    """One number that the two systems do not share."""

    left: str
    right: str


class Compared(_Part):
    """One audit of the acceptance. The left side is the old system, the right one the new."""

    audit: str
    run: int
    verdict: Verdict
    reason: str
    missing: int
    extra: int
    changed: int
    #: At most MAX_ROWS_NAMED of the differing rows; the counts above are complete.
    rows: tuple[DifferingRow, ...] = ()
    left: Held
    right: Held
    #: By measure (rows, sum of a field, sha256): what the systems do not share.
    unequal: dict[str, Unequal] = {}
    #: The numbers belong to the verdict: the systems held the same as each other, or the same before and after the
    #: audit. False when they never stood still.
    stable: bool

    @property
    def accepted(self) -> bool:
        """The verdict alone is not enough: an audit may tolerate what a count, a sum or a digest does not."""
        return self.verdict is Verdict.CLEAN and not self.unequal and self.stable

    @property
    def complaint(self) -> str:
        """Why it is not accepted; empty when it is."""
        parts = [] if self.verdict is Verdict.CLEAN else [str(self.verdict)]
        parts += [f"unequal {name}" for name in self.unequal]
        parts += [] if self.stable else ["never stood still while it was measured"]
        return ", ".join(parts)


class Signature(_Part):
    by: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    at: datetime
    #: Of everything but the signatures, when it was signed.
    sha256: str


class Manifest(_Part):
    format: int = FORMAT
    acceptance: str
    chain: str
    #: Of the product that measured.
    version: str
    made_at: datetime
    #: Every audit is clean, and every count, sum and digest is the same on both sides.
    accepted: bool
    datasets: tuple[Compared, ...]
    signatures: tuple[Signature, ...] = ()


def digest(manifest: Manifest) -> str:
    """Of everything but the signatures."""
    body = manifest.model_dump(mode="json", exclude={"signatures"})
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def unequal(left: Measured, right: Measured) -> dict[str, Unequal]:
    """What two sides do not share; empty when they hold the same."""
    return {name: Unequal(left=was, right=now) for name, (was, now) in _numbers(left, right).items() if was != now}


def _numbers(one: Held | Measured, other: Held | Measured) -> dict[str, tuple[str, str]]:
    pairs = {"rows": (str(one.rows), str(other.rows)), "sha256": (one.sha256, other.sha256)}
    for name in sorted({*one.sums, *other.sums}):
        pairs[f"sum of {name}"] = (one.sums.get(name, ""), other.sums.get(name, ""))
    return pairs


def compared(report: AuditReport, left: Measured, right: Measured, *, stable: bool) -> Compared:
    return Compared(
        audit=report.audit,
        run=report.run,
        verdict=report.verdict,
        reason=report.reason,
        missing=report.missing,
        extra=report.extra,
        changed=report.changed,
        rows=tuple(_row(one) for one in report.differences[:MAX_ROWS_NAMED]),
        left=Held(**vars(left)),
        right=Held(**vars(right)),
        unequal=unequal(left, right),
        stable=stable,
    )


def _row(one: Difference) -> DifferingRow:
    return DifferingRow(
        kind=one.kind,
        key=dict(one.key),
        fields=one.fields,
        left=None if one.left is None else dict(one.left),
        right=None if one.right is None else dict(one.right),
    )


def sign(manifest: Manifest, *, by: str, reason: str, at: datetime, despite: bool) -> Manifest:
    """With one more signature. Raises RefusedError when the systems differ and nobody said that this is known."""
    if not by.strip() or not reason.strip():
        raise UsageError("a signature needs a name and a reason: --by NAME --reason TEXT")
    if not manifest.accepted and not despite:
        differing = "; ".join(f"{one.audit}: {one.complaint}" for one in manifest.datasets if not one.accepted)
        raise RefusedError(
            f"the systems do not hold the same ({differing}); sign with --despite-differences when that is known"
        )
    signature = Signature(by=by.strip(), reason=reason.strip(), at=at, sha256=digest(manifest))
    return manifest.model_copy(update={"signatures": (*manifest.signatures, signature)})


def broken_signatures(manifest: Manifest) -> tuple[str, ...]:
    """Who signed for something else than what stands there now."""
    now = digest(manifest)
    return tuple(signature.by for signature in manifest.signatures if signature.sha256 != now)


def differences(kept: Held, found: Measured) -> dict[str, dict[str, str]]:
    """What a side no longer holds as it was measured: kept and found, by what differs; empty when nothing does."""
    return {name: {"kept": was, "found": now} for name, (was, now) in _numbers(kept, found).items() if was != now}


def dump(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n"


def load(text: str, *, file: str) -> Manifest:
    """Raises UsageError for what is no manifest, or one of another format."""
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first: Mapping[str, Any] = error.errors(include_url=False)[0]
        where = ".".join(map(str, _path(first["loc"]))) or "the file"
        raise UsageError(f"'{file}' is no manifest of an acceptance: {where}: {first['msg']}") from error
    if manifest.format != FORMAT:
        raise UsageError(f"'{file}' has format {manifest.format}; this version reads format {FORMAT}")
    return manifest


def _path(location: object) -> Sequence[object]:
    return location if isinstance(location, tuple) else ()
