"""What changed in a dataset, as the database itself can tell: fingerprints of buckets of rows.

PostgreSQL table        count and sum of a hash of xmin, the transaction that wrote the row: every write is seen, also
                        one that leaves every column as it was. VACUUM FULL or a restore may change it, harmlessly.
PostgreSQL view, query  count and sum of a hash of the columns read
MySQL, MariaDB          count and sum of 60 bits of the MD5 of the columns read; a sum shows what XOR hides
SQLite                  the same with BLAKE2 in this process, for SQLite has no hash function
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    collate,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from tillwatch.errors import SchemaMismatch
from tillwatch.model.proof import Mark
from tillwatch.model.text import Text as Words
from tillwatch.sources.changes import KEY_SEPARATOR, ChangeSupport, Slices
from tillwatch.sources.sql import slicing, statement, values
from tillwatch.sources.sql.database import Database, Relation
from tillwatch.sources.sql.options import SqlDataset

#: Sums are kept in 64 bits.
_MODULUS = 2**64
#: 60 bits of an MD5: the sum of ten million of them is exact in every server.
_MD5_DIGITS = 15
#: Rows fetched at once where they are hashed here.
_FETCH_ROWS = 2_000
MYSQL = frozenset({"mysql", "mariadb"})
_SQLITE_DICE = 1_000_000
_WITH_ZONE = "%Y-%m-%dT%H:%M:%f+00:00"
_WITHOUT_ZONE = "%Y-%m-%dT%H:%M:%f"

_ROW_VERSIONS: Words = {"en": "row versions (xmin)", "zh": "行版本（xmin）"}
_CONTENT: Words = {"en": "a hash of the columns", "zh": "列内容的哈希"}

#: Of the cluster and its timeline: after a restore to an earlier moment transaction numbers are given out again.
_CLUSTER = text(
    "SELECT (SELECT system_identifier FROM pg_control_system())::text,"
    " CASE WHEN pg_is_in_recovery() THEN to_hex((SELECT timeline_id FROM pg_control_checkpoint()))"
    " ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
)
#: A table whose rows all lie here: a foreign table or partition has no row versions of its own.
_TABLE = text(
    "SELECT c.oid::text FROM pg_class c WHERE c.oid = to_regclass(:name) AND c.relkind IN ('r', 'm', 'p')"
    " AND NOT EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid"
    " WHERE p.relkind = 'f')"
)


class SqlChanges:
    """Fingerprints of the datasets of one database."""

    def __init__(self, database: Database, dataset: Callable[[str], SqlDataset]) -> None:
        self._database = database
        self._dataset = dataset

    def support(self, name: str, fields: Sequence[str], *, count: bool) -> ChangeSupport:
        dataset = self._dataset(name)
        with self._database.connection() as connection:
            relation = self._relation(connection, name, fields)
            rows = None
            if count:
                rows = int(connection.execute(select(func.count()).select_from(relation.source)).scalar_one())
            versions = row_versions(connection, dataset)
            return ChangeSupport(
                basis=f"{versions or 'content'}:{_shape(dataset, fields)}",
                made_from=_ROW_VERSIONS if versions else _CONTENT,
                change_field=relation.change_field(dataset.change_field),
                rows=rows,
            )

    def sample_keys(self, name: str, key: Sequence[str], *, share: float) -> list[str]:
        with self._database.connection() as connection:
            relation = self._relation(connection, name, key)
            found = key_text(connection.dialect.name, relation, key)
            query = select(found).select_from(relation.source)
            if share < 1:
                query = query.where(_picked(connection.dialect.name, share))
            return [_name(row[0]) for row in connection.execute(query)]

    def fingerprints(self, name: str, fields: Sequence[str], slices: Slices) -> dict[str, Mark]:
        dataset = self._dataset(name)
        with self._database.connection() as connection:
            relation = self._relation(connection, name, [*fields, *slices.key])
            dialect = connection.dialect.name
            bucket = bucket_name(dialect, relation, slices)
            if dialect == "sqlite":
                return _hashed_here(connection, relation, fields, bucket)
            versions = row_versions(connection, dataset)
            query = grouped(dialect, relation, fields, bucket, versions=bool(versions))
            options = {"stream_results": True, "yield_per": _FETCH_ROWS}
            with connection.execute(query, execution_options=options) as result:
                return {
                    _name(row[0]): Mark(rows=int(row[1]), fingerprint=int(row[2] or 0) % _MODULUS)
                    for part in result.partitions()
                    for row in part
                }

    def newest_change(self, name: str, *, until: datetime) -> datetime | None:
        dataset = self._dataset(name)
        with self._database.connection() as connection:
            relation = self._relation(connection, name, [dataset.change_field])
            mark, zone = relation.columns[dataset.change_field], relation.zones[dataset.change_field]
            dialect = connection.dialect.name
            aware = dialect == "postgresql" and dataset.change_field in relation.moments
            later = statement.changed_since(mark, until, dialect=dialect, zone=zone, stored_aware=aware)
            found = []
            for newest in _comparable(dialect, mark):
                query = select(newest).select_from(relation.source).where(not_(later), mark.is_not(None))
                # Asked for the greatest, MariaDB reads the whole index; asked for the last, one entry.
                query = query.order_by(newest.desc()).limit(1)
                moment = values.moment(values.canonical(connection.execute(query).scalar(), zone), zone)
                if isinstance(moment, datetime):
                    found.append(moment)
            return max(found, default=None)

    def _relation(self, connection: Connection, name: str, fields: Sequence[str]) -> Relation:
        relation = self._database.relation(connection, name, self._dataset(name))
        if absent := [field for field in fields if field not in relation.columns]:
            raise SchemaMismatch(f"dataset {name!r} has no field {', '.join(map(repr, absent))}")
        return relation


def row_versions(connection: Connection, dataset: SqlDataset) -> str:
    """What the row versions of `dataset` belong to; empty when they cannot be asked for."""
    if connection.dialect.name != "postgresql" or not dataset.table:
        return ""
    quote = connection.dialect.identifier_preparer.quote_identifier
    schema, _, table = dataset.table.rpartition(".")
    name = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    try:
        with connection.begin_nested():
            cluster, timeline = connection.execute(_CLUSTER).one()
            table_id = connection.execute(_TABLE, {"name": name}).scalar_one_or_none()
    except DBAPIError:
        # Some services do not let us ask; the columns can always be hashed.
        return ""
    return f"xmin:{cluster}:{timeline}:{table_id}" if table_id else ""


def key_text(dialect: str, relation: Relation, key: Sequence[str]) -> ColumnElement[Any]:
    """The key as text, character for character the same in every database that writes its parts the same."""
    # MySQL casts to CHAR only, and a column may have another character set than the connection.
    kind = mysql.CHAR(charset="utf8mb4") if dialect in MYSQL else Text()
    parts: list[ColumnElement[Any]] = [func.coalesce(cast(relation.columns[name], kind), "") for name in key]
    if dialect in MYSQL:
        # Columns of two collations are not joined by it otherwise.
        parts = [collate(part, "utf8mb4_bin") for part in parts]
    if len(parts) == 1:
        return parts[0]
    if dialect != "sqlite":
        return func.concat_ws(KEY_SEPARATOR, *parts)
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.op("||")(literal(KEY_SEPARATOR)).op("||")(part)
    return joined


def bucket_name(dialect: str, relation: Relation, slices: Slices) -> ColumnElement[Any]:
    """The first characters of the key, to be compared byte by byte whatever the column's collation says."""
    text = key_text(dialect, relation, slices.key)
    if dialect == "sqlite":
        return collate(func.substr(text, 1, slices.prefix), "BINARY")
    beginning = func.left(text, slices.prefix)
    return cast(beginning, LargeBinary) if dialect in MYSQL else collate(beginning, "C")


