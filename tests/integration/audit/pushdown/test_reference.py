"""The texts every live dialect gives mean what the reference means, for many generated values, in bulk."""

import random
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from tests.support.audits import ZONE
from tests.support.engines import ENGINES, Engines
from tests.support.nasty import moment, number, whole

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim, Unreadable, canonical
from tillwatch.audit.frames import rules
from tillwatch.audit.frames.columns import kind_of, series
from tillwatch.audit.pushdown import handshake
from tillwatch.audit.pushdown.elements import element
from tillwatch.audit.pushdown.statements import RULES
from tillwatch.model.audit import Value
from tillwatch.sources.sql import values

#: Of all values of a dialect; each of the columns below gets a share.
VALUES = 100_000
#: Every second text holds a character that normal forms know, and every third number is one in an odd spelling.
_LEAST_OF_POLARS = 0.02
_PIECES = (
    "a",
    "B",
    "é",
    "e\u0301",
    "商",
    "品",
    "Ａ",
    "１",
    "👍",
    "👍🏽",
    " ",
    "　",
    "\t",
    "'",
    "\\",
    "%",
    ":",
    ";",
    "~",
    "ß",
    "İ",
    "가",
    "ﬁ",
    "0",
)


def text(chance: random.Random) -> str:
    return "".join(chance.choices(_PIECES, k=chance.randrange(9)))


def day(chance: random.Random) -> date:
    return moment(chance).date()


def numeral(chance: random.Random) -> str:
    """Text that is a number, or nearly."""
    made = format(number(chance), "f")
    return chance.choice(
        [made, made, made, f" {made}", f"0{made}", f"{made}0", f"+{made}", f"{made}x", "", f"{made}e2"]
    )


def spelled(chance: random.Random) -> str:
    made = moment(chance)
    return chance.choice(
        [made.isoformat(" "), made.isoformat(), made.isoformat(" ", "seconds"), made.isoformat() + "Z", f"{made:%Y-%m-%d}",
         made.isoformat(" ")[:21], "2026-02-30 10:00:00", "2026-11-24 10:61:00"]
    )  # fmt: skip


def rule(type: FieldType, **options: object) -> Rule:
    return Rule(**({"name": "v", "type": type, "zone": ZONE} | options))  # type: ignore[arg-type]


RULES_OF = (
    ("decimal(30,6)", number, rule(FieldType.DECIMAL, scale=4)),
    ("decimal(30,6)", number, rule(FieldType.DECIMAL, scale=2)),
    ("decimal(30,6)", number, rule(FieldType.DECIMAL, scale=0)),
    ("decimal(30,6)", number, rule(FieldType.DECIMAL)),
    ("decimal(30,6)", number, rule(FieldType.INTEGER)),
    ("double precision", number, rule(FieldType.DECIMAL, scale=2)),
    ("double precision", number, rule(FieldType.DECIMAL)),
    ("bigint", whole, rule(FieldType.INTEGER)),
    ("bigint", whole, rule(FieldType.DECIMAL, scale=2)),
    ("bigint", whole, rule(FieldType.CODE, trim=Trim.BOTH)),
    ("varchar(80)", text, rule(FieldType.TEXT)),
    ("varchar(80)", text, rule(FieldType.TEXT, trim=Trim.RIGHT)),
    ("varchar(80)", text, rule(FieldType.CODE, trim=Trim.BOTH, fold_case=True)),
    ("varchar(80)", text, rule(FieldType.CODE, trim=Trim.BOTH, fold_width=True)),
    ("varchar(80)", text, rule(FieldType.TEXT, empty_is_null=True)),
    ("varchar(80)", numeral, rule(FieldType.DECIMAL, scale=2)),
    ("varchar(80)", numeral, rule(FieldType.DECIMAL)),
    ("varchar(80)", numeral, rule(FieldType.INTEGER)),
    ("varchar(80)", numeral, rule(FieldType.DECIMAL, scale=3, empty_is_null=True)),
    ("date", day, rule(FieldType.DATE)),
    ("TIME", moment, rule(FieldType.TIMESTAMP)),
    ("TIME", moment, rule(FieldType.TIMESTAMP, precision=Precision.MILLISECOND)),
    ("TIME", moment, rule(FieldType.TIMESTAMP, precision=Precision.SECOND)),
    ("TIME", moment, rule(FieldType.DATE)),
    ("TIME", moment, rule(FieldType.DATE, zone=ZoneInfo("UTC"))),
)
ONLY_SQLITE = (
    ("text", spelled, rule(FieldType.TIMESTAMP)),
    ("text", spelled, rule(FieldType.TIMESTAMP, precision=Precision.MILLISECOND)),
    ("text", spelled, rule(FieldType.DATE)),
)
TIMES = {"postgresql": "timestamp(6)", "mariadb": "datetime(6)", "sqlite": "text"}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_dialect_says_of_a_value_is_what_the_reference_says(engine: str, engines: Engines) -> None:
    columns = RULES_OF + (ONLY_SQLITE if engine == "sqlite" else ())
    for position, (type, make, how) in enumerate(columns):
        declared = TIMES[engine] if type == "TIME" else type
        agrees(engine, engines, declared, make, how, random.Random(position))


