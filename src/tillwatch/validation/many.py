"""Rules that look at more than one row: unique, outlier, reference, sum."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from tillwatch.audit.canonical import Canonical, FieldType, Unreadable
from tillwatch.audit.reading import SideFault
from tillwatch.config.validations import Lines, Rule
from tillwatch.errors import UsageError
from tillwatch.model.audit import Row, Value
from tillwatch.model.text import Text
from tillwatch.sources.base import Reading, Source
from tillwatch.sources.sql.screening import Screens
from tillwatch.validation.declare import CROSS_KINDS, Declared, Other
from tillwatch.validation.flags import flag_of
from tillwatch.validation.found import Found
from tillwatch.validation.outliers import MAX_OWN, Usual, middle, usual, usual_of_own, usual_of_runs
from tillwatch.validation.pushdown.narrow import MAX_LINKS, Narrow
from tillwatch.validation.reading import Place, Reader, is_inability
from tillwatch.validation.rules import reader as reads
from tillwatch.validation.rules import text_of
from tillwatch.validation.scratch import MAX_DIGITS, UNREADABLE, Own, Scratch

#: Digits a median is shown with.
_SHOWN_DIGITS = 6
_NO_NUMBER: Text = {"en": "not a decimal", "zh": "不是数字"}

Remember = Callable[[Row, str], Own | None]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A row that breaks a rule which looks at two datasets, until it is known not to be on its way."""

    #: The row's key as JSON, a list in the order of the validation's key.
    key: str
    value: str | None
    problem: Text


