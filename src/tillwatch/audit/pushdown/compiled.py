"""One row of one side as SQL: the record that is hashed, and the parts that are matched."""

from collections.abc import Sequence
from dataclasses import dataclass

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.pushdown.elements import Element, any_of
from tillwatch.audit.pushdown.keys import KeyPart


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """One side, ready to be asked."""

    keys: Sequence[KeyPart]
    #: The text of a whole row, or for native hashes the row itself.
    record: str
    odd: str
    native: bool
    #: The key, and what is compared, as texts: parts of a row that is matched and not hashed. NULL where absent.
    lead: Sequence[str] = ()
    body: Sequence[str] = ()


def compiled(
    rules: Sequence[Rule], elements: Sequence[Element], keys: Sequence[KeyPart], dialect: str, *, native: bool
) -> Compiled:
    """Put the columns of one side together."""
    odd = any_of(*(one.odd for one in elements), *(key.odd for key in keys))
    lead = [key.text for key in keys]
    if native:
        record = f"ROW({', '.join([*lead, *(one.native or one.text for one in elements)])})"
        body = [f"hash_record_extended({record}, 0)::text"]
        return Compiled(keys=keys, record=record, odd=odd, native=True, lead=lead, body=body)
    parts = [_counted(key.text, dialect) for key in keys]
    for rule, one in zip(rules, elements, strict=True):
        if rule.type in (FieldType.TEXT, FieldType.CODE):
            parts.append(_counted(one.text, dialect))
        else:
            parts.append(f"COALESCE({joined([one.text, quoted(';')], dialect)}, {quoted('~')})")
    return Compiled(
        keys=keys,
        record=joined(parts, dialect),
        odd=odd,
        native=False,
        lead=lead,
        body=[one.text for one in elements],
    )


def _counted(text: str, dialect: str) -> str:
    """A text behind its length in bytes, so that no text can look like two; NULL looks like no text."""
    length = {
        "postgresql": f"octet_length({text})::text",
        "mysql": f"LENGTH({text})",
        "sqlite": f"length(CAST({text} AS BLOB))",
    }[dialect]
    return f"COALESCE({joined([length, quoted(':'), text], dialect)}, {quoted('~')})"


def joined(texts: Sequence[str], dialect: str) -> str:
    """One text after the other; NULL when one of them is."""
    return f"CONCAT({', '.join(texts)})" if dialect == "mysql" else " || ".join(f"({text})" for text in texts)


def quoted(character: str) -> str:
    """A plain character as a literal."""
    return f"'{character}'"
