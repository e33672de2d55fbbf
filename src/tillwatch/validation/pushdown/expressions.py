"""Patterns a database may be asked to match: those written so plainly that RE2 and its own engine mean the same.

Letters, digits, classes of ASCII characters, `.`, `\\d`, `\\w`, groups, `|`, and greedy repetition. Everything that
engines read differently (anchors, \\s, \\b, flags, lazy repetition, classes by name) is left to RE2. What is left is
written anew for each engine, and the live server then shows with samples that it matches as RE2 does.
"""

import re

from tillwatch.sources.sql.session import ColumnKind, Session
from tillwatch.validation.pushdown.cells import binary
from tillwatch.validation.pushdown.parts import Cell, Unpushable, unless_null
from tillwatch.validation.rules import pattern

#: PostgreSQL counts no further.
MAX_REPEATS = 255
#: What the function of ours is called that SQLite matches by; the pattern's number is added.
SQLITE_FUNCTION = "tillwatch_matches_"
_TOKEN = re.compile(
    r"(?P<class>\[\^?(?:[A-Za-z0-9 _.,:;/#@+=!%-]|\\[-.])+\])"
    r"|(?P<escape>\\[dwDW.()\[\]{}*+?|^$/-]|\\\\)"
    r"|(?P<repeat>[*+?]|\{\d{1,3}(?:,\d{0,3})?\})"
    r"|(?P<open>\((?:\?:)?)(?!\?)|(?P<close>\))|(?P<or>\|)|(?P<dot>\.)"
    r"|(?P<literal>[^\\\[\](){}*+?|.^$\x00-\x1f\x7f])"
)
_ESCAPES = {r"\d": "[0-9]", r"\w": "[0-9A-Za-z_]", r"\D": "[^0-9]", r"\W": "[^0-9A-Za-z_]"}
_SAMPLES = (
    "", "a", "A", "z", "0", "9", "007", "A-1", "CY-20261124-0007", "商品", "商", "é", "e\u0301", "ａ", "１", "٣",
    "a\nb", "\n", "a\n", "\na", "\r\n", " ", "  a", "a ", "\u3000", "ß", "SS", "İ", "ı", "i", "K", "k", "ſ", "s",
    "_", "-", ".", "\\", "'", "%", "[", "]", "^", "$", "👍🏽", "x" * 300, "1234567890123", "13912345678",
)  # fmt: skip


def plainly(expression: str, dialect: str) -> str:
    """The same pattern for the engine of `dialect`, without its anchors. Raises Unpushable."""
    made, at, after_repeat, can_repeat = [], 0, False, False
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None or not _is_plain(token, after_repeat=after_repeat, can_repeat=can_repeat):
            raise Unpushable(
                {
                    "en": f"engines may read its pattern {expression} differently",
                    "zh": f"各引擎对表达式 {expression} 的理解可能不同",
                }
            )
        made.append(_written(token))
        after_repeat = token.lastgroup == "repeat"
        can_repeat = token.lastgroup in {"class", "escape", "dot", "literal", "close"}
        at = token.end()
    body = "".join(made)
    return f"^(?:{body})$" if dialect == "postgresql" else f"\\A(?:{body})\\z"


def _is_plain(token: re.Match[str], *, after_repeat: bool, can_repeat: bool) -> bool:
    if token.lastgroup == "class":
        # Ends of a range of different kinds would depend on an order of characters.
        inner = token.group().strip("[]").removeprefix("^")
        ranges = re.findall(r"([^\\])-(.)", inner.replace(r"\-", ""))
        return not inner.startswith("-") and all(_same_kind(low, high) for low, high in ranges)
    if token.lastgroup == "repeat":
        counts = [int(count) for count in re.findall(r"\d+", token.group())]
        return can_repeat and not after_repeat and all(count <= MAX_REPEATS for count in counts)
    return True


def _same_kind(low: str, high: str) -> bool:
    kinds = (str.isdigit, str.islower, str.isupper)
    return low <= high and any(kind(low) and kind(high) for kind in kinds)


def _written(token: re.Match[str]) -> str:
    text = token.group()
    match token.lastgroup:
        case "open":
            return "(?:"
        case "dot":
            return "[^\n]"
        case "escape":
            return _ESCAPES.get(text, text)
    return text


def matches(cell: Cell, expression: str, session: Session, number: int) -> str:
    """When the cell's text certainly matches. Raises Unpushable."""
    if cell.kind is ColumnKind.DYNAMIC:
        if cell.column.marks_change:
            raise cell.refuse()
        # A function of ours in this process: RE2 itself.
        typed = f"typeof({cell.sql}) = 'text'"
        return unless_null(cell, f"{typed} AND {SQLITE_FUNCTION}{number}({cell.sql})")
    cell.only(frozenset({ColumnKind.TEXT, ColumnKind.INTEGER}))
    written = cell.literal(plainly(expression, cell.dialect))
    _prove(cell, expression, written, session)
    return unless_null(cell, _matched(cell, written))


def _matched(cell: Cell, written: str) -> str:
    if cell.dialect == "postgresql":
        return f'{cell.sql}::text COLLATE "C" ~ {written}'
    return f"{binary(cell)} REGEXP {written}"


def _prove(cell: Cell, expression: str, written: str, session: Session) -> None:
    check = pattern(expression)
    samples = [*_SAMPLES, *_mutated(expression)]
    trial = Cell(sql="v.c", column=cell.column, dialect=cell.dialect)
    source = " UNION ALL ".join(f"SELECT {cell.literal(sample)} AS c" for sample in samples)
    test = f"CASE WHEN {_matched(trial, written)} THEN 1 ELSE 0 END"
    for sample, answer in zip(samples, session.rows(f"SELECT {test} FROM ({source}) AS v"), strict=True):
        if bool(answer[0]) != (check(sample) is None):
            raise Unpushable(
                {
                    "en": f"{session.product} matches {sample!r} with {expression} otherwise than RE2",
                    "zh": f"{session.product} 用 {expression} 匹配 {sample!r} 的结果与 RE2 不同",
                }
            )


def _mutated(expression: str) -> list[str]:
    """Texts near what the pattern asks for: its own letters, and each piece of it in other cases and with ends."""
    bare = re.sub(r"\\d", "7", re.sub(r"\\w", "a", expression))
    bare = re.sub(r"\[\^?(.)[^\]]*\]", r"\1", re.sub(r"\{[^}]*\}|\(\?:|[()*+?]", "", bare)).replace("\\", "")
    near = []
    for piece in bare.split("|"):
        near += [piece, piece.upper(), piece.lower(), piece + "\n", f"\n{piece}", f" {piece}", f"{piece} ", piece * 2]
        near += [piece + "7", piece + "a" * 3, piece.replace(".", "商")]
    return near