def agrees(
    engine: str, engines: Engines, type: str, make: Callable[[random.Random], object], how: Rule, chance: random.Random
) -> None:
    count = VALUES // len(RULES_OF)
    rows = [{"id": n, "v": None if n % 50 == 0 else make(chance)} for n in range(count)]
    engines.fill(engine, "bulk", {"id": "int", "v": type}, [shorter(row, engine) for row in rows], key=["id"])
    source = engines.source("x", engine, "bulk")
    session = source.session("rows", ["v"])
    session.open()
    try:
        column = session.columns["v"]
        made = element(RULES[session.dialect], column, how)
        odd = made.odd or "1 = 0"
        answers = session.rows(
            f"SELECT {column.sql}, CASE WHEN {odd} THEN NULL ELSE {made.text} END, CASE WHEN {odd} THEN 1 ELSE 0 END"
            f" FROM {session.source}"
        )
    finally:
        session.close()
        source.close()
    assert len(answers) == count
    spoken_for = 0
    read = canonical(how)
    for raw, said, is_odd in answers:
        if is_odd:
            continue
        spoken_for += 1
        assert not handshake.disagreement(column, how, raw, said), (how, raw, said)
        reference = read(values.canonical(raw, column.zone))
        if is_plain(raw):
            # Not only the same meaning but the same text, so that equal values hash equally.
            assert said == reference, (how, raw)
    assert spoken_for > count * least_share(engine, make, how), (how, spoken_for, count)
    polars_agrees([values.canonical(raw, column.zone) for raw, _, _ in answers], how)


def polars_agrees(given: list[Value], how: Rule) -> None:
    """Of the same values as the driver handed them over; values of several types are no column."""
    read = canonical(how)
    for type in {str, int, Decimal, date, datetime} & set(map(_type, given)):
        some = [value for value in given if value is None or _type(value) is type]
        kind = kind_of(some)
        expressions = rules.element(kind, pl.col("c"), how)
        found = pl.DataFrame({"c": series(kind, some)}).select(text=expressions.text, odd=expressions.odd)
        spoken = [(value, text) for value, (text, is_odd) in zip(some, found.iter_rows(), strict=True) if not is_odd]
        assert all(read(value) == text for value, text in spoken), how
        assert len(spoken) > len(some) * _LEAST_OF_POLARS, (how, len(spoken), len(some))


def _type(value: object) -> type:
    return value.__class__


def least_share(engine: str, make: Callable[[random.Random], object], how: Rule) -> float:
    """Of how many values a dialect must speak at least: a rule that refuses everything would prove nothing."""
    if make is number and how.type is FieldType.INTEGER:
        return 0.15
    if make in (numeral, spelled):
        # SQLite has no decimals, so it speaks for text that is one only when the places are declared.
        return 0.0 if engine == "sqlite" and how.type is FieldType.DECIMAL and how.scale is None else 0.05
    if engine == "sqlite" and make is whole:
        return 0.3
    if make is moment:
        # A naive one before Shanghai gave up summer time is not spoken for.
        return 0.75
    return 0.6 if engine == "sqlite" or make is number else 0.95


def shorter(row: dict[str, object], engine: str) -> dict[str, object]:
    """SQLite takes a date as text."""
    value = row["v"]
    return row | {"v": value.isoformat()} if engine == "sqlite" and type(value) is date else row


def is_plain(raw: object) -> bool:
    """Whether the value has only one form, and no blanks that a database trims differently."""
    return str(raw).isascii() and "\t" not in str(raw)


def test_an_unreadable_value_is_never_spoken_for(engines: Engines) -> None:
    """The reference refuses 2.5 as an integer; PostgreSQL's cast would make it 3."""
    read = canonical(rule(FieldType.INTEGER))
    with pytest.raises(Unreadable):
        read(Decimal("2.5"))
    for engine in ENGINES:
        engines.fill(engine, "half", {"id": "int", "v": "decimal(9,1)"}, [{"id": 1, "v": Decimal("2.5")}], key=["id"])
        source = engines.source("x", engine, "half")
        session = source.session("rows", ["v"])
        session.open()
        try:
            made = element(RULES[session.dialect], session.columns["v"], rule(FieldType.INTEGER))
            answer = session.rows(f"SELECT CASE WHEN {made.odd} THEN 1 ELSE 0 END FROM {session.source}")
        finally:
            session.close()
            source.close()
        assert answer == [(1,)], engine