def grouped(
    dialect: str, relation: Relation, fields: Sequence[str], bucket: ColumnElement[Any], *, versions: bool
) -> Select[Any]:
    """Rows and fingerprint of each bucket, in one pass over the table."""
    columns = [relation.columns[name] for name in fields]
    value: ColumnElement[Any]
    if dialect == "postgresql":
        seen = cast(literal_column("xmin"), Text) if versions else cast(func.row(*columns), Text)
        value = func.hashtextextended(seen, 0)
    else:
        # QUOTE tells NULL from every text and a comma in a text from one between two.
        # No CRC: two rows that swap values of one length often leave the sum of theirs as it was.
        text = func.concat_ws(",", *(cast(func.quote(column), LargeBinary) for column in columns))
        digits = func.conv(func.left(func.md5(text), _MD5_DIGITS), 16, 10)
        value = cast(digits, mysql.INTEGER(unsigned=True))
    return select(bucket.label("bucket"), func.count(), func.sum(value)).select_from(relation.source).group_by("bucket")


def in_slices(
    connection: Connection, dataset: SqlDataset, relation: Relation, slices: Slices
) -> list[ColumnElement[bool]]:
    """Conditions whose rows together are those of these buckets, each row in one; an index serves them where it can."""
    key = slicing.key_columns(connection, dataset, [str(relation.columns[name].key) for name in slices.key])
    return [
        and_(literal_column(f"({where})", Boolean()), exact) if where else exact
        for where, names in slicing.pieces(key, slices.buckets, slices.prefix)
        for exact in [_named(connection.dialect.name, relation, slices, names)]
    ]


