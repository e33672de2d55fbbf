"""What every condition is made of: columns by name, literals of a dialect, and a refusal with its reason."""

from dataclasses import dataclass

from tillwatch.audit.pushdown.handshake import LITERALS
from tillwatch.audit.pushdown.sqlite import ascii_only
from tillwatch.model.text import Text
from tillwatch.sources.sql.session import Column, ColumnKind

#: All that `str.strip` takes away.
SPACES = tuple(chr(code) for code in range(0x3001) if chr(code).isspace())
TEXTS = frozenset({ColumnKind.TEXT, ColumnKind.PADDED})
EXACT = frozenset({ColumnKind.INTEGER, ColumnKind.DECIMAL})
TIMES = frozenset({ColumnKind.DATE, ColumnKind.LOCAL_TIME, ColumnKind.MOMENT})


class Unpushable(Exception):
    """A rule the database cannot decide; `why` says so in half a sentence, by language."""

    def __init__(self, why: Text) -> None:
        super().__init__(why["en"])
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One column in a statement."""

    #: How the statement calls it, ready to be put in.
    sql: str
    column: Column
    #: sqlite | postgresql | mysql
    dialect: str

    @property
    def kind(self) -> ColumnKind:
        return self.column.kind

    def literal(self, text: str) -> str:
        return LITERALS[self.dialect](text)

    def any_of(self, texts: tuple[str, ...]) -> str:
        return ", ".join(map(self.literal, texts))

    def refuse(self) -> Unpushable:
        kind = self.kind
        return Unpushable({"en": f"{self.dialect} holds it as {kind}", "zh": f"{self.dialect} 中的列类型为 {kind}"})

    def only(self, kinds: frozenset[ColumnKind]) -> None:
        """Raises Unpushable for a column of another kind, or one whose text the source reads as a moment."""
        if self.kind not in kinds or (self.column.marks_change and self.kind not in TIMES):
            raise self.refuse()


def both(*conditions: str) -> str:
    """All of them."""
    return " AND ".join(f"({condition})" for condition in conditions if condition) or "1 = 1"


def unless_null(cell: Cell, condition: str) -> str:
    return f"{cell.sql} IS NULL OR ({condition})"


def plain_text(cell: Cell) -> str:
    """SQLite: text that its own functions read to the end."""
    return f"typeof({cell.sql}) = 'text' AND {ascii_only(cell.sql)}"


def spaced(cell: Cell) -> str:
    """Text that begins or ends with a space: for us the same as without it, for the database another one."""
    spaces = cell.any_of(SPACES)
    last = f"right({cell.sql}, 1)" if cell.dialect == "postgresql" else f"substr({cell.sql}, -1, 1)"
    return f"substr({cell.sql}, 1, 1) IN ({spaces}) OR {last} IN ({spaces})"
