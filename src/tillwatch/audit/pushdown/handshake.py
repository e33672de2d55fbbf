"""Before a server computes for us it is asked what it makes of values we know.

Test values run through the very expressions on that very server; what comes back is read by the reference and must be
what the reference makes of the value as the driver hands it over. A column whose expression fails is not pushed down.
"""

from collections.abc import Sequence
from hashlib import md5

from tillwatch.audit.canonical import Canonical, Rule, Unreadable, canonical
from tillwatch.audit.pushdown import mysql, postgresql, sqlite
from tillwatch.audit.pushdown.elements import Element, Refused, Table, element
from tillwatch.sources.sql import values
from tillwatch.sources.sql.session import Column, ColumnKind, Session

#: The oldest PostgreSQL whose functions we use.
MIN_POSTGRESQL = 13
_WORDS = (
    "", " ", "a", "A", "a ", " a", "aB", "0012", "é", "e\u0301", "ＳＫＵ１２３", "商品（红）", "👍🏽", "ß", "İ",
    "a\x1fb", "a\x1eb", "a;b", "a:b", "~", "1:~", "\\", "'", "%s", ":x", "a\tb", "\u3000a", "a\xa0", "ﾊﾝ", "가", "K",
)  # fmt: skip
_NUMBERS = (
    "0", "-0", "1", "-1", "1.5", "-1.5", "0.5", "0.05", "0.005", "0.00005", "-0.00005", "0.00004", "2.675", "1.00005",
    "-0.0004", "19.99", "100", "100.10", "79.1900", "123456789.1234", "999999999999", "12345678901234", "0.1", "0.3",
)  # fmt: skip
_WHOLE = ("0", "1", "-1", "7", "100", "2147483647", "2147483648", "-9223372036854775807", "9223372036854775807")
_DAYS = ("2026-11-24", "2000-02-29", "1970-01-01", "1969-12-31", "1992-01-01", "9999-12-01", "1900-03-01")
_TIMES = (
    "2026-11-24 11:00:00", "2026-11-24 11:00:00.5", "2026-11-24 11:00:00.000001", "2026-11-24 11:00:00.999999",
    "2026-11-24 23:59:59.9995", "2026-01-01 00:00:00", "2025-12-31 16:00:00", "2000-02-29 12:34:56.789012",
    "1999-12-31 23:59:59.999", "1988-07-01 12:00:00", "1970-01-01 00:00:00", "2038-01-19 03:14:08",
)  # fmt: skip
_TEXTS_OF_TYPES = (
    *_NUMBERS[:12], "+1", "1e3", "1,000", "１２", "12x", ".5", "5.", "--1", "1.2.3", "true", "是", "NO", "x", "2",
    "2026-11-24", "2026-02-30", "2026-13-01", "20261124", "2026/11/24", *_TIMES[:5], "2026-11-24T11:00:00",
    "2026-11-24T11:00:00Z", "2026-11-24 11:00:00+08:00", "2026-11-24 11:00", "2026-11-24 25:00:00",
)  # fmt: skip
#: What SQLite's own functions take for a number or a time, and is none: they stop at a NUL.
_CUT_OFF = tuple(f"'{text}' || char(0) || 'x'" for text in ("1", "1.5", "2026-11-24", "2026-11-24 11:00:00"))
_CASTS = {
    "postgresql": {
        ColumnKind.INTEGER: "CAST({} AS bigint)",
        ColumnKind.DECIMAL: "CAST({} AS numeric)",
        ColumnKind.FLOAT: "CAST({} AS double precision)",
        ColumnKind.TEXT: "CAST({} AS text)",
        ColumnKind.BOOLEAN: "CAST({} AS boolean)",
        ColumnKind.DATE: "CAST({} AS date)",
        ColumnKind.LOCAL_TIME: "CAST({} AS timestamp)",
        ColumnKind.MOMENT: "CAST({} AS timestamptz)",
        ColumnKind.UUID: "CAST({} AS uuid)",
    },
    "mysql": {
        ColumnKind.INTEGER: "CAST({} AS SIGNED)",
        ColumnKind.FLOAT: "({} + 0e0)",
        ColumnKind.TEXT: "{}",
        ColumnKind.DATE: "CAST({} AS DATE)",
        ColumnKind.LOCAL_TIME: "CAST({} AS DATETIME(6))",
        ColumnKind.MOMENT: "CAST({} AS DATETIME(6))",
    },
}
LITERALS = {"postgresql": postgresql.literal, "mysql": mysql.literal, "sqlite": sqlite.literal}


def unfit(session: Session) -> tuple[int, str] | None:
    """Version and encoding of a PostgreSQL that lacks what computing for us needs."""
    if session.dialect != "postgresql":
        return None
    encoding = str(session.rows("SHOW server_encoding")[0][0])
    return None if session.major >= MIN_POSTGRESQL and encoding == "UTF8" else (session.major, encoding)


