"""The cheapest way to prove an audit again is taken, and never one that would prove less than was promised."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.tiers import (
    LARGE_ROWS,
    MAX_DELTAS,
    SMALL_ROWS,
    Decision,
    Facts,
    Impossible,
    SideFacts,
    Tier,
    decide,
)
from tillwatch.model.proof import Proof, SideProof
from tillwatch.sources.changes import ChangeSupport

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MADE_FROM = {"en": "a hash of the columns", "zh": "列内容的哈希"}


def side(where: str = "erp.stock", basis: str = "content:1", change_field: str = "changed_at") -> SideFacts:
    support = ChangeSupport(basis=basis, made_from=MADE_FROM, change_field=change_field) if basis else None
    return SideFacts(where=where, support=support, change_field=change_field)


def proof(rows: int = 100_000, **changes: object) -> Proof:
    kept = SideProof(rows=rows, basis="content:1", newest_change=NOW - timedelta(hours=1))
    values = {
        "audit": "stock",
        "run": 1,
        "signature": "s",
        "proven_at": NOW - timedelta(hours=1),
        "full_at": NOW - timedelta(hours=1),
        "swept_at": NOW - timedelta(hours=1),
        "left": kept,
        "right": kept,
        "exact_keys": True,
        "prefix": 5,
    }
    return Proof(**(values | changes))  # type: ignore[arg-type]


def facts(**changes: object) -> Facts:
    values = {"signature": "s", "left": side(), "right": side("till.stock"), "proof": proof(), "now": NOW}
    return Facts(**(values | changes))  # type: ignore[arg-type]


def test_changed_buckets_are_read_when_both_sides_can_tell_them() -> None:
    decision = decide(facts())
    assert decision.tier is Tier.FINGERPRINT
    assert "erp.stock: a hash of the columns" in decision.reason["en"]
    assert "1 %" in decision.reason["en"]


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"proof": None}, "nothing was proven before"),
        ({"signature": "another"}, "declared differently"),
        ({"proof": proof(unfinished_since=NOW)}, "did not end and goes on"),
        ({"proof": proof(exact_keys=False)}, "writes some keys differently"),
        ({"proof": proof(full_at=NOW - timedelta(days=1))}, "everything was last read at 2026-11-23T03:00:00+00:00"),
        ({"proof": proof(prefix=0)}, "no fingerprints were kept"),
        ({"left": side(basis="")}, "erp.stock cannot tell which rows changed"),
        ({"right": side("till.stock", basis="xmin:2")}, "till.stock is another table, database or restore"),
        ({"proof": proof(rows=SMALL_ROWS)}, "both sides hold few rows"),
    ],
)
def test_everything_is_read_when_there_is_nothing_to_build_on(changes: dict[str, object], because: str) -> None:
    decision = decide(facts(**changes))
    assert decision.tier is None
    assert because in decision.reason["en"]


def test_few_rows_are_counted_before_the_first_proof() -> None:
    counted = replace(side(), support=ChangeSupport(basis="b", made_from=MADE_FROM, change_field="", rows=SMALL_ROWS))
    assert "few rows" in decide(facts(proof=None, left=counted, right=counted)).reason["en"]


def test_a_promised_change_field_makes_deltas_where_a_side_has_no_fingerprints() -> None:
    decision = decide(facts(left=side(basis=""), changed_by="changed_at"))
    assert decision.tier is Tier.DELTA
    assert "deletions and writes that leave 'changed_at' alone are not seen" in decision.reason["en"]
    assert "2026-11-25T02:00:00+00:00" in decision.reason["en"]
    assert decide(facts(left=side(basis=""))).tier is None


def test_of_a_large_audit_some_runs_are_deltas_and_the_next_sees_deletions_again() -> None:
    large = LARGE_ROWS + 1
    tiers = [decide(facts(changed_by="changed_at", proof=proof(rows=large, deltas=deltas))).tier for deltas in range(5)]
    assert tiers == [Tier.DELTA] * MAX_DELTAS + [Tier.FINGERPRINT] * (5 - MAX_DELTAS)
    assert decide(facts(proof=proof(rows=large))).tier is Tier.FINGERPRINT


def tracking(token: str = "t", *, cuts: bool = True, **changes: object) -> Facts:
    """An ERP that keeps track of changes against a till's database with fingerprints."""
    erp = SideFacts(where="erp.stock", tracks=True, cuts=cuts)
    known = proof(left=SideProof(rows=100_000, token=token))
    return facts(**({"left": erp, "proof": known} | changes))


def test_what_a_side_tracks_and_the_buckets_of_the_other_are_taken_without_anybodys_word() -> None:
    decision = decide(tracking())
    assert (decision.tier, decision.tracked) == (Tier.DELTA, True)
    assert "erp.stock: a delta link, till.stock: a hash of the columns" in decision.reason["en"]
    assert "deletions included" in decision.reason["en"]
    assert "erp.stock：增量链接" in decision.reason["zh"]
    assert decide(tracking(declared="delta")).tracked
    assert decide(tracking(asked="delta")).tracked
    both = replace(tracking().left, where="till.stock")
    kept = SideProof(rows=100_000, token="t")
    assert decide(tracking(right=both, proof=proof(left=kept, right=kept, prefix=0))).tracked


