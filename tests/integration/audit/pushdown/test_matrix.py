"""Every ordered pair of real engines and every kind of key: all planted differences are found, none is made up, and a
digest reports exactly what a stream reports."""

import os
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest
from tests.support.engines import ENGINES, FIELDS, KEYS, VALUES, Engines, Row, audited, key_of, row_of, spec_of

from tillwatch.audit.pushdown import digest
from tillwatch.model.audit import AuditReport, DifferenceKind, Verdict

ROWS = 600
#: Evidence that says how a run went, not what it found.
OF_THE_RUN = {"rows_read", "compare_seconds", "strategy_reason_zh"}
#: Small buckets, so that few rows are many ranges and several statements.
BUCKET_ROWS = 10
SLICE_BUCKETS = 25


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is done to the right side. `plant` changes rows in place and returns {row number: differing fields}; a row
    that is gone or new stands there with None."""

    name: str
    plant: Callable[[dict[int, Row], str], dict[int, tuple[str, ...] | None]]
    #: Whether so much differs that reading everything is cheaper.
    streams: bool = False


def nothing(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:  # noqa: ARG001
    return {}


def one_of_each(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:
    rows[10]["qty"] += Decimal("0.0001")
    rows[50]["qty"] -= Decimal("0.0001")
    rows[91]["at"] += timedelta(microseconds=1)
    rows[130]["at"] -= timedelta(microseconds=1)
    rows[171]["name"] += " "
    rows[212]["name"] = "Item ２１２"
    rows[251]["name"] = rows[251]["name"].replace("商品", "👍")
    rows[299]["name"] = ""
    rows[300]["name"] = None
    rows[341]["price"] = None
    rows[380]["name"] = rows[380]["name"].swapcase()
    # Nothing opposite what is empty or 0, each way round.
    rows[413]["name"], rows[433]["name"] = "", None
    rows[403]["price"], rows[423]["price"] = Decimal(0), None
    del rows[420]
    rows[ROWS + 5] = row_of(kind, ROWS + 5)
    return {
        10: ("qty",), 50: ("qty",), 91: ("at",), 130: ("at",), 171: ("name",), 212: ("name",), 251: ("name",),
        299: ("name",), 300: ("name",), 341: ("price",), 380: ("name",), 413: ("name",), 433: ("name",), 403: ("price",),
        423: ("price",), 420: None, ROWS + 5: None,
    }  # fmt: skip


def scattered(count: int) -> Callable[[dict[int, Row], str], dict[int, tuple[str, ...] | None]]:
    def plant(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:  # noqa: ARG001
        chosen = random.Random(count).sample(sorted(rows), count)
        for number in chosen:
            rows[number]["qty"] += Decimal("0.0001")
        return dict.fromkeys(chosen, ("qty",))

    return plant


def later(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:  # noqa: ARG001
    for row in rows.values():
        row["at"] += timedelta(hours=1)
    return dict.fromkeys(rows, ("at",))


def emptied(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:  # noqa: ARG001
    gone = list(rows)
    rows.clear()
    return dict.fromkeys(gone)


def one_left(rows: dict[int, Row], kind: str) -> dict[int, tuple[str, ...] | None]:  # noqa: ARG001
    gone = [number for number in rows if number != 17]
    for number in gone:
        del rows[number]
    return dict.fromkeys(gone)


#: `make soak` takes all cases of every pair with every kind of key; otherwise half of them take the first cases only.
EVERYTHING = "TILLWATCH_SOAK_ROUNDS" in os.environ
FIRST_CASES = 2
MATRIX = [
    (left, right, kind, EVERYTHING or (pair + number) % 2 == 0)
    for pair, (left, right) in enumerate(product(ENGINES, ENGINES))
    for number, kind in enumerate(KEYS)
]
CASES = (
    Case(name="equal", plant=nothing),
    Case(name="one of each kind", plant=one_of_each),
    Case(name="one", plant=scattered(1)),
    Case(name="1 %", plant=scattered(ROWS // 100)),
    Case(name="100 scattered", plant=scattered(100)),
    Case(name="all", plant=scattered(ROWS), streams=True),
    Case(name="all an hour later", plant=later, streams=True),
    Case(name="empty", plant=emptied, streams=True),
    Case(name="one row left", plant=one_left, streams=True),
)


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "BUCKET_ROWS", BUCKET_ROWS)
    monkeypatch.setattr(digest, "SLICE_BUCKETS", SLICE_BUCKETS)
    monkeypatch.setattr(digest, "SLICE_SUMS", SLICE_BUCKETS)


def found(report: AuditReport) -> dict[tuple[str, ...], tuple[str, ...] | None]:
    return {
        tuple(row.key.values()): row.fields if row.kind is DifferenceKind.CHANGED else None
        for row in report.differences
    }


def comparable(report: AuditReport) -> tuple[object, ...]:
    """What a reader of the report sees of the two sides."""
    return (
        report.verdict, report.reason, report.left.rows, report.right.rows, report.missing, report.extra,
        report.changed, report.value_at_risk, report.differences,
        {name: what for name, what in report.evidence.items() if name not in OF_THE_RUN},
    )  # fmt: skip


@pytest.mark.parametrize(("left", "right", "kind", "whole"), MATRIX)
def test_all_planted_differences_are_found_and_no_others(
    kind: str, left: str, right: str, whole: bool, engines: Engines
) -> None:
    rows = {number: row_of(kind, number) for number in range(ROWS)}
    key = list(key_of(kind, 0))
    engines.fill(left, "left_rows", KEYS[kind][left] | VALUES[left], shuffled(rows, 1), key=key)
    spec = spec_of(key, FIELDS)
    sides = engines.source("left", left, "left_rows"), engines.source("right", right, "right_rows")
    for case in CASES if whole else CASES[:FIRST_CASES]:
        other = deepcopy(rows)
        planted = case.plant(other, kind)
        engines.fill(right, "right_rows", KEYS[kind][right] | VALUES[right], shuffled(other, 2), key=key)
        report = audited(*sides, spec, "digest")
        expected = {
            tuple(str(part) for part in key_of(kind, number).values()): what for number, what in planted.items()
        }
        assert found(report) == expected, (case.name, report.strategy_reason)
        assert report.verdict is (Verdict.DRIFT if planted else Verdict.CLEAN)
        assert report.strategy == ("stream" if case.streams else "digest"), (case.name, report.strategy_reason)
        streamed = audited(*sides, spec, "stream")
        assert comparable(report) == comparable(streamed), case.name
        matched = audited(*sides, spec, "records")
        assert matched.strategy == ("stream" if case.streams else "records"), (case.name, matched.strategy_reason)
        assert "could not" not in matched.strategy_reason, matched.strategy_reason
        assert comparable(matched) == comparable(streamed), case.name
    for side in sides:
        side.close()


def shuffled(rows: dict[int, Row], seed: int) -> list[Row]:
    values = list(rows.values())
    random.Random(seed).shuffle(values)
    return values
