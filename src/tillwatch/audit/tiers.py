"""The cheapest way to prove an audit again, given what was proven before. Pure: a function of facts, with a reason.

full         every row of both sides is looked at: by hashes, by matching their records or by streaming; always possible
fingerprint  each side says which of its buckets changed since they were proven; those are read, and some others
delta        rows that say they changed are fetched from both sides by key; it sees neither deletions nor writes that
             leave the change field alone, so it is only taken on somebody's word (`changed_by`, `strategy: delta`), and
             a run that sees everything follows
tracked      a delta in which a side that keeps track of changes for us says what changed, deletions included, and the
             other does too or tells its changed buckets; it needs nobody's word
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillwatch.errors import UsageError
from tillwatch.model.proof import Proof
from tillwatch.sources.changes import ChangeSupport

#: Below so many rows on each side reading everything takes a blink and proves the most.
SMALL_ROWS = 2_000
#: Above so many rows on one side even asking which buckets changed takes seconds.
LARGE_ROWS = 2_000_000
#: Delta runs between two runs that see deletions, when the audit says which field every write moves.
MAX_DELTAS = 3

Words = Mapping[str, str]


class Tier(enum.StrEnum):
    STREAM = "stream"
    RECORDS = "records"
    DIGEST = "digest"
    FINGERPRINT = "fingerprint"
    DELTA = "delta"


#: Those that look at every row.
FULL = frozenset({Tier.STREAM, Tier.RECORDS, Tier.DIGEST})


class Impossible(UsageError):
    """The strategy somebody asked for cannot prove this audit now."""


@dataclass(frozen=True, kw_only=True)
class SideFacts:
    """What one side can do."""

    where: str
    #: Its fingerprints; None when it has none.
    support: ChangeSupport | None = None
    #: The field by which it can say what changed since; empty when it cannot, or cannot be asked by key.
    change_field: str = ""
    #: It keeps track of changes for us, and the rows of a bucket can be asked of it.
    tracks: bool = False
    cuts: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything the choice depends on."""

    #: As declared, and as asked for this one run (empty = as declared).
    declared: str = "auto"
    asked: str = ""
    changed_by: str = ""
    full_every: timedelta = timedelta(days=1)
    verify_share: float = 0.01
    signature: str
    left: SideFacts
    right: SideFacts
    proof: Proof | None
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`full` is the strategy of a full proof that was asked for, None when the cheapest will do or it is not full."""

    tier: Tier | None
    reason: Words
    #: A delta that stands on what a side tracks.
    tracked: bool = False


def decide(facts: Facts) -> Decision:
    """Raises Impossible, with the reason, when a strategy was asked for that cannot be used."""
    if facts.asked:
        return _asked(facts, Tier(facts.asked))
    if facts.declared in FULL:
        words = _words(f"the audit is declared with strategy {facts.declared}", f"对账声明使用 {facts.declared} 策略")
        return Decision(tier=Tier(facts.declared), reason=words)
    why_full = no_proof(facts) or overdue(facts)
    if facts.declared == Tier.DELTA and not why_full and not no_tracked(facts):
        return Decision(tier=Tier.DELTA, reason=tracked_reason(facts), tracked=True)
    if facts.declared == Tier.DELTA:
        why = why_full or no_delta(facts)
        return _full(why) if why else Decision(tier=Tier.DELTA, reason=delta_reason(facts))
    if facts.declared != Tier.FINGERPRINT and small(facts):
        return _full(_words("both sides hold few rows, so all are read", "两侧行数都很少，因此全部读取"))
    if facts.declared != Tier.FINGERPRINT and not why_full and not no_tracked(facts):
        return Decision(tier=Tier.DELTA, reason=tracked_reason(facts), tracked=True)
    why_no_marks = why_full or no_marks(facts)
    why_no_delta = why_full or no_delta(facts)
    promised = bool(facts.changed_by) and not why_no_delta
    if promised and (why_no_marks or _delta_pays(facts)):
        return Decision(tier=Tier.DELTA, reason=delta_reason(facts))
    if not why_no_marks:
        return Decision(tier=Tier.FINGERPRINT, reason=fingerprint_reason(facts))
    if not why_full and (facts.left.tracks or facts.right.tracks):
        why_no_marks = no_tracked(facts) or why_no_marks
    return _full(why_no_marks)


def _asked(facts: Facts, tier: Tier) -> Decision:
    if tier in FULL:
        return Decision(tier=tier, reason=_words(f"{tier} was asked for", f"指定使用 {tier} 策略"))
    unproven = no_proof(facts)
    if tier is Tier.DELTA and not unproven and not no_tracked(facts):
        words = tracked_reason(facts)
        reason = _words(f"it was asked for; {words['en']}", f"按指定；{words['zh']}")
        return Decision(tier=tier, reason=reason, tracked=True)
    why = unproven or (no_marks(facts) if tier is Tier.FINGERPRINT else no_delta(facts))
    if why:
        raise Impossible(
            f"strategy '{tier}' cannot prove this audit now: {why['en']}; leave it to the audit, or ask for 'stream'"
        )
    words = fingerprint_reason(facts) if tier is Tier.FINGERPRINT else delta_reason(facts)
    return Decision(tier=tier, reason=_words(f"it was asked for; {words['en']}", f"按指定；{words['zh']}"))


def no_proof(facts: Facts) -> Words | None:
    """Why nothing can be built on what was proven before; None when it can."""
    proof = facts.proof
    if proof is None:
        return _words("nothing was proven before", "此前没有可用的证明")
    if proof.signature != facts.signature:
        return _words("the audit is declared differently than when it was last proven", "对账声明已与上次证明时不同")
    if proof.unfinished_since is not None:
        return _words("a run that read everything did not end and goes on", "一次全量运行未结束，现在继续")
    if not proof.exact_keys:
        return _words(
            "a side writes some keys differently from how they are compared, so rows cannot be found by key",
            "有一侧的部分键的写法与比较时不同，无法按键查找",
        )
    return None


def overdue(facts: Facts) -> Words | None:
    """Why everything must be read again although it need not have changed; None when it need not."""
    assert facts.proof is not None
    if facts.now - facts.proof.full_at < facts.full_every:
        return None
    since = facts.proof.full_at.isoformat(timespec="seconds")
    return _words(f"everything was last read at {since} and is due again", f"上次全部读取是在 {since}，已到期")


def no_marks(facts: Facts) -> Words | None:
    """Why changed buckets cannot be told; None when they can."""
    proof = facts.proof
    assert proof is not None
    for side, known in ((facts.left, proof.left), (facts.right, proof.right)):
        if side.support is None:
            return _words(f"{side.where} cannot tell which rows changed", f"{side.where} 无法指出哪些行有变化")
        if not proof.prefix or not known.basis:
            return _words("no fingerprints were kept by the last full run", "上次全量运行没有留下指纹")
        if side.support.basis != known.basis:
            return _words(
                f"{side.where} is another table, database or restore than its kept fingerprints are of",
                f"{side.where} 的表、数据库或恢复点与保留的指纹不同",
            )
    return None


def no_delta(facts: Facts) -> Words | None:
    """Why changed rows cannot be asked for; None when they can."""
    proof = facts.proof
    assert proof is not None
    for side, known in ((facts.left, proof.left), (facts.right, proof.right)):
        if not side.change_field:
            return _words(
                f"{side.where} cannot say which rows changed since a moment", f"{side.where} 无法给出某时刻以来变化的行"
            )
        if facts.changed_by and side.change_field != facts.changed_by:
            return _words(
                f"{side.where} tells changes by '{side.change_field}', not by '{facts.changed_by}'",
                f"{side.where} 的变更字段是 '{side.change_field}'，不是 '{facts.changed_by}'",
            )
        if known.newest_change is None:
            return _words(
                f"{side.where} had no dated row when it was last proven", f"{side.where} 上次证明时没有带变更时间的行"
            )
    if proof.known is None:
        return _words("too many rows are known to differ", "已知差异的行太多")
    return None


def no_tracked(facts: Facts) -> Words | None:
    """Why what a side tracks is not enough; None when it is, for both sides together."""
    proof = facts.proof
    assert proof is not None
    sides = ((facts.left, proof.left, facts.right), (facts.right, proof.right, facts.left))
    for side, known, _ in sides:
        if side.tracks and not known.token:
            return _words(
                f"{side.where} was asked to track changes and gave no delta link",
                f"已要求 {side.where} 跟踪变更，但它没有给出增量链接",
            )
    if not any(side.tracks for side, _, _ in sides):
        return _words("no side tracks its changes for us", "没有一侧为我们跟踪变更")
    if proof.known is None:
        return _words("too many rows are known to differ", "已知差异的行太多")
    for side, known, other in sides:
        if side.tracks:
            continue
        if side.support is None or not proof.prefix or not known.basis or side.support.basis != known.basis:
            return _words(f"{side.where} cannot tell which rows changed", f"{side.where} 无法指出哪些行有变化")
        if not other.cuts:
            return _words(f"{other.where} cannot be asked for the rows of a bucket", f"{other.where} 无法按分桶读取")
    return None


def tracked_reason(facts: Facts) -> Words:
    assert facts.proof is not None
    told_en, told_zh = [], []
    for side in (facts.left, facts.right):
        if side.tracks:
            told_en.append(f"{side.where}: a delta link")
            told_zh.append(f"{side.where}：增量链接")
        elif side.support is not None:
            told_en.append(f"{side.where}: {side.support.made_from['en']}")
            told_zh.append(f"{side.where}：{side.support.made_from['zh']}")
    since = facts.proof.proven_at.isoformat(timespec="seconds")
    return _words(
        f"both sides tell what changed since the run of {since} ({', '.join(told_en)}), deletions included; only that "
        "is read, and what is known to differ",
        f"两侧都能指出自 {since} 的运行以来的变化（{'，'.join(told_zh)}），包括删除；只读取这些行和已知差异的行",
    )


def fingerprint_reason(facts: Facts) -> Words:
    left, right = facts.left.support, facts.right.support
    assert left is not None
    assert right is not None
    share = f"{100 * facts.verify_share:g} %"
    made = {
        language: ", ".join(
            f"{side.where}: {support.made_from[language]}"
            for side, support in ((facts.left, left), (facts.right, right))
        )
        for language in ("en", "zh")
    }
    return _words(
        f"both sides tell which buckets of rows changed ({made['en']}), deletions included; those are read, and the "
        f"{share} looked at longest ago",
        f"两侧都能指出哪些分桶有变化（{made['zh']}），包括删除；只读取这些分桶，以及最久未核对的 {share}",
    )


def delta_reason(facts: Facts) -> Words:
    assert facts.proof is not None
    by = facts.changed_by or facts.left.change_field
    since = facts.proof.proven_at.isoformat(timespec="seconds")
    until = (facts.proof.full_at + facts.full_every).isoformat(timespec="seconds")
    return _words(
        f"only rows changed by their '{by}' since the run of {since} are compared, and those known to differ; "
        f"deletions and writes that leave '{by}' alone are not seen by this, at the latest a full run after {until} "
        "does",
        f"只比较自 {since} 的运行以来 '{by}' 有变化的行和已知差异的行；删除以及未更新 '{by}' 的写入看不到，"
        f"最迟由 {until} 之后的全量运行发现",
    )


def _full(why: Words) -> Decision:
    return Decision(tier=None, reason=why)


def small(facts: Facts) -> bool:
    """Whether everything is read each time anyway."""
    rows = _rows(facts)
    return rows is not None and max(rows) <= SMALL_ROWS


def _delta_pays(facts: Facts) -> bool:
    """Whether a delta run is worth what it does not see, this time."""
    rows = _rows(facts)
    assert facts.proof is not None
    return rows is not None and max(rows) > LARGE_ROWS and facts.proof.deltas < MAX_DELTAS


def _rows(facts: Facts) -> tuple[int, int] | None:
    if facts.proof is not None:
        return facts.proof.left.rows, facts.proof.right.rows
    left, right = facts.left.support, facts.right.support
    if left is None or right is None or left.rows is None or right.rows is None:
        return None
    return left.rows, right.rows


def _words(en: str, zh: str) -> Words:
    return {"en": en, "zh": zh}
