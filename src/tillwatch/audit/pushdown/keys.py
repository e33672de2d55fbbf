"""Keys as SQL: the text they are listed by, how they are put in order, and whether they can be asked for again.

A key takes part only when its canonical text is the text the system writes: then unique there is unique here, and its
row can be asked for by it. Order only has to be the same on both sides for the sums to be useful; it proves nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tillwatch.audit.canonical import FieldType, Rule, Trim
from tillwatch.audit.pushdown import mysql, postgresql, sqlite
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.sources.sql.session import Column, ColumnKind, Session

#: A key as both sides put it in order: numbers where both columns are numbers, else text.
Key = tuple[int | str, ...]

#: Characters that are their own normal form beside any other character, and no blanks: what most keys are made of.
QUIET = (
    ("!", "~"),
    ("¡", "ʯ"),
    ("—", "…"),
    ("、", "〩"),
    ("ぁ", "ゖ"),
    ("゛", "ヿ"),
    ("㐀", "䶿"),
    ("一", "鿿"),
    ("！", "～"),
)
#: Collations of PostgreSQL that order by code point, as we do: an index in them serves our ranges.
_BY_CODE_POINT = {"C", "POSIX", "C.UTF-8", "C.utf8"}
#: What the reference trims.
_WHITESPACE = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
_WHITESPACE += "\u2028\u2029\u202f\u205f\u3000"


@dataclass(frozen=True, kw_only=True)
class KeyPart:
    """One column of the key on one side."""

    text: str
    #: What is compared with a boundary, quickly.
    compared: str
    #: The same in a way an index can serve, where there is one.
    ranged: str
    literal: Callable[[int | str], str]
    #: True for rows whose key part cannot be used as it stands.
    odd: str
    #: Put in order as a number, not as text.
    numeric: bool = False
    #: `ranged` is the column as it stands, so that an index on it can serve.
    bare: bool = False


def parts(rules: Sequence[Rule], session: Session, numbers: Sequence[bool]) -> list[KeyPart]:
    """The key of one side; `numbers` says which parts are whole numbers on both sides. Raises Refused."""
    made: list[KeyPart] = []
    for rule, is_numeric in zip(rules, numbers, strict=True):
        column = session.columns[rule.name]
        folded = rule.fold_case or rule.fold_width or rule.strip_zeros
        if rule.type not in (FieldType.TEXT, FieldType.CODE, FieldType.INTEGER) or folded:
            raise Refused(f"the key {rule.name} is compared in another form than it is written")
        if rule.type is FieldType.INTEGER and not is_numeric:
            raise Refused(f"the key {rule.name} is an integer and its column is {column.kind}")
        made.append(_BUILDERS[session.dialect](column, rule, is_numeric))
    return made


def is_number(session: Session, field: str) -> bool:
    """Whether the column holds whole numbers; without a fixed type the first row decides; all are checked."""
    column = session.columns[field]
    if column.kind is not ColumnKind.DYNAMIC:
        return column.kind is ColumnKind.INTEGER
    first = session.rows(f"SELECT typeof({column.sql}) FROM {session.source} WHERE {column.sql} IS NOT NULL LIMIT 1")
    return not first or first[0][0] == "integer"


def _postgresql(column: Column, rule: Rule, numbers: bool) -> KeyPart:
    c = column.sql
    if numbers:
        return KeyPart(
            text=f"{c}::text", compared=c, ranged=c, literal=str, odd=f"{c} IS NULL", numeric=True, bare=True
        )
    if column.kind in (ColumnKind.INTEGER, ColumnKind.UUID):
        text = f"{c}::text"
        odd = f"{c} IS NULL"
        compared = f'{text} COLLATE "C"'
        return KeyPart(text=text, compared=compared, ranged=compared, literal=_postgresql_literal, odd=odd)
    if column.kind is not ColumnKind.TEXT:
        raise Refused(f"the key {rule.name} is {column.kind}")
    # The first conditions decide for nearly every key and cost next to nothing.
    plain = f"octet_length({c}) = length({c}) AND {c} COLLATE \"C\" >= '!' AND right({c}, 1) COLLATE \"C\" >= '!'"
    exact = f"{c} IS NFC NORMALIZED"
    if rule.trim is not Trim.NONE:
        ends = postgresql.literal(_WHITESPACE)
        exact += f" AND {c} = {'rtrim' if rule.trim is Trim.RIGHT else 'btrim'}({c}, {ends})"
    if rule.empty_is_null:
        exact += f" AND btrim({c}, {postgresql.literal(_WHITESPACE)}) <> ''"
    compared = f'{c} COLLATE "C"'
    return KeyPart(
        text=c,
        compared=compared,
        ranged=c if column.collation in _BY_CODE_POINT else compared,
        bare=column.collation in _BY_CODE_POINT,
        literal=_postgresql_literal,
        odd=f"{c} IS NULL OR NOT (({plain}) OR ({exact}))",
    )


def _postgresql_literal(value: int | str) -> str:
    return postgresql.literal(str(value))


def _mysql(column: Column, rule: Rule, numbers: bool) -> KeyPart:
    c = column.sql
    if numbers:
        return KeyPart(
            text=f"CAST({c} AS CHAR)", compared=c, ranged=c, literal=str, odd=f"{c} IS NULL", numeric=True, bare=True
        )
    if column.kind is ColumnKind.INTEGER:
        text = f"CAST({c} AS CHAR)"
        return KeyPart(
            text=text, compared=f"{text} COLLATE utf8mb4_bin", ranged=text, literal=_mysql_literal, odd=f"{c} IS NULL"
        )
    if column.kind is not ColumnKind.TEXT:
        raise Refused(f"the key {rule.name} is {column.kind}")
    text = mysql.whole_text(column)
    by_bytes = column.collation in {"utf8mb4_bin", "utf8mb4_nopad_bin"}
    compared = c if by_bytes else f"{text} COLLATE utf8mb4_bin"
    classes = "".join(f"\\x{{{ord(first):X}}}-\\x{{{ord(last):X}}}" for first, last in QUIET)
    quiet = mysql.literal(f"^[{classes}]([{classes} ]*[{classes}])?$")
    plain = f"LENGTH({text}) = CHAR_LENGTH({text}) AND ORD({text}) > 32 AND ORD(RIGHT({text}, 1)) > 32"
    # A blank at the end is ignored by comparisons here, so such a key cannot be asked for.
    return KeyPart(
        text=text,
        compared=compared,
        ranged=compared,
        bare=by_bytes,
        literal=_mysql_literal,
        odd=f"{c} IS NULL OR NOT (({plain}) OR {text} REGEXP {quiet})",
    )


def _mysql_literal(value: int | str) -> str:
    return f"{mysql.literal(str(value))} COLLATE utf8mb4_bin"


def _sqlite(column: Column, rule: Rule, numbers: bool) -> KeyPart:  # noqa: ARG001 - every builder takes its rule
    c = column.sql
    if numbers:
        odd = f"typeof({c}) <> 'integer'"
        return KeyPart(text=f"CAST({c} AS TEXT)", compared=c, ranged=c, literal=str, odd=odd, numeric=True, bare=True)
    classes = "".join(f"{first}-{last}" for first, last in QUIET)
    plain = f"length(CAST({c} AS BLOB)) = length({c}) AND unicode({c}) > 32 AND unicode(substr({c}, -1)) > 32"
    quiet = f"{c} NOT GLOB '*[^{classes} ]*' AND unicode({c}) > 32 AND unicode(substr({c}, -1)) > 32"
    return KeyPart(
        text=c,
        compared=f"{c} COLLATE BINARY",
        ranged=c,
        bare=True,
        literal=lambda value: sqlite.literal(str(value)),
        odd=f"(typeof({c}) = 'text' AND (({plain}) OR ({quiet}))) IS NOT TRUE",
    )


_BUILDERS: dict[str, Callable[[Column, Rule, bool], KeyPart]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "sqlite": _sqlite,
}


def below(parts: Sequence[KeyPart], boundary: Key) -> str:
    """Rows whose key stands before `boundary`."""
    part, value = parts[0], boundary[0]
    first = f"{part.compared} < {part.literal(value)}"
    if len(parts) == 1:
        return first
    return f"({first} OR ({part.compared} = {part.literal(value)} AND {below(parts[1:], boundary[1:])}))"


def tree(parts: Sequence[KeyPart], boundaries: Sequence[Key], first: int) -> str:
    """The number of a key's bucket: how many boundaries stand at or before it, counted from `first`."""
    return tree_of(parts, list(enumerate(boundaries, first)), first)