def _named(dialect: str, relation: Relation, slices: Slices, wanted: list[str]) -> ColumnElement[bool]:
    """Rows of these buckets, however many they are: one parameter, not one a bucket."""
    name = bucket_name(dialect, relation, slices)
    if dialect == "sqlite":
        each = func.json_each(bindparam(None, json.dumps(wanted))).table_valued("value")
        return name.in_(select(each.c.value))
    if dialect == "postgresql":
        return name == any_(cast(bindparam(None, wanted, type_=ARRAY(Text)), ARRAY(Text)))
    return name.in_([bucket.encode() for bucket in wanted])


def _hashed_here(
    connection: Connection, relation: Relation, fields: Sequence[str], bucket: ColumnElement[Any]
) -> dict[str, Mark]:
    rows: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    query = select(bucket, *(relation.columns[name] for name in fields)).select_from(relation.source)
    options = {"stream_results": True, "yield_per": _FETCH_ROWS}
    with connection.execute(query, execution_options=options) as result:
        for part in result.partitions():
            for name, *cells in part:
                rows[name] += 1
                digest = hashlib.blake2b(repr(cells).encode("utf-8", "backslashreplace"), digest_size=8).digest()
                sums[name] += int.from_bytes(digest, "big")
    return {name: Mark(rows=count, fingerprint=sums[name] % _MODULUS) for name, count in rows.items()}


def _picked(dialect: str, share: float) -> ColumnElement[bool]:
    if dialect == "sqlite":
        return func.abs(func.random() % _SQLITE_DICE) < int(share * _SQLITE_DICE)
    return (func.rand() if dialect in MYSQL else func.random()) < share


def _comparable(dialect: str, mark: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """The change field in forms whose greatest is the newest: SQLite may hold text in two spellings, and numbers."""
    if dialect != "sqlite":
        return [mark]
    numeric = func.typeof(mark).in_(["integer", "real"])
    with_offset = statement.has_offset(mark)
    in_utc = case(
        (numeric, func.strftime(_WITH_ZONE, mark, "unixepoch")), (with_offset, func.strftime(_WITH_ZONE, mark))
    )
    local = case((not_(or_(numeric, with_offset)), func.strftime(_WITHOUT_ZONE, mark)))
    return [in_utc, local]


def _name(value: object) -> str:
    return bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray) else str(value)


def _shape(dataset: SqlDataset, fields: Sequence[str]) -> str:
    """Of what is read: another table, query or mapping has other fingerprints."""
    described = json.dumps([dataset.model_dump(mode="json"), list(fields)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
