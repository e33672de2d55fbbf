"""Hardly any rows, or the same key twice: what a digest says of them on every ordered pair is what a stream says."""

from collections.abc import Iterator, Sequence
from itertools import cycle, product

import pytest
from tests.support.engines import ENGINES, FIELDS, KEYS, VALUES, Engines, Row, audited, key_of, row_of, spec_of

from tillwatch.audit.pushdown import digest
from tillwatch.model.audit import AuditReport, Verdict

ROWS = 40
PAIRS = tuple(product(ENGINES, ENGINES))
#: Every pair, and every kind of key with some of them.
SPARSE = [(*pair, kind) for pair, kind in zip(PAIRS, cycle(KEYS))]
#: Kinds of keys whose repetition is looked for in another way than a text's.
REPEATED = [(*pair, kind) for pair in PAIRS for kind in ("int", "composite", "uuid")]


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "BUCKET_ROWS", 10)


class Tables:
    """A table on each side, filled again and again."""

    def __init__(self, engines: Engines, left: str, right: str, kind: str) -> None:
        self.engines, self.names, self.kind = engines, {"left": left, "right": right}, kind
        self.key = list(key_of(kind, 0))
        self.sources = {side: engines.source(side, engine, f"{side}_sparse") for side, engine in self.names.items()}

    def fill(self, side: str, rows: Sequence[Row], *, unique: bool = True) -> None:
        engine = self.names[side]
        columns = KEYS[self.kind][engine] | VALUES[engine]
        self.engines.fill(engine, f"{side}_sparse", columns, rows, key=self.key if unique else [])

    def audit(self) -> AuditReport:
        """By digest; a stream has to say the same."""
        spec = spec_of(self.key, FIELDS)
        report, streamed = (
            audited(self.sources["left"], self.sources["right"], spec, strategy) for strategy in ("digest", "stream")
        )
        assert said(report) == said(streamed)
        assert report.strategy == ("digest" if report.verdict is Verdict.CLEAN else "stream"), report.strategy_reason
        return report

    def row(self, number: int) -> Row:
        return row_of(self.kind, number)

    def spoken(self, number: int) -> str:
        return "/".join(str(part) for part in key_of(self.kind, number).values())


def said(report: AuditReport) -> tuple[object, ...]:
    return (report.verdict, report.reason, report.left.rows, report.right.rows, report.differences)


@pytest.fixture
def tables(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Tables]:
    made = Tables(engines, *request.param)
    yield made
    for source in made.sources.values():
        source.close()


def counts(report: AuditReport) -> tuple[object, ...]:
    return (report.verdict, report.left.rows, report.right.rows, report.missing, report.extra, report.changed)


@pytest.mark.parametrize("tables", SPARSE, indirect=True, ids="-".join)
def test_of_hardly_any_rows_everything_is_said(tables: Tables) -> None:
    many = [tables.row(number) for number in range(ROWS)]
    tables.fill("left", [])
    tables.fill("right", [])
    assert counts(tables.audit()) == (Verdict.CLEAN, 0, 0, 0, 0, 0)
    tables.fill("right", many)
    assert counts(tables.audit()) == (Verdict.DRIFT, 0, ROWS, 0, ROWS, 0)
    tables.fill("left", many[:1])
    tables.fill("right", many[:1])
    assert counts(tables.audit()) == (Verdict.CLEAN, 1, 1, 0, 0, 0)
    tables.fill("right", [many[0] | {"name": ""}])
    assert counts(tables.audit()) == (Verdict.DRIFT, 1, 1, 0, 0, 1)
    tables.fill("right", many[1:2])
    assert counts(tables.audit()) == (Verdict.DRIFT, 1, 1, 1, 1, 0)


@pytest.mark.parametrize("tables", REPEATED, indirect=True, ids="-".join)
def test_a_key_of_any_kind_that_is_repeated_fails_the_audit_with_the_key(tables: Tables) -> None:
    many = [tables.row(number) for number in range(ROWS)]
    for side, other, number in (("left", "right", 7), ("right", "left", 31)):
        tables.fill(side, [*many, tables.row(number)], unique=False)
        tables.fill(other, many, unique=False)
        report = tables.audit()
        assert report.verdict is Verdict.FAILED
        assert f"{side}.rows holds 1 key more than once: {tables.spoken(number)};" in report.reason
