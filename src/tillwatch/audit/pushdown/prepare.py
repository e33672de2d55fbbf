"""From two open sessions to two sides that can be asked for the same sums. Raises Refused when they cannot."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.declare import Declared
from tillwatch.audit.pushdown import handshake
from tillwatch.audit.pushdown.compiled import Compiled, compiled
from tillwatch.audit.pushdown.elements import Element, Refused
from tillwatch.audit.pushdown.keys import KeyPart, is_number, parts
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.statements import ASKERS, RULES, Asker
from tillwatch.audit.reading import SIDES
from tillwatch.sources.sql.session import Column, ColumnKind, Session

_UTC = ZoneInfo("UTC")
_OTHER = {"left": "right", "right": "left"}
_TRIAL_TEXTS = ("", "a", "商品", "1:a~0.5000;", "x" * 500)
_TRIAL_ROW = (
    "ROW(1::bigint, 2::int, '商品 a'::text COLLATE \"C\", 1.50::numeric, -0.0::float8, true, date '2026-11-24',"
    " timestamp '2026-11-24 11:00:00.5', timestamptz '2026-11-24 11:00:00+00', NULL::text,"
    " '6f9619ff-8b86-d011-b42d-00cf4fc964ff'::uuid)"
)


def prepare(pair: Pair, declared: Declared, sessions: Both[Session]) -> Both[Asker]:
    """Compile both sides and prove on both servers what was compiled."""
    doing = "agreeing with both servers on how to hash"
    native = is_native(declared, sessions) and _same_hash(pair, doing, sessions)
    whole = pair.both(doing, lambda side: [is_number(sessions.of(side), rule.name) for rule in declared.key])
    numbers = [one and other for one, other in zip(whole.left, whole.right, strict=True)]
    keys = pair.both(doing, lambda side: parts(declared.key, sessions.of(side), numbers))
    columns = Both(left=declared.fields, right=declared.fields) if native else _aligned(declared.fields, sessions)
    elements = pair.both(doing, lambda side: _elements(columns.of(side), sessions.of(side), native=native))
    if native and (odd := _not_alike(declared, elements)):
        raise Refused(odd)
    sides = {
        side: compiled(declared.fields, elements.of(side), keys.of(side), sessions.of(side).dialect, native=native)
        for side in ("left", "right")
    }
    return pair.both(doing, lambda side: _asker(sessions.of(side), sides[side]))


def _aligned(rules: Sequence[Rule], sessions: Both[Session]) -> Both[Sequence[Rule]]:
    """Clocks of one zone on both sides are compared as they stand: that spares moving each of them to UTC."""
    made: dict[str, list[Rule]] = {"left": [], "right": []}
    for rule in rules:
        zones = {side: _zone(sessions.of(side).columns[rule.name], rule) for side in SIDES}
        same = rule.type is FieldType.TIMESTAMP and zones["left"] == zones["right"] != ""
        for side in SIDES:
            columns = sessions.of(side).columns
            column = columns[rule.name]
            other = sessions.of(_OTHER[side]).columns[rule.name]
            if same:
                loose = column.kind is ColumnKind.DYNAMIC and other.kind is not ColumnKind.DYNAMIC
                columns[rule.name] = replace(column, zone=_UTC, loose=loose)
            made[side].append(replace(rule, zone=_UTC) if same else rule)
    return Both(left=made["left"], right=made["right"])


def _zone(column: Column, rule: Rule) -> str:
    """Whose clock the column's times show; empty = they are no times."""
    if column.kind is ColumnKind.DYNAMIC:
        return (column.zone if column.marks_change else rule.zone).key
    return column.zone.key if column.kind in (ColumnKind.LOCAL_TIME, ColumnKind.MOMENT) else ""


def is_native(declared: Declared, sessions: Both[Session]) -> bool:
    """Whether both servers hash a row of their own in the same way: the same engine, major version, types and zones."""
    left, right = sessions.left, sessions.right
    if not left.dialect == right.dialect == "postgresql" or left.major != right.major:
        return False
    return all(_alike(left.columns[rule.name], right.columns[rule.name]) for rule in (*declared.key, *declared.fields))


def _alike(one: Column, other: Column) -> bool:
    return (one.code, one.zone.key, one.marks_change) == (other.code, other.zone.key, other.marks_change) and (
        one.kind not in (ColumnKind.PADDED, ColumnKind.OTHER)
    )


def _elements(rules: Sequence[Rule], session: Session, *, native: bool) -> list[Element]:
    table = RULES[session.dialect]
    if server := handshake.unfit(session):
        raise Refused("PostgreSQL {} with {} lacks what hashing needs".format(*server))
    return handshake.compile_all(table, session, rules, native=native)


def _not_alike(declared: Declared, elements: Both[list[Element]]) -> str:
    """A native hash needs the same columns, or the same texts, on both sides."""
    for rule, one, other in zip(declared.fields, elements.left, elements.right, strict=True):
        if bool(one.native) != bool(other.native):
            return f"{rule.name} is hashed differently on both sides"
    return ""


def _same_hash(pair: Pair, doing: str, sessions: Both[Session]) -> bool:
    """The record hash is promised by nobody, so both servers show theirs of the same row."""
    hashes = pair.both(
        doing, lambda side: sessions.of(side).rows(f"SELECT hash_record_extended({_TRIAL_ROW}, 0)")[0][0]
    )
    return bool(hashes.left == hashes.right)


def _asker(session: Session, side: Compiled) -> Asker:
    kind = ASKERS[session.dialect]
    if not side.native:
        literal = handshake.LITERALS[session.dialect]
        source = "(" + " UNION ALL ".join(f"SELECT {literal(text)} AS c" for text in _TRIAL_TEXTS) + ") AS trial"
        never = KeyPart(text="c", compared="c", ranged="c", literal=lambda value: literal(str(value)), odd="1 = 0")
        trial = Compiled(keys=[never], record="c", odd="", native=False)
        handshake.prove_hash(session, kind(session, trial, source).total().hashes, _TRIAL_TEXTS)
    return kind(session, side)