def tree_of(parts: Sequence[KeyPart], marks: Sequence[tuple[int, Key]], before: int) -> str:
    """The same by some boundaries only, each with its number. What stands between two that are not neighbours is taken
    for the bucket behind the first."""
    if not marks:
        return str(before)
    middle = len(marks) // 2
    number, key = marks[middle]
    left = tree_of(parts, marks[:middle], before)
    right = tree_of(parts, marks[middle + 1 :], number + 1)
    return f"CASE WHEN {below(parts, key)} THEN {left} ELSE {right} END"


def within(parts: Sequence[KeyPart], low: Key | None, high: Key | None) -> str:
    """Rows from `low` to before `high`, so that an index on the key's first column serves it. Empty = all rows."""
    conditions: list[str] = []
    lead = parts[0]
    if low is not None:
        conditions.append(f"{lead.ranged} >= {lead.literal(low[0])}")
        if len(parts) > 1:
            conditions.append(f"NOT {below(parts, low)}")
    if high is not None:
        sign = "<" if len(parts) == 1 else "<="
        conditions.append(f"{lead.ranged} {sign} {lead.literal(high[0])}")
        if len(parts) > 1:
            conditions.append(below(parts, high))
    return " AND ".join(conditions)


def runs(buckets: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring buckets as (first, last)."""
    found: list[tuple[int, int]] = []
    start = buckets[0]
    for one, other in pairwise([*buckets, -1]):
        if other != one + 1:
            found.append((start, one))
            start = other
    return found