class Many:
    """What these rules remember, and what they make of it. A rule is known to the scratch by its place."""

    def __init__(
        self,
        declared: Declared,
        scratch: Scratch,
        found: Found,
        *,
        open: Callable[[str], Source],
        history: Mapping[str, tuple[Usual, ...]],
        own: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> None:
        self._declared, self._scratch, self._found = declared, scratch, found
        self._open, self._history, self._earlier = open, history, own
        #: By rule and group: the middle of this run, for the next ones.
        self.own: dict[str, dict[str, float]] = {}
        self._number: Canonical = reads(FieldType.DECIMAL, declared.zone)
        self._places = {rule.name: place for place, rule in enumerate(declared.spec.rules)}
        #: By rule: how a database is asked for only the rows of the other dataset that are in question.
        self.narrows: Mapping[str, Narrow] = {}
        #: Names of the rules that remember a row at all.
        self.concerned: set[str] = set()
        self._remembered = [(rule, self._memory_of(rule)) for rule in self.rules("unique", "outlier", *CROSS_KINDS)]

    def rules(self, *kinds: str) -> tuple[Rule, ...]:
        return self._declared.of_kind(*kinds)

    def remember(self, batch: Sequence[Row]) -> None:
        """What these rules need of each row."""
        if not self._remembered:
            return
        keys = [_link([row[name] for name in self._declared.spec.key], strip=False) for row in batch]
        for rule, memory in self._remembered:
            flag = flag_of(rule)
            # A source that sorts out rows says which of them concern this rule; any other gives no flag.
            rows = [(row, key) for row, key in zip(batch, keys, strict=True) if row.get(flag, True)]
            kept = [own for row, key in rows if (own := memory(row, key)) is not None]
            self._scratch.add(self._places[rule.name], kept)
            self.concerned.update([rule.name] if kept else [])

    def judge(self, evidence: dict[str, object]) -> None:
        """What the dataset alone shows, once all of it was read."""
        for rule in self.rules("unique"):
            for link, key, times in self._scratch.repeated(self._places[rule.name]):
                problem = {"en": f"stands there {times} times", "zh": f"出现了 {times} 次"}
                self._found.add(rule, self.key_of(key), _shown(link), problem)
        for rule in self.rules("outlier"):
            self._outliers(rule, evidence)

    def read_others(self, reader: Reader, rules: Sequence[Rule]) -> None:
        """The datasets `reference` and `sum` look at. Raises SideFault."""
        for rule in rules:
            if (other := self._declared.other(rule)) is not None:
                self._read_other(reader, rule, other)

    def suspects(self, rule: Rule) -> Iterator[Suspect]:
        """Rows that break `rule`, by what was remembered of both datasets."""
        place = self._places[rule.name]
        if rule.rule == "reference" and (other := self._declared.other(rule)) is not None:
            where = f"{other.system}.{other.dataset}"
            problem = {"en": f"is not in {where}", "zh": f"在 {where} 中不存在"}
            for link, key in self._scratch.absent(place):
                yield Suspect(key=key, value=_shown(link), problem=problem)
            return
        for key, header, total in self._scratch.sums(place):
            if (problem_of := self._wrong_sum(rule, header, total)) is not None:
                yield Suspect(key=key, value=header, problem=problem_of)

    def report(self, rule: Rule, suspect: Suspect) -> None:
        self._found.add(rule, self.key_of(suspect.key), suspect.value, suspect.problem)

    def key_of(self, key: str) -> dict[str, str | None]:
        return dict(zip(self._declared.spec.key, json.loads(key), strict=True))

    def _memory_of(self, rule: Rule) -> Remember:
        """What one rule keeps of a row; None for a row it has nothing to say about."""
        match rule.rule:
            case "unique" | "reference":
                strip = rule.rule == "reference"

                def values(row: Row, key: str) -> Own | None:
                    cells = [row[name] for name in rule.names]
                    return None if None in cells else Own(link=_link(cells, strip=strip), key=key)

                return values
            case "sum":
                header_names = self._declared.spec.key

                def header(row: Row, key: str) -> Own | None:
                    value = row[rule.field]
                    if value is None:
                        return None
                    shown = self._decimal(value) or text_of(value)
                    return Own(link=_link([row[name] for name in header_names], strip=True), key=key, value=shown)

                return header
            case "outlier":

                def number(row: Row, key: str) -> Own | None:
                    value = self._decimal(row[rule.field])
                    if value is None:
                        return None
                    group = _link([row[name] for name in rule.by], strip=True)
                    return Own(link=group, key=key, value=value, number=float(value))

                return number
        raise UsageError(f"a rule '{rule.rule}' remembers nothing")

    def _decimal(self, value: Value) -> str | None:
        """None when it is no number, which is for a rule `range` to say."""
        try:
            return self._number(value)
        except Unreadable:
            return None

    def _read_other(self, reader: Reader, rule: Rule, other: Other) -> None:
        place = Place(source=self._open(other.system), system=other.system, dataset=other.dataset)
        number = self._places[rule.name]
        of_row = self._referred(other.key) if rule.lines is None else self._line(rule.lines, other.key)

        def take(batch: list[Row]) -> None:
            self._scratch.add_other(number, [kept for kept in map(of_row, batch) if kept is not None])

        def forget() -> None:
            self._scratch.forget_other(number)

        if ask := self._narrowed(rule, place, other.columns):
            try:
                reader.whole(place, other.columns, take, forget, ask=ask)
            except SideFault as fault:
                if not is_inability(fault):
                    raise
            else:
                return
        reader.whole(place, other.columns, take, forget)

    def _narrowed(self, rule: Rule, place: Place, columns: Sequence[str]) -> Callable[[], Reading] | None:
        """Only the rows that the remembered ones look at, when they are few and the database can be asked."""
        narrow, source = self.narrows.get(rule.name), place.source
        links = self._scratch.links(self._places[rule.name], MAX_LINKS + 1) if narrow else []
        if narrow is None or len(links) > MAX_LINKS or not isinstance(source, Screens):
            return None
        screen = narrow.screen({json.loads(link)[0] for link in links})
        return lambda: source.read_screened(place.dataset, columns, screen)

    def _referred(self, names: Sequence[str]) -> Callable[[Row], tuple[str, str | None] | None]:
        def of_row(row: Row) -> tuple[str, str | None] | None:
            cells = [row[name] for name in names]
            return None if None in cells else (_link(cells, strip=True), None)

        return of_row

    def _line(self, lines: Lines, names: Sequence[str]) -> Callable[[Row], tuple[str, str | None]]:
        def of_row(row: Row) -> tuple[str, str | None]:
            value = self._decimal(row[lines.field])
            if lines.times and value is not None:
                times = self._decimal(row[lines.times])
                with localcontext(prec=MAX_DIGITS):
                    value = None if times is None else str(Decimal(value) * Decimal(times))
            return _link([row[name] for name in names], strip=True), value

        return of_row

    def _wrong_sum(self, rule: Rule, header: str | None, total: str | None) -> Text | None:
        amount = self._decimal(header)
        if amount is None:
            return _NO_NUMBER
        if total == UNREADABLE:
            return {"en": "a line is not a decimal", "zh": "有一行明细不是数字"}
        added = Decimal(total or 0)
        with localcontext(prec=MAX_DIGITS):
            off = abs(added - Decimal(amount))
        if off <= rule.tolerance:
            return None
        if total is None:
            return {"en": "there are no lines", "zh": "没有明细"}
        shown = text_of(added)
        return {"en": f"its lines add up to {shown}", "zh": f"明细合计为 {shown}"}

    def _outliers(self, rule: Rule, evidence: dict[str, object]) -> None:
        place = self._places[rule.name]
        if rule.by:
            self._scratch.index()
            if rule.against == "history":
                self._against_own(rule, evidence)
                return
        before = usual_of_runs(self._history.get(rule.name, ())) if rule.against == "history" else None
        for group, numbers in self._scratch.groups(place):
            here = usual(numbers)
            if here is not None and not rule.by:
                evidence.setdefault("usual", {})[rule.name] = {  # type: ignore[index]
                    "median": here.median,
                    "spread": here.spread,
                    "values": here.values,
                }
            norm = before or here
            if norm is None:
                continue
            for key, value, number in self._scratch.outside(place, group, *norm.limits(rule.score)):
                self._found.add(rule, self.key_of(key), value, _far(norm, number, history=before is not None))

    def _against_own(self, rule: Rule, evidence: dict[str, object]) -> None:
        """Each group with what it was in earlier runs, not with the others of today."""
        place, earlier = self._places[rule.name], self._earlier.get(rule.name, {})
        kept = self.own.setdefault(rule.name, {})
        left_out = 0
        for group, numbers in self._scratch.groups(place):
            if len(kept) < MAX_OWN:
                kept[group] = middle(numbers)
            else:
                left_out += 1
            norm = usual_of_own(earlier.get(group, ()))
            if norm is None:
                continue
            for key, value, number in self._scratch.outside(place, group, *norm.limits(rule.score)):
                self._found.add(rule, self.key_of(key), value, _far(norm, number, history=True))
        if left_out:
            evidence.setdefault("without_history", {})[rule.name] = left_out  # type: ignore[index]


def _far(norm: Usual, number: float, *, history: bool) -> Text:
    median = f"{norm.median:.{_SHOWN_DIGITS}g}"
    score = norm.score(number)
    far, far_zh = ("", "") if score == float("inf") else (f", {score:.1f} spreads away", f"，偏离 {score:.1f} 个标准差")
    usual_is, usual_zh = ("usual was", "以往通常为") if history else ("usual is", "通常为")
    return {"en": f"{usual_is} {median}{far}", "zh": f"{usual_zh} {median}{far_zh}"}


def _link(cells: Sequence[Value], *, strip: bool) -> str:
    """Values as one text; two rows have the same exactly when all values are the same. Only ASCII: any text fits."""
    texts = [text_of(cell) for cell in cells]
    return json.dumps([text.strip() if strip and text is not None else text for text in texts])


def _shown(link: str) -> str:
    return ", ".join(str(part) for part in json.loads(link))
