"""A manifest keeps what was measured, and shows every change after it was signed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tillwatch.acceptance.manifest import (
    Compared,
    Held,
    Manifest,
    broken_signatures,
    differences,
    dump,
    load,
    sign,
)
from tillwatch.acceptance.measure import Measured
from tillwatch.errors import RefusedError, UsageError
from tillwatch.model.audit import Verdict

AT = datetime(2026, 11, 24, 3, tzinfo=UTC)
HELD: dict[str, Any] = {
    "system": "erp", "dataset": "stock", "product": "postgresql", "version": "17.2", "rows": 2,
    "sums": {"quantity": "3.5000"}, "sha256": "a" * 64,
}  # fmt: skip


def manifest(verdict: Verdict = Verdict.CLEAN) -> Manifest:
    held = Held(**HELD)
    one = Compared(
        audit="stock",
        run=1,
        verdict=verdict,
        reason="",
        missing=0,
        extra=0,
        changed=0,
        left=held,
        right=held,
        stable=True,
    )
    return Manifest(
        acceptance="erp", chain="demo", version="0.1.0", made_at=AT, accepted=verdict is Verdict.CLEAN, datasets=(one,)
    )


def signed(made: Manifest, **changes: Any) -> Manifest:
    return sign(made, **({"by": "李娜", "reason": "checked", "at": AT, "despite": False} | changes))


def test_a_manifest_reads_back_as_it_was_written() -> None:
    made = signed(manifest())
    assert load(dump(made), file="m.json") == made
    assert broken_signatures(made) == ()


def test_a_change_after_signing_shows_for_every_signature() -> None:
    made = signed(signed(manifest()), by="王伟")
    assert [one.by for one in made.signatures] == ["李娜", "王伟"]
    forged = load(dump(made).replace('"rows": 2', '"rows": 3', 1), file="m.json")
    assert broken_signatures(forged) == ("李娜", "王伟")


def test_nobody_signs_for_differences_without_saying_so() -> None:
    with pytest.raises(RefusedError, match="stock: drift"):
        signed(manifest(Verdict.DRIFT))
    assert signed(manifest(Verdict.DRIFT), despite=True).signatures[0].reason == "checked"


@pytest.mark.parametrize("missing", ["by", "reason"])
def test_a_signature_has_a_name_and_a_reason(missing: str) -> None:
    with pytest.raises(UsageError, match="a name and a reason"):
        signed(manifest(), **{missing: " "})


def test_what_a_restore_lost_is_named() -> None:
    kept = Held(**HELD)
    assert differences(kept, Measured(**HELD)) == {}
    found = Measured(**{**HELD, "rows": 1, "sums": {"quantity": "1.0000"}, "sha256": "b" * 64, "version": "18.0"})
    assert differences(kept, found) == {
        "rows": {"kept": "2", "found": "1"},
        "sha256": {"kept": "a" * 64, "found": "b" * 64},
        "sum of quantity": {"kept": "3.5000", "found": "1.0000"},
    }


@pytest.mark.parametrize("text", ["", "{}", "[]", dump(manifest()).replace('"format": 2', '"format": 9')])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"m\.json"):
        load(text, file="m.json")
