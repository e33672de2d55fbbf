"""Buckets as ranges of the key's index, so that a few of them are read without reading the rest.

What is made here is never too narrow: every row of the buckets is in the ranges, and others may be. Who reads them
looks at each row's bucket as well.

MySQL, MariaDB  `key LIKE 'beginning%'` in the column's own collation: characters that are the same are alike in any of
                them, so a case-blind index serves, too
PostgreSQL      the same where an index is ordered by bytes (collation C, or text_pattern_ops); explicit bounds where
                the order is by code point under another name (C.UTF-8). In any other collation keys that begin alike
                need not stand together: only columns that a bucket names whole are narrowed
integers        a range for each number of digits
the rest        nothing narrower is known
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from tillwatch.sources.changes import KEY_SEPARATOR
from tillwatch.sources.sql.collation import POSTGRESQL_ORDER
from tillwatch.sources.sql.options import SqlDataset

#: Ranges in one statement. All of them are looked at for each row that one of them found, so few are faster than many.
MAX_RANGES = 32
#: The largest number a column of whole numbers holds, without a sign where there is such a column.
_INTEGERS = {
    "int2": 2**15, "int4": 2**31, "int8": 2**63 - 1,
    "tinyint": 2**8, "smallint": 2**16, "mediumint": 2**24, "int": 2**32, "bigint": 2**64 - 1,
}  # fmt: skip
_MAX_DIGITS = 20
_TEXTS = {"text", "varchar", "char", "tinytext", "mediumtext", "longtext"}
_BY_BYTES = {"C", "POSIX", "pattern"}
#: These order by code point as C does, yet are not recognised as C for LIKE.
_BY_CODE_POINT = {"C.UTF-8", "C.utf8"}

#: A collation that takes different texts for equal has no LIKE, so nothing is said of its columns.
_POSTGRESQL_COLUMNS = text(
    "SELECT a.attname::text, CASE WHEN c.collisdeterministic IS NOT FALSE THEN t.typname::text ELSE '' END,"
    " CASE WHEN EXISTS (SELECT FROM pg_index i JOIN pg_opclass o ON o.oid = ANY (i.indclass::oid[])"
    " WHERE i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey::int2[]) AND o.opcname LIKE '%pattern_ops')"
    f" THEN 'pattern' ELSE {POSTGRESQL_ORDER} END"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation c ON c.oid = a.attcollation"
    " JOIN pg_database d ON d.datname = current_database()"
    " WHERE a.attrelid = to_regclass(:name) AND a.attnum > 0 AND NOT a.attisdropped"
)
_MYSQL_COLUMNS = text(
    "SELECT COLUMN_NAME, DATA_TYPE, COLLATION_NAME FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :table"
)


@dataclass(frozen=True, kw_only=True)
class KeyColumn:
    """One column of the key, as far as its index goes."""

    #: Quoted, ready for a statement.
    sql: str
    dialect: str
    kind: str = ""
    collation: str = ""

    def equal(self, part: str) -> str:
        """Rows that hold `part` here; empty when nothing can be said."""
        if self.kind in _INTEGERS:
            return f"{self.sql} = {part}" if _is_number(part) else ""
        if self.kind not in _TEXTS:
            return ""
        same = f"{self.sql} = {self._literal(part)}"
        # An absent part is named like an empty one.
        return same if part else f"({same} OR {self.sql} IS NULL)"

    def begins(self, part: str) -> str:
        """Rows that begin with `part` here, where an index can find them; empty when none can."""
        if self.kind in _INTEGERS:
            return self._digits(part)
        if self.kind not in _TEXTS:
            return ""
        if self.dialect == "postgresql" and self.collation in _BY_CODE_POINT:
            behind = _behind(part)
            return f"{self.sql} >= {self._literal(part)} AND {self.sql} < {self._literal(behind)}" if behind else ""
        if self.dialect == "postgresql" and self.collation not in _BY_BYTES:
            return ""
        escaped = part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        return f"{self.sql} LIKE {self._literal(escaped + '%')} ESCAPE '!'"

    def _digits(self, part: str) -> str:
        """Whole numbers whose digits begin with `part`, one range for each length."""
        # Only a column filled up with zeros begins with one, and its numbers are of any length.
        if not _is_number(part) or part.removeprefix("-").startswith("0"):
            return ""
        number, largest = abs(int(part)), _INTEGERS[self.kind]
        ranges = []
        for more in range(_MAX_DIGITS):
            low, high = number * 10**more, min((number + 1) * 10**more - 1, largest)
            if low > largest:
                break
            low, high = (-high, -low) if part.startswith("-") else (low, high)
            ranges.append(f"{self.sql} BETWEEN {low} AND {high}")
        return f"({' OR '.join(ranges)})"

    def _literal(self, value: str) -> str:
        if self.dialect == "postgresql":
            return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
        # By its bytes: what a backslash means depends on a setting of the server.
        return f"_utf8mb4 X'{value.encode('utf-8', 'backslashreplace').hex()}'"


def key_columns(connection: Connection, dataset: SqlDataset, names: Sequence[str]) -> list[KeyColumn]:
    """The columns `names` of a table; of a query nothing is known of them."""
    quote, dialect = connection.dialect.identifier_preparer.quote_identifier, connection.dialect.name
    schema, _, table = dataset.table.rpartition(".")
    known: dict[str, tuple[str, str]] = {}
    if table and dialect == "postgresql":
        where = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
        rows = connection.execute(_POSTGRESQL_COLUMNS, {"name": where}).all()
        known = {name: (kind, collation or "") for name, kind, collation in rows}
    elif table and dialect != "sqlite":
        rows = connection.execute(_MYSQL_COLUMNS, {"schema": schema or None, "table": table}).all()
        known = {str(name): (str(kind), str(collation or "")) for name, kind, collation in rows}
    return [
        KeyColumn(sql=quote(name), dialect=dialect, kind=kind, collation=collation)
        for name in names
        for kind, collation in [known.get(name, ("", ""))]
    ]


def pieces(key: Sequence[KeyColumn], buckets: Collection[str], prefix: int) -> list[tuple[str, list[str]]]:
    """`buckets` in parts for one statement each, neighbours together: a condition that is true for all their rows, and
    their names. Those for which there is no condition (it is empty) stand in one part."""
    ranges: dict[str, list[str]] = {}
    for name in sorted(buckets):
        ranges.setdefault(_range(key, name, prefix), []).append(name)
    rest = ranges.pop("", [])
    made = [("", rest)] if rest else []
    conditions = list(ranges)
    for start in range(0, len(conditions), MAX_RANGES):
        part = conditions[start : start + MAX_RANGES]
        made.append((" OR ".join(f"({one})" for one in part), [name for one in part for name in ranges[one]]))
    return made


def _range(key: Sequence[KeyColumn], name: str, prefix: int) -> str:
    *leading, last = name.split(KEY_SEPARATOR)
    if len(leading) >= len(key):
        # A key holds the separator itself; where its parts end cannot be told.
        return ""
    conditions = [column.equal(part) for column, part in zip(key, leading, strict=False)]
    column = key[len(leading)]
    if len(name) < prefix:
        conditions.append(column.equal(last))
    elif last:
        conditions.append(column.begins(last))
    return " AND ".join(condition for condition in conditions if condition)


def _is_number(part: str) -> bool:
    digits = part.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS


def _behind(part: str) -> str:
    """The least text behind all that begin with `part`, by code point; empty when there is none."""
    last = ord(part[-1]) + 1
    # Surrogates are no characters.
    last = 0xE000 if last == 0xD800 else last
    return part[:-1] + chr(last) if last <= 0x10FFFF else ""