@pytest.mark.parametrize(
    ("known", "because"),
    [
        (tracking(""), "erp.stock was asked to track changes and gave no delta link"),
        (tracking(cuts=False), "erp.stock cannot be asked for the rows of a bucket"),
        (tracking(right=side("till.stock", "content:2")), "till.stock cannot tell which rows changed"),
        (tracking(proof=proof(known=None, left=SideProof(rows=9_000, token="t"))), "too many rows are known to differ"),
        (tracking(signature="other"), "declared differently"),
        (tracking(now=NOW + timedelta(days=2)), "is due again"),
    ],
)
def test_without_either_everything_is_read(known: Facts, because: str) -> None:
    decision = decide(known)
    assert (decision.tier, decision.tracked, because in decision.reason["en"]) == (None, False, True)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"left": side(change_field="")}, "erp.stock cannot say which rows changed since a moment"),
        ({"changed_by": "modified"}, "erp.stock tells changes by 'changed_at', not by 'modified'"),
        ({"proof": proof(left=SideProof(rows=9))}, "erp.stock had no dated row"),
        ({"proof": proof(known=None)}, "too many rows are known to differ"),
    ],
)
def test_a_delta_that_cannot_be_is_a_full_run_as_declared_and_refused_when_asked_for(
    changes: dict[str, object], because: str
) -> None:
    declared = decide(facts(declared="delta", **changes))
    assert (declared.tier, because in declared.reason["en"]) == (None, True)
    with pytest.raises(Impossible, match="strategy 'delta' cannot prove this audit now: " + because):
        decide(facts(asked="delta", **changes))


def test_what_is_asked_for_is_done_also_when_everything_is_due() -> None:
    overdue = proof(full_at=NOW - timedelta(days=9))
    assert decide(facts(asked="fingerprint", proof=overdue)).tier is Tier.FINGERPRINT
    assert decide(facts(asked="delta", proof=overdue)).tier is Tier.DELTA
    assert decide(facts(asked="stream")) == Decision(
        tier=Tier.STREAM, reason={"en": "stream was asked for", "zh": "指定使用 stream 策略"}
    )
    assert decide(facts(declared="stream")).tier is Tier.STREAM


kept_sides = st.builds(
    SideProof,
    rows=st.sampled_from([0, SMALL_ROWS, SMALL_ROWS + 1, LARGE_ROWS + 1]),
    basis=st.sampled_from(["", "content:1", "content:2"]),
    newest_change=st.sampled_from([None, NOW - timedelta(minutes=5)]),
    token=st.sampled_from(["", "t"]),
)
any_proof = st.none() | st.builds(
    proof,
    signature=st.sampled_from(["s", "t"]),
    full_at=st.sampled_from([NOW, NOW - timedelta(days=2)]),
    left=kept_sides,
    right=kept_sides,
    exact_keys=st.booleans(),
    prefix=st.sampled_from([0, 4]),
    deltas=st.integers(0, 5),
    known=st.sampled_from([None, ()]),
)
any_side = st.builds(
    lambda tracks, cuts, **more: replace(side(**more), tracks=tracks, cuts=cuts),
    tracks=st.booleans(),
    cuts=st.booleans(),
    basis=st.sampled_from(["", "content:1", "content:2"]),
    change_field=st.sampled_from(["", "a", "b"]),
)
any_facts = st.builds(
    facts,
    declared=st.sampled_from(["auto", *Tier]),
    asked=st.sampled_from(["", *Tier]),
    changed_by=st.sampled_from(["", "a"]),
    left=any_side,
    right=any_side,
    proof=any_proof,
)


@given(any_facts)
def test_whatever_the_facts_a_partial_proof_stands_on_a_whole_one(known: Facts) -> None:
    try:
        decision = decide(known)
    except Impossible:
        # Only a wish for one run is refused, never a schedule.
        assert known.asked in (Tier.FINGERPRINT, Tier.DELTA)
        return
    assert decision.reason["en"]
    assert decision.reason["zh"]
    if decision.tier not in (Tier.FINGERPRINT, Tier.DELTA):
        return
    before = known.proof
    assert before is not None
    assert before.signature == known.signature
    assert before.exact_keys
    if not known.asked:
        assert known.now - before.full_at < known.full_every
    if decision.tracked:
        # Each side tells what changed with deletions, by itself; nobody's word is needed.
        assert before.known is not None
        sides = ((known.left, before.left, known.right), (known.right, before.right, known.left))
        assert any(about.tracks for about, _, _ in sides)
        for about, kept, other in sides:
            told = about.support is not None and about.support.basis == kept.basis and before.prefix and other.cuts
            assert (about.tracks and kept.token) or told
    elif decision.tier is Tier.FINGERPRINT:
        assert before.prefix
        for about, kept in ((known.left, before.left), (known.right, before.right)):
            assert about.support is not None
            assert about.support.basis == kept.basis
    else:
        assert before.known is not None
        # Somebody gave their word: for this run, in the declaration, or by naming the field.
        assert known.changed_by or Tier.DELTA in (known.asked, known.declared)
        for about, kept in ((known.left, before.left), (known.right, before.right)):
            assert about.change_field in ({known.changed_by} if known.changed_by else {"a", "b"})
            assert kept.newest_change is not None
