"""Of another dataset only the rows that belong to a few rows in question, where the database can tell them."""

from collections.abc import Collection
from dataclasses import dataclass

from tillwatch.sources.sql.screening import Screen
from tillwatch.sources.sql.session import ColumnKind
from tillwatch.validation.pushdown.parts import Cell, spaced

#: Rows in question up to which the other dataset is not read whole.
MAX_LINKS = 5_000


@dataclass(frozen=True, kw_only=True)
class Narrow:
    """How to ask. It may give rows too many, never too few: keys we hold as one and the database does not come too."""

    #: The columns to read, ready to be put in.
    columns: tuple[str, ...]
    #: The first part of what a row is looked up by.
    first: Cell
    source: str

    def screen(self, firsts: Collection[str | None]) -> Screen:
        """Rows whose first part is one of `firsts`, which are texts without spaces around them."""
        c, dialect = self.first.sql, self.first.dialect
        text, odd = c, ""
        if self.first.kind is ColumnKind.DYNAMIC:
            # No statement may hold a NUL, so keys with one all come.
            odd = f" OR typeof({c}) NOT IN ('text', 'integer') OR length(CAST({c} AS BLOB)) <> length({c})"
            text = f"CAST({c} AS TEXT)"
        elif self.first.kind is not ColumnKind.TEXT:
            text = f"CAST({c} AS {'char' if dialect == 'mysql' else 'text'})"
        if self.first.kind in {ColumnKind.TEXT, ColumnKind.DYNAMIC}:
            odd += f" OR {spaced(self.first)}"
        wanted = self.first.any_of(
            tuple(sorted({first for first in firsts if first is not None and "\0" not in first})) or ("",)
        )
        where = f"{c} IS NULL OR {text} IN ({wanted}){odd}"
        return Screen(statement=f"SELECT {', '.join(self.columns)} FROM {self.source} WHERE {where}")
