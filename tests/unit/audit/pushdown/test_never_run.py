"""SQL Server and Oracle: no server of either runs here, so their SQL is parsed in its dialect and read by the letter."""

import re
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot
from sqlglot import exp
from tests.support.audits import ZONE

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown import oracle, sqlserver
from tillwatch.audit.pushdown.elements import Refused, Table, element
from tillwatch.sources.sql.session import Column, ColumnKind

UTC_ZONE = ZoneInfo("UTC")
DIALECTS = {"tsql": sqlserver, "oracle": oracle}
TABLES: dict[str, Table] = {"tsql": sqlserver.RULES, "oracle": oracle.RULES}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": 4},
    {"scale": 0},
    {"trim": Trim.RIGHT},
    {"trim": Trim.BOTH, "fold_case": True},
    {"empty_is_null": True},
    *({"precision": precision} for precision in Precision),
]


def rule(type: FieldType, **options: Any) -> Rule:
    return Rule(**({"name": "f", "type": type, "zone": UTC_ZONE} | options))


def column(kind: ColumnKind, zone: ZoneInfo = UTC_ZONE) -> Column:
    return Column(sql="c", kind=kind, scale=4 if kind is ColumnKind.DECIMAL else None, width=8, zone=zone)


def parsed(statement: str, dialect: str) -> exp.Expression:
    made = sqlglot.parse_one(statement, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    assert isinstance(made, exp.Select)
    # What the parser does not know it keeps as a command.
    assert not list(made.find_all(exp.Command))
    return made


@pytest.mark.parametrize(
    ("dialect", "kind", "type"), [(dialect, *entry) for dialect, table in TABLES.items() for entry in table]
)
def test_every_entry_of_the_table_is_sql_of_its_dialect(dialect: str, kind: ColumnKind, type: FieldType) -> None:
    for options in OPTIONS:
        made = element(TABLES[dialect], column(kind), rule(type, **options))
        odd = f"CASE WHEN {made.odd} THEN 1 ELSE 0 END" if made.odd else "0"
        tree = parsed(f"SELECT {made.text} AS t, {odd} AS o FROM x", dialect)
        assert {found.name for found in tree.find_all(exp.Column)} == {"c"}


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_hashes_are_two_slices_of_an_md5_never_a_checksum(dialect: str) -> None:
    first, second = DIALECTS[dialect].slices(DIALECTS[dialect].record(["a", "b"]))
    statement = f"SELECT COUNT(*), SUM({first}), SUM({second}) FROM x"
    parsed(statement, dialect)
    assert "MD5" in statement
    assert "CHECKSUM" not in statement


def test_row_versions_are_sql_of_their_dialect() -> None:
    parsed(f"SELECT COUNT(*), SUM({sqlserver.row_version('rv')}) FROM x", "tsql")
    parsed(f"SELECT COUNT(*), SUM({oracle.row_version()}) FROM x", "oracle")


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_quote_in_a_text_ends_no_literal(dialect: str) -> None:
    text = DIALECTS[dialect].literal("o'x; --")
    tree = parsed(f"SELECT {text} AS t FROM x", dialect)
    literal = tree.find(exp.Literal, exp.National)
    assert literal is not None
    assert literal.name == "o'x; --"


TSQL = [
    (ColumnKind.DECIMAL, rule(FieldType.DECIMAL, scale=2), "CAST(TRY_CAST(c AS DECIMAL(38, 2)) AS VARCHAR(41))", "TRY_CAST(c AS DECIMAL(38, 2)) IS NULL AND c IS NOT NULL"),
    (ColumnKind.DECIMAL, rule(FieldType.DECIMAL), "REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(c AS VARCHAR(41)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.')", ""),
    (ColumnKind.DECIMAL, rule(FieldType.INTEGER), "CAST(CAST(c AS DECIMAL(38, 0)) AS VARCHAR(40))", "c % 1 <> 0"),
    (ColumnKind.PADDED, rule(FieldType.CODE, trim=Trim.RIGHT), "RTRIM(c)", ""),
    (ColumnKind.UUID, rule(FieldType.CODE), "LOWER(CAST(c AS CHAR(36)))", ""),
    (ColumnKind.LOCAL_TIME, rule(FieldType.TIMESTAMP, precision=Precision.MILLISECOND), "REPLACE(LEFT(CONVERT(VARCHAR(27), CAST(c AS DATETIME2(7)), 121), 23), ' ', 'T') + 'Z'", "c NOT BETWEEN '1000-01-03' AND '9999-12-29'"),
    (ColumnKind.DATE, rule(FieldType.DATE), "CONVERT(CHAR(10), c, 23)", "c NOT BETWEEN '1000-01-03' AND '9999-12-29'"),
]  # fmt: skip
ORACLE = [
    (ColumnKind.DECIMAL, rule(FieldType.DECIMAL, scale=2), "TO_CHAR(ROUND(c, 2), 'FM99999999999999999999999990D00', 'NLS_NUMERIC_CHARACTERS=''.,''')", "ABS(c) >= 10000000000000000000000000"),
    (ColumnKind.DECIMAL, rule(FieldType.DECIMAL), r"REGEXP_REPLACE(TO_CHAR(c, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,'''), '^(-?)[.]', '\10.')", "ABS(c) >= 10000000000000000000000000"),
    (ColumnKind.PADDED, rule(FieldType.CODE, trim=Trim.RIGHT, empty_is_null=True), "CASE WHEN TRIM(c) IS NOT NULL THEN RTRIM(c, ' ') END", ""),
    (ColumnKind.TEXT, rule(FieldType.TEXT, trim=Trim.BOTH), "TRIM(c)", "c IS NOT NULL AND TRIM(c) IS NULL"),
    (ColumnKind.LOCAL_TIME, rule(FieldType.TIMESTAMP, precision=Precision.SECOND), "SUBSTR(TO_CHAR(CAST(c AS TIMESTAMP(9)), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9'), 1, 19) || 'Z'", "c NOT BETWEEN DATE '1000-01-03' AND DATE '9999-12-29'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "kind", "how", "text", "odd"),
    [*(("tsql", *case) for case in TSQL), *(("oracle", *case) for case in ORACLE)],
)
def test_the_sql_of_a_rule_is_written_down(dialect: str, kind: ColumnKind, how: Rule, text: str, odd: str) -> None:
    made = element(TABLES[dialect], column(kind), how)
    assert (made.text, made.odd) == (text, odd)


def test_a_clock_of_shanghai_is_moved_to_utc() -> None:
    moved = rule(FieldType.TIMESTAMP, zone=ZONE)
    assert "DATEADD(SECOND, -28800, " in element(sqlserver.RULES, column(ColumnKind.LOCAL_TIME, ZONE), moved).text
    assert "NUMTODSINTERVAL(-28800, 'SECOND')" in element(oracle.RULES, column(ColumnKind.LOCAL_TIME, ZONE), moved).text


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_days_of_sap_are_eight_digits_and_zeros_are_no_day(dialect: str) -> None:
    made = element(TABLES[dialect], column(ColumnKind.TEXT), rule(FieldType.DATE))
    assert "'00000000' THEN NULL" in made.text


def test_the_days_that_oracle_is_asked_for_exist_in_every_year() -> None:
    shape = re.compile(oracle._COMPACT_DAY, re.ASCII)
    for month in range(14):
        for day in range(33):
            text = f"2026{month:02d}{day:02d}"
            try:
                exists = bool(date(2026, month, day))
            except ValueError:
                exists = False
            assert bool(shape.fullmatch(text)) == exists, text
    assert not shape.fullmatch("20240229")


@pytest.mark.parametrize(("table", "scale"), [(sqlserver.RULES, 38), (oracle.RULES, 14)])
def test_more_places_than_a_number_has_are_refused(table: Table, scale: int) -> None:
    with pytest.raises(Refused, match="places"):
        element(table, column(ColumnKind.DECIMAL), rule(FieldType.DECIMAL, scale=scale))
