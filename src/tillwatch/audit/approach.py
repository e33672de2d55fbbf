"""How one run proves its audit: ask both sides what they can tell, choose, and say what the run leaves for the next."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from tillwatch.audit import buckets, plan, tiers
from tillwatch.audit.compare import Strategy, Stream, Task, Unsuited
from tillwatch.audit.declare import signature
from tillwatch.audit.incremental import Delta, Fingerprint
from tillwatch.audit.ranges import Ranges, Scale
from tillwatch.audit.reading import SIDES
from tillwatch.audit.rows import decode_key
from tillwatch.audit.spill import Stand
from tillwatch.audit.tiers import Facts, Impossible, SideFacts, Tier, Words
from tillwatch.audit.tracking import Tracked, cuts, tracker
from tillwatch.model.proof import Bucket, Mark, Proof, SideProof
from tillwatch.sources.changes import Changes, ChangeSupport, Slices

#: Keys kept that did not agree at every look; with more of them a delta run reads everything instead.
MAX_KNOWN = 5_000
#: How far the clock of a system that cannot name its newest change may be from ours.
CLOCK_ALLOWANCE = timedelta(minutes=5)
#: A row may be dated just now.
A_MOMENT = timedelta(seconds=1)


@dataclass(kw_only=True)
class Approach:
    """One run's. `choose` before reading, `proof` after a run that proved something."""

    task: Task
    #: The last good state, None when there is none.
    memory: Proof | None
    #: The strategy asked for this one run; empty = as declared.
    asked: str = ""
    now: datetime
    #: How to work on a large audit with several processes; None = in this one.
    scale: Scale | None = None
    #: Takes what a run has proven so far, for one that goes on when this one is killed.
    checkpoint: Callable[[Proof], None] = lambda _: None
    run: int = 0
    reason: Words = field(default_factory=dict)
    _supports: Mapping[str, ChangeSupport] = field(default_factory=dict)
    _newest: dict[str, datetime | None] = field(default_factory=lambda: dict.fromkeys(SIDES))
    _marks: Mapping[str, Mapping[str, Mark]] = field(default_factory=dict)
    _prefix: int = 0
    _strategy: Strategy | None = None

    def choose(self) -> plan.Choice:
        """Raises SideFault when a side cannot answer, Impossible when what was asked for cannot be done."""
        if self.task.declared.shaped:
            return self._shaped()
        self._ask_support()
        facts = self._facts()
        decision = tiers.decide(facts)
        self.reason = decision.reason
        if self._remembers(facts):
            self._ask_newest(facts)
        if decision.tracked:
            return self._chosen(self._tracked(), decision.reason)
        if decision.tier is Tier.DELTA:
            return self._chosen(self._delta(), decision.reason)
        if decision.tier is Tier.FINGERPRINT:
            assert self.memory is not None
            self._ask_marks(self.memory.prefix)
            return self._chosen(self._fingerprint(), decision.reason)
        if self._remembers(facts) and self._marks_serve(facts):
            self._ask_marks(self._cut())
        return self._full(decision, facts)

    def _shaped(self) -> plan.Choice:
        """Rows of a scope, or put together, are not the rows that change marks and digests speak of."""
        words = {"en": "a side is filtered or put together before it is compared", "zh": "有一侧在比较前经过筛选或汇总"}
        if self.asked not in ("", Tier.STREAM):
            raise Impossible(f"strategy '{self.asked}' cannot prove this audit: {words['en']}; ask for 'stream'")
        self.reason = words
        return plan.Choice(strategy=Stream(), reason=words["en"])

    def proof(self, strategy: str) -> Proof:
        """What this run, proven by `strategy`, leaves. Asked for after the suspects have settled."""
        declared, reads = self.task.declared, self.task.sides.reads
        known, sides = self._known(), self._sides()
        if isinstance(self._strategy, Tracked) and self._strategy.finished:
            assert self.memory is not None
            left, right, proven = sides["left"], sides["right"], self._proven() if self._marks else {}
            same = replace(self.memory, run=self.run, proven_at=self.now, swept_at=self.now, deltas=0)
            return replace(same, left=left, right=right, buckets=proven, known=known)
        if strategy == Tier.DELTA:
            assert self.memory is not None
            kept = {side: replace(sides[side], basis=self._before(side).basis) for side in SIDES}
            return replace(
                self.memory,
                run=self.run,
                proven_at=self.now,
                deltas=self.memory.deltas + 1,
                left=kept["left"],
                right=kept["right"],
                known=known,
            )
        full_at = self._began
        if strategy == Tier.FINGERPRINT and self.memory is not None:
            full_at = self.memory.full_at
        return Proof(
            audit=declared.spec.id,
            run=self.run,
            signature=signature(declared),
            proven_at=self.now,
            full_at=full_at,
            swept_at=self.now,
            left=sides["left"],
            right=sides["right"],
            # A digest refuses keys that are not exact, so it proves of those it never showed to us that they are.
            exact_keys=all(read.exact_keys for read in reads.values()),
            prefix=self._prefix if self._marks else 0,
            buckets=self._proven() if self._marks else {},
            known=known,
        )

    def _sides(self) -> dict[str, SideProof]:
        return {
            side: SideProof(
                rows=self.task.sides.reads[side].rows,
                basis=self._supports[side].basis if side in self._marks else "",
                newest_change=self._newest[side],
                token=self._token(side),
            )
            for side in SIDES
        }

    def _token(self, side: str) -> str:
        """An older one says no less, so it is kept where this run gave none."""
        if isinstance(self._strategy, Tracked) and side in self._strategy.next_tokens:
            return self._strategy.next_tokens[side]
        same = self.memory is not None and self.memory.signature == signature(self.task.declared)
        return self.task.sides.reads[side].token or (self._before(side).token if same else "")

    @property
    def _began(self) -> datetime:
        """When the full run began that this one is, or goes on from."""
        memory = self.memory
        if memory is None or memory.unfinished_since is None or not isinstance(self._strategy, Ranges):
            return self.now
        return memory.unfinished_since if self._strategy.known else self.now

    def _reached(self, read: set[str]) -> None:
        """Keep what is proven so far; what was proven before and is not read yet stays as it was."""
        marks, before = self._marks, self._same_buckets()
        proven = buckets.proven(
            before, marks["left"], marks["right"], read=read, differing=self._differing(), at=self.now
        )
        if before and self.memory is not None:
            state = replace(self.memory, run=self.run, buckets=proven, unfinished_since=self._began)
        else:
            sides = self._sides()
            state = Proof(
                audit=self.task.declared.spec.id,
                run=self.run,
                signature=signature(self.task.declared),
                proven_at=self.now,
                full_at=self._began,
                swept_at=self._began,
                left=sides["left"],
                right=sides["right"],
                exact_keys=True,
                prefix=self._prefix,
                buckets=proven,
                known=None,
                unfinished_since=self._began,
            )
        self.checkpoint(state)

    def _same_buckets(self) -> Mapping[str, Bucket]:
        """What is known of the very buckets this run works with."""
        memory = self.memory
        if memory is None or memory.prefix != self._prefix or memory.signature != signature(self.task.declared):
            return {}
        same = all(self._before(side).basis == self._supports[side].basis for side in SIDES)
        return memory.buckets if same else {}

    def _ranges(self, scale: Scale) -> Ranges:
        known: Mapping[str, Bucket] = {}
        since = self.memory.unfinished_since if self.memory is not None else None
        if since is not None and self.now - since < self.task.declared.spec.full_every:
            known = {name: one for name, one in self._same_buckets().items() if one.verified_at >= since}
        return Ranges(
            known=known,
            left=self._marks["left"],
            right=self._marks["right"],
            prefix=self._prefix,
            scale=scale,
            checkpoint=self._reached,
        )

    def _ask_support(self) -> None:
        spec, fields = self.task.declared.spec, self._columns()
        sources = {side: self.task.sides.sources[side] for side in SIDES}
        count = self.memory is None
        questions = {
            side: partial(source.change_support, getattr(spec, side).dataset, fields[side], count=count)
            for side, source in sources.items()
            if source.capabilities.changes and isinstance(source, Changes)
        }
        if questions:
            self._supports = self.task.sides.ask(questions, "asking what each side can tell of its changes")

    def _facts(self) -> Facts:
        spec = self.task.declared.spec
        sides = {side: self._side_facts(side) for side in SIDES}
        return Facts(
            declared=spec.strategy,
            asked=self.asked,
            changed_by=spec.changed_by,
            full_every=spec.full_every,
            verify_share=spec.verify_share,
            signature=signature(self.task.declared),
            left=sides["left"],
            right=sides["right"],
            proof=self.memory,
            now=self.now,
        )

    def _side_facts(self, side: str) -> SideFacts:
        source, read = self.task.sides.sources[side], self.task.sides.reads[side]
        support = self._supports.get(side)
        change_field = support.change_field if support is not None else ""
        if support is None and self._wants_delta() and source.capabilities.since:
            described = self.task.sides.ask({side: source.describe}, f"asking {read} for its change field")[side]
            if read.dataset in described.datasets:
                change_field = described.datasets[read.dataset].change_field
        if not (source.capabilities.since and source.capabilities.keys):
            change_field = ""
        return SideFacts(
            where=str(read),
            support=support,
            change_field=change_field,
            tracks=tracker(self.task, side) is not None,
            cuts=support is not None or cuts(self.task, side),
        )

    def _marks_serve(self, facts: Facts) -> bool:
        """Fingerprints of one side alone serve beside what the other tracks."""
        about = {"left": facts.left, "right": facts.right}
        return bool(self._supports) and all(side in self._supports or about[side].tracks for side in SIDES)

    def _wants_delta(self) -> bool:
        spec = self.task.declared.spec
        return bool(spec.changed_by) or Tier.DELTA in (spec.strategy, self.asked)

    def _remembers(self, facts: Facts) -> bool:
        """Whether marks and dates are worth asking for: a small audit is read whole each time."""
        return bool(self.asked or facts.declared != "auto" or facts.changed_by or not tiers.small(facts))

    def _ask_newest(self, facts: Facts) -> None:
        spec = self.task.declared.spec
        questions = {}
        for side, about in (("left", facts.left), ("right", facts.right)):
            source = self.task.sides.sources[side]
            if not about.change_field:
                continue
            if isinstance(source, Changes):
                dataset = getattr(spec, side).dataset
                questions[side] = partial(source.newest_change, dataset, until=self.now + A_MOMENT)
            else:
                self._newest[side] = self.now - CLOCK_ALLOWANCE
        if questions:
            self._newest.update(self.task.sides.ask(questions, "asking each side for its newest change"))

    def _cut(self) -> int:
        """Where to cut keys into buckets: as before while that is known, else by a sample of the left side's keys."""
        if self.memory is not None and self.memory.prefix and self.memory.signature == signature(self.task.declared):
            return self.memory.prefix
        side = next(side for side in SIDES if side in self._supports)
        source = self.task.sides.sources[side]
        assert isinstance(source, Changes)
        rows = self._supports[side].rows
        if rows is None:
            rows = self._before(side).rows if self.memory is not None else buckets.SAMPLE_KEYS
        dataset, names = self.task.sides.reads[side].dataset, self.task.declared.key_names
        share = min(1.0, buckets.SAMPLE_KEYS / max(1, rows))
        question = partial(source.sample_keys, dataset, names, share=share)
        sample = self.task.sides.ask({side: question}, f"looking at the keys of the {side} side")[side]
        return buckets.prefix_for(sample, rows)

    def _ask_marks(self, prefix: int) -> None:
        """Before anything is read: a row that changes in between then makes its mark stale, never its proof wrong."""
        spec, fields = self.task.declared.spec, self._columns()
        slices = Slices(key=self.task.declared.key_names, prefix=prefix)
        questions = {}
        for side in self._supports:
            source = self.task.sides.sources[side]
            assert isinstance(source, Changes)
            questions[side] = partial(source.fingerprints, getattr(spec, side).dataset, fields[side], slices)
        self._marks = self.task.sides.ask(questions, "asking which rows changed")
        self._prefix = prefix

    def _columns(self) -> dict[str, list[str]]:
        """Everything an audit reads of each side, sorted out of its keys, fields and context."""
        declared = self.task.declared
        common = [rule.name for rule in (*declared.key, *declared.fields)]
        return {
            "left": [*common, *(rule.name for rule in declared.left_context)],
            "right": [*common, *(rule.name for rule in declared.right_context)],
        }

    def _fingerprint(self) -> Fingerprint:
        assert self.memory is not None
        return Fingerprint(
            known=self.memory.buckets,
            left=self._marks["left"],
            right=self._marks["right"],
            prefix=self._prefix,
            verify_share=self.task.declared.spec.verify_share,
        )

    def _tracked(self) -> Tracked:
        assert self.memory is not None
        assert self.memory.known is not None
        tracking = [side for side in SIDES if tracker(self.task, side) is not None]
        tokens = {side: self._before(side).token for side in tracking if self._before(side).token}
        if len(tokens) < len(SIDES):
            self._supports = {side: one for side, one in self._supports.items() if side not in tokens}
            self._ask_marks(self.memory.prefix)
        return Tracked(tokens=tokens, columns=self._columns(), marks=self._marks, before=self.memory)

    def _delta(self) -> Delta:
        assert self.memory is not None
        assert self.memory.known is not None
        since = {}
        for side in SIDES:
            newest = self._before(side).newest_change
            assert newest is not None
            since[side] = newest
        rows = {side: self._before(side).rows for side in SIDES}
        fields = {side: support.change_field for side, support in self._supports.items()}
        return Delta(since=since, known=self.memory.known, rows=rows, fields=fields)

    def _before(self, side: str) -> SideProof:
        assert self.memory is not None
        return self.memory.left if side == "left" else self.memory.right

    def _full(self, decision: tiers.Decision, facts: Facts) -> plan.Choice:
        sources = self.task.sides.sources
        choice = plan.choose(self.task.declared, sources["left"], sources["right"], decision.tier or "")
        if decision.tier is Tier.STREAM or (decision.tier is None and tiers.small(facts)):
            # To agree with two servers on a hash takes longer than to read few rows.
            return self._chosen(self._stream(), decision.reason)
        if decision.tier is not None and choice.strategy.name != decision.tier:
            if self.asked:
                raise Impossible(f"strategy '{decision.tier}' cannot prove this audit now: {choice.reason}")
            choice = replace(choice, reason=f"{decision.tier} is not possible: {choice.reason}")
        if isinstance(choice.strategy, Stream):
            choice = replace(choice, strategy=self._stream())
        self._strategy = choice.strategy
        return replace(choice, reason=f"{decision.reason['en']}; {choice.reason}")

    def _chosen(self, strategy: Strategy, reason: Words) -> plan.Choice:
        self._strategy = strategy
        return plan.Choice(strategy=strategy, reason=reason["en"])

    def instead(self, choice: plan.Choice, why: Unsuited) -> plan.Choice:
        """What takes the place of a strategy that turned out not to suit."""
        found = plan.instead(choice, why)
        exact = all(read.exact_keys for read in self.task.sides.reads.values())
        if exact and not isinstance(choice.strategy, Ranges):
            found = replace(found, strategy=self._stream())
        self._strategy = found.strategy
        return found

    def _stream(self) -> Strategy:
        """Every row, by several processes when they are many."""
        if self.scale is None or len(self._marks) < len(SIDES):
            return Stream()
        large = max(map(buckets.rows_in, self._marks.values())) > self.scale.unit_rows
        return self._ranges(self.scale) if large else Stream()

    def _proven(self) -> dict[str, Bucket]:
        """Of all buckets, unless this run read a part of them and stands on what was known of the others."""
        known: Mapping[str, Bucket] = {}
        read: set[str] | None = None
        if isinstance(self._strategy, Fingerprint | Ranges) and self._strategy.finished:
            known, read = self._strategy.known, self._strategy.read
        if isinstance(self._strategy, Tracked) and self._strategy.finished:
            known, read = self._strategy.before.buckets, self._strategy.read
        left, right = (self._marks.get(side, {}) for side in SIDES)
        return buckets.proven(known, left, right, read=read, differing=self._differing(), at=self.now)

    def _differing(self) -> set[str]:
        return {buckets.bucket_of(tuple(key.values()), self._prefix) for key in self._suspects()}

    def _known(self) -> tuple[Mapping[str, str], ...] | None:
        spill = self.task.spill
        return None if sum(map(spill.count, Stand)) > MAX_KNOWN else tuple(self._suspects())

    def _suspects(self) -> Iterator[dict[str, str]]:
        """Keys that differed at any look of this run: one that was cleared may only have been on its way."""
        for stand in Stand:
            for pair in self.task.spill.suspects(stand):
                yield decode_key(self.task.declared, pair.key)