def compile_all(table: Table, session: Session, rules: Sequence[Rule], *, native: bool) -> list[Element]:
    """Every field as SQL, proven on the live server unless its bare column is hashed. Raises Refused naming the first
    column that fails."""
    elements: list[Element] = []
    proven: set[tuple[object, ...]] = set()
    for rule in rules:
        column = session.columns[rule.name]
        made = element(table, column, rule)
        elements.append(made)
        kind = (
            column.kind,
            column.scale,
            column.width,
            column.zone.key,
            column.marks_change,
            column.loose,
            _options(rule),
        )
        if kind not in proven and not (native and made.native):
            proven.add(kind)
            _prove(table, session, column, rule)
    return elements


def _options(rule: Rule) -> tuple[object, ...]:
    return (
        rule.type, rule.scale, rule.trim, rule.fold_width, rule.fold_case, rule.empty_is_null, rule.zone.key,
        rule.precision, rule.strip_zeros,
    )  # fmt: skip


def _prove(table: Table, session: Session, column: Column, rule: Rule) -> None:
    samples = samples_of(session.dialect, column)
    tested = Column(
        sql="v.c", kind=column.kind, scale=column.scale, precision=column.precision, width=column.width,
        collation="utf8mb4_bin" if session.dialect == "mysql" else "", zone=column.zone,
        marks_change=column.marks_change, loose=column.loose,
    )  # fmt: skip
    made = element(table, tested, rule)
    source = " UNION ALL ".join(f"SELECT {sample} AS c" for sample in samples)
    odd = made.odd or "1 = 0"
    answers = session.rows(
        f"SELECT v.c, CASE WHEN {odd} THEN NULL ELSE {made.text} END, CASE WHEN {odd} THEN 1 ELSE 0 END"
        f" FROM ({source}) AS v"
    )
    if not any(not is_odd for _, _, is_odd in answers):
        raise Refused(f"{rule.name}: {session.product} could not be asked about a single {column.kind}")
    for raw, text, is_odd in answers:
        if not is_odd and (fault := disagreement(column, rule, raw, text)):
            raise Refused(f"{rule.name}: {session.product} {fault}")


def disagreement(column: Column, rule: Rule, raw: object, text: str | None) -> str:
    """In what a server's text of a value betrays the reference; empty when it does not."""
    read = canonical(rule)
    value = values.canonical(raw, column.zone)
    value = values.moment(value, column.zone) if column.marks_change else value
    if column.loose and (text is None or not _is_form(read, text)):
        # Nothing on the other side is written like this, so the row is looked at.
        return "" if text is not None or value is None else f"says nothing for {str(value)!r}"
    try:
        wanted = read(value)
    except Unreadable as error:
        return f"reads {error.raw!r} as {text!r}, which is no {rule.type}"
    try:
        given = None if text is None else read(text)
    except Unreadable:
        return f"says {text!r} for {str(value)!r}"
    return "" if wanted == given else f"says {text!r} for {str(value)!r}, which we read as {wanted!r}"


def _is_form(read: Canonical, text: str) -> bool:
    """Whether `text` is the very text of a value."""
    try:
        return read(text) == text
    except Unreadable:
        return False


def samples_of(dialect: str, column: Column) -> list[str]:
    """Values of the column's type as SQL."""
    literal = LITERALS[dialect]
    kind = column.kind
    if kind is ColumnKind.DYNAMIC:
        texts = [literal(text) for text in (*_WORDS, *_TEXTS_OF_TYPES, *_DAYS, *_TIMES)]
        return ["NULL", *texts, *_CUT_OFF, *_WHOLE, *_NUMBERS, "1e20", "X'00ff'"]
    texts = {
        ColumnKind.INTEGER: _WHOLE,
        ColumnKind.DECIMAL: _NUMBERS,
        ColumnKind.FLOAT: (*_NUMBERS, "1e20", "1e-20", "0.1234567890123456"),
        ColumnKind.BOOLEAN: ("true", "false"),
        ColumnKind.DATE: _DAYS,
        ColumnKind.LOCAL_TIME: _TIMES,
        ColumnKind.MOMENT: [f"{time}+00" if dialect == "postgresql" else time for time in _TIMES],
        ColumnKind.UUID: ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", "00000000-0000-0000-0000-000000000000"),
    }.get(kind, (*_WORDS, *_TEXTS_OF_TYPES))  # type: ignore[assignment]
    if kind is ColumnKind.DECIMAL and dialect == "mysql":
        cast = f"CAST({{}} AS DECIMAL(65, {column.scale if column.scale is not None else 10}))"
    elif kind is ColumnKind.PADDED:
        cast = f"CAST({{}} AS char({column.width}))"
        texts = [text for text in texts if len(text) <= (column.width or 0)]
    else:
        cast = _CASTS[dialect][kind]
    return [cast.format("NULL"), *(cast.format(literal(text)) for text in texts)]


def prove_hash(session: Session, hashes: int, texts: Sequence[str]) -> None:
    """The server's MD5 sums of known texts are ours. Raises Refused."""
    wanted = sum(int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[:15], "big") for text in texts)
    if hashes != wanted:
        raise Refused(f"{session.product} sums hashes differently")
