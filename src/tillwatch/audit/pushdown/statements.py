"""The SELECTs of one side: sums over everything, sums by range of the key, and lists of single hashes."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from tillwatch.audit.pushdown import mysql, postgresql, sqlite
from tillwatch.audit.pushdown.compiled import Compiled, quoted
from tillwatch.audit.pushdown.elements import Refused, Table
from tillwatch.audit.pushdown.keys import Key, runs, tree, tree_of, within
from tillwatch.sources.sql.session import Session

#: Between the items of a list, between the parts of a key, and before the hash. A key that holds one of them makes the
#: list come out wrong, which is counted.
_ITEM, _PART, _HASH = "\x1f", "\x1d", "\x1e"
_ODD = "?"
#: Bits of one slice of an MD5, and hexadecimal digits of both.
_SLICE_BITS = 60
_HEX_DIGITS = 30
#: With more separate ranges in one statement looking at every row is cheaper, although an index serves them.
_MAX_RUNS = 500
#: The same where no index does: then each row is held against one range after the other.
_MAX_RUNS_UNSERVED = 4
#: Share of boundaries that begin otherwise than all others, for ranges of the key's first column to be narrow.
_MIN_DISTINCT = 0.5

RULES: dict[str, Table] = {"postgresql": postgresql.RULES, "mysql": mysql.RULES, "sqlite": sqlite.RULES}


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What a side says of a range of rows. Two sides agree on a range when these are equal and `odd` is 0 on both."""

    rows: int = 0
    #: Sum of the hashes of all rows that are not odd: of 64 bits, or of both slices of an MD5 one above the other.
    hashes: int = 0
    #: Rows with a value the hash does not stand for, or with a key that cannot be used.
    odd: int = 0


EMPTY = Sums()


class Asker(ABC):
    """Asks one side. Buckets are numbered by how many boundaries stand at or before a key."""

    def __init__(self, session: Session, side: Compiled, source: str = "") -> None:
        """`source` instead of the session's dataset, for trials."""
        self.session = session
        self.side = side
        self.source = source or session.source

    def total(self) -> Sums:
        """One pass over everything."""
        return self.grouped([], None).get(0, EMPTY)

    @abstractmethod
    def grouped(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> dict[int, Sums]:
        """Sums by bucket; None = of all buckets, in one pass."""

    def named(self, group: str, where: str) -> dict[str, Sums]:  # noqa: ARG002 - of those that can
        """Sums by what the expression `group` gives, over the rows of `where` (empty = all)."""
        raise Refused(f"{self.session.product} does not group by names")

    def items(self, where: str) -> list[str]:  # noqa: ARG002 - of those that can
        """As `listed`, of all rows of `where`."""
        raise Refused(f"{self.session.product} does not list by conditions")

    @abstractmethod
    def listed(self, boundaries: Sequence[Key], buckets: Sequence[int]) -> dict[int, list[str]]:
        """Of each row in these buckets an item: its key and its hash."""

    @abstractmethod
    def sample(self, share: float, pages: int) -> list[Key]:
        """Some keys from all over: about `share` of them, or about `pages`, whatever is cheaper to get."""

    def keyless(self, *, absent: bool = False) -> int:
        """How many keys cannot be used: absent, or (unless only these are asked for, which an index answers) written
        differently from how they are compared."""
        odd = " OR ".join(f"({key.compared} IS NULL)" if absent else f"({key.odd})" for key in self.side.keys)
        return int(self.session.rows(f"SELECT COUNT(*) FROM {self.source} WHERE {odd}")[0][0])

    def repeated(self) -> int:
        """How many keys stand there more than once."""
        keys = ", ".join(part.compared for part in self.side.keys)
        return int(
            self.session.rows(
                f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {self.source} GROUP BY {keys}"
                " HAVING COUNT(*) > 1) AS repeated"
            )[0][0]
        )

    def served(self, boundaries: Sequence[Key]) -> bool:
        """Whether an index can serve ranges between `boundaries`: the first column of the key tells them apart, and is
        compared as it stands."""
        first = {key[0] for key in boundaries}
        return self.side.keys[0].bare and len(first) >= _MIN_DISTINCT * len(boundaries)

    def _where(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> str:
        if buckets is None:
            return ""
        ranges = runs(buckets)
        if len(ranges) > _MAX_RUNS or (len(ranges) > _MAX_RUNS_UNSERVED and not self.served(boundaries)):
            # Every row is looked at, so once, by halving, and not by one range after the other.
            return f" WHERE {self._bucket(boundaries, buckets)} IN ({', '.join(map(str, buckets))})"
        conditions = []
        for first, last in ranges:
            low = boundaries[first - 1] if first else None
            high = boundaries[last] if last < len(boundaries) else None
            conditions.append(within(self.side.keys, low, high))
        return "" if "" in conditions else f" WHERE {' OR '.join(f'({one})' for one in conditions)}"

    def _bucket(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> str:
        if buckets is None:
            return tree(self.side.keys, boundaries, 0)
        # Only by the boundaries round the buckets asked for; rows elsewhere get the number of none of them.
        needed = sorted(
            {
                number
                for first, last in runs(buckets)
                for number in range(max(0, first - 1), min(last + 1, len(boundaries)))
            }
        )
        return tree_of(self.side.keys, [(number, boundaries[number]) for number in needed], needed[0] if needed else 0)

    def _select(self, columns: str, buckets: Sequence[int] | None, boundaries: Sequence[Key]) -> str:
        return f"SELECT {columns} FROM {self.source}{self._where(boundaries, buckets)}"

    def _keys(self, rows: Iterable[Sequence[Any]]) -> list[Key]:
        return [tuple(row) for row in rows if None not in row]


class Postgresql(Asker):
    """Hashes a row with the server's own record hash (native) or with MD5."""

    def grouped(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> dict[int, Sums]:
        where, group = self._where(boundaries, buckets), self._bucket(boundaries, buckets)
        found = self._sums(group, where, "g" if boundaries else "0", _grouping(boundaries))
        return {int(g): sums for g, sums in found.items()}

    def named(self, group: str, where: str) -> dict[str, Sums]:
        return self._sums(group, f" WHERE {where}" if where else "", "g", " GROUP BY g")

    def _sums(self, group: str, where: str, g: str, grouping: str) -> dict[Any, Sums]:
        side = self.side
        hashed = f"hash_record_extended({side.record}, 0)" if side.native else f"('x' || md5({side.record}))::bit(120)"
        hashed = _unless_odd(side, hashed, "NULL")
        # OFFSET 0 keeps the hash from being computed once for each time it is named.
        inner = f"SELECT {group} AS g, {hashed} AS x FROM {self.source}{where} OFFSET 0"
        sums = "sum(x), 0" if side.native else f"sum(x::bit(60)::bigint), sum((x << {_SLICE_BITS})::bit(60)::bigint)"
        statement = f"SELECT {g}, count(*), {sums}, count(x) FROM ({inner}) AS s{grouping}"
        return {
            g: Sums(rows=rows, hashes=_sum(high, low, native=side.native), odd=rows - sane)
            for g, rows, high, low, sane in self.session.rows(statement)
        }

    def items(self, where: str) -> list[str]:
        side = self.side
        hashed = f"hash_record_extended({side.record}, 0)::text" if side.native else f"left(md5({side.record}), 30)"
        key = f" || E'{_PART}' || ".join(part.text for part in side.keys)
        item = f"{key} || E'{_HASH}' || {_unless_odd(side, hashed, quoted(_ODD))}"
        rows = self.session.rows(f"SELECT {item} FROM {self.source} WHERE {where}")
        return _whole([row[0] for row in rows])

    def listed(self, boundaries: Sequence[Key], buckets: Sequence[int]) -> dict[int, list[str]]:
        side = self.side
        hashed = f"hash_record_extended({side.record}, 0)::text" if side.native else f"left(md5({side.record}), 30)"
        hashed = _unless_odd(side, hashed, f"'{_ODD}'")
        key = f" || E'{_PART}' || ".join(part.text for part in side.keys)
        group = self._bucket(boundaries, buckets)
        inner = self._select(f"{group} AS g, {key} || E'{_HASH}' || {hashed} AS i", buckets, boundaries)
        found = self.session.rows(f"SELECT g, string_agg(i, E'{_ITEM}'), count(i) FROM ({inner}) AS s GROUP BY g")
        return {int(g): _items(items, count) for g, items, count in found if count}

    def sample(self, share: float, pages: int) -> list[Key]:
        keys = ", ".join(part.compared for part in self.side.keys)
        source = self.source
        if self.session.is_table:
            counted = self.session.rows(f"SELECT relpages FROM pg_class WHERE oid = '{source}'::regclass")
            if (there := int(counted[0][0] or 0)) > pages:
                # The first row of a page each: keys of one page stand close together and are no better than one.
                percent = min(100.0, 100.0 * pages / there)
                sample = f"TABLESAMPLE SYSTEM ({percent:.4f}) WHERE ctid::text LIKE '%,1)'"
                return self._keys(self.session.rows(f"SELECT {keys} FROM {source} {sample}"))
        return self._keys(self.session.rows(f"SELECT {keys} FROM {source} WHERE random() < {share:.6f}"))


class Mysql(Asker):
    """MD5 only: the server has no other hash that others have too and that is good enough."""

    def grouped(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> dict[int, Sums]:
        where, group = self._where(boundaries, buckets), self._bucket(boundaries, buckets)
        found = self._sums(group, where + (" GROUP BY g" if boundaries else " HAVING COUNT(*) > 0"))
        return {int(g): sums for g, sums in found.items()}

    def named(self, group: str, where: str) -> dict[str, Sums]:
        found = self._sums(group, (f" WHERE {where}" if where else "") + " GROUP BY g")
        return {_decoded(g): sums for g, sums in found.items()}

    def _sums(self, group: str, rest: str) -> dict[Any, Sums]:
        hashed = self._hashed()
        # The hash is kept in a variable of the session: named twice it would be computed twice.
        columns = (
            f"{group} AS g, COUNT(*), COUNT(@tillwatch_hash := {hashed}),"
            " SUM(CAST(CONV(LEFT(@tillwatch_hash, 15), 16, 10) AS UNSIGNED)),"
            f" SUM(CAST(CONV(SUBSTRING(@tillwatch_hash, 16, 15), 16, 10) AS UNSIGNED))"
        )
        return {
            g: Sums(rows=rows, hashes=_sum(high, low, native=False), odd=rows - sane)
            for g, rows, sane, high, low in self.session.rows(f"SELECT {columns} FROM {self.source}{rest}")
        }

    def items(self, where: str) -> list[str]:
        rows = self.session.rows(f"SELECT {self._item()} FROM {self.source} WHERE {where}")
        return _whole([row[0] for row in rows])

    def listed(self, boundaries: Sequence[Key], buckets: Sequence[int]) -> dict[int, list[str]]:
        item = self._item()
        columns = f"{self._bucket(boundaries, buckets)} AS g, GROUP_CONCAT({item} SEPARATOR '{_ITEM}'), COUNT({item})"
        found = self.session.rows(self._select(columns, buckets, boundaries) + " GROUP BY g")
        return {int(g): _items(_decoded(items), count) for g, items, count in found if count}

    def _item(self) -> str:
        key = f", X'{_PART.encode().hex()}', ".join(part.text for part in self.side.keys)
        return f"CONCAT({key}, X'{_HASH.encode().hex()}', COALESCE(LEFT({self._hashed()}, {_HEX_DIGITS}), '{_ODD}'))"

    def sample(self, share: float, pages: int) -> list[Key]:  # noqa: ARG002 - this engine samples rows, not pages
        keys = ", ".join(part.compared for part in self.side.keys)
        return self._keys(self.session.rows(f"SELECT {keys} FROM {self.source} WHERE RAND() < {share:.6f}"))

    def _hashed(self) -> str:
        return _unless_odd(self.side, f"MD5({self.side.record})", "NULL")


class Sqlite(Asker):
    """The file is read in this process, so the buckets and the hashes are ours; only the texts are SQLite's."""

    def grouped(self, boundaries: Sequence[Key], buckets: Sequence[int] | None) -> dict[int, Sums]:
        found: dict[int, list[int]] = {}
        self.session.teach("tillwatch_sums", 1 + len(self.side.keys), _summing(boundaries, found))
        record = (
            f"CASE WHEN {self.side.odd} THEN NULL ELSE {self.side.record} END" if self.side.odd else self.side.record
        )
        keys = ", ".join(part.compared for part in self.side.keys)
        self.session.rows(self._select(f"tillwatch_sums({record}, {keys})", buckets, boundaries))
        return {
            bucket: Sums(rows=rows, hashes=hashes, odd=odd)
            for bucket, (rows, hashes, odd) in found.items()
            if buckets is None or bucket in set(buckets)
        }

    def listed(self, boundaries: Sequence[Key], buckets: Sequence[int]) -> dict[int, list[str]]:
        hashed = f"substr(md5({self.side.record}), 1, {_HEX_DIGITS})"
        hashed = _unless_odd(self.side, hashed, f"'{_ODD}'")
        keys = ", ".join(part.compared for part in self.side.keys)
        wanted = set(buckets)
        found: dict[int, list[str]] = {}
        for *key, digest in self.session.rows(self._select(f"{keys}, {hashed}", buckets, boundaries)):
            if None in key:
                continue
            bucket = bisect_right(boundaries, tuple(key))
            if bucket in wanted:
                found.setdefault(bucket, []).append(_PART.join(map(str, key)) + _HASH + str(digest))
        return found

    def sample(self, share: float, pages: int) -> list[Key]:  # noqa: ARG002 - this engine samples rows, not pages
        keys = ", ".join(part.compared for part in self.side.keys)
        step = max(1, round(1 / share))
        return self._keys(self.session.rows(f"SELECT {keys} FROM {self.source} WHERE random() % {step} = 0"))


def _summing(boundaries: Sequence[Key], found: dict[int, list[int]]) -> type:
    """An aggregate that sums hashes by bucket into `found`: rows, hashes, odd."""

    class Summing:
        def step(self, record: str | None, *key: Any) -> None:
            try:
                bucket = bisect_right(boundaries, key)
            except TypeError:
                # A key that cannot be put in order is odd, so its row is counted as such and the keys are looked at.
                bucket = 0
            sums = found.get(bucket)
            if sums is None:
                sums = found[bucket] = [0, 0, 0]
            sums[0] += 1
            if record is None:
                sums[2] += 1
            else:
                sums[1] += int.from_bytes(md5(record.encode(), usedforsecurity=False).digest()[:15], "big")

        def finalize(self) -> int:
            return len(found)

    return Summing


ASKERS: dict[str, type[Asker]] = {"postgresql": Postgresql, "mysql": Mysql, "sqlite": Sqlite}


def _unless_odd(side: Compiled, expression: str, otherwise: str) -> str:
    return f"CASE WHEN {side.odd} THEN {otherwise} ELSE {expression} END" if side.odd else expression


def _grouping(boundaries: Sequence[Key]) -> str:
    """Grouping costs as much as hashing, so not for a single group; and no rows are no group either way."""
    return " GROUP BY g" if boundaries else " HAVING COUNT(*) > 0"


def _sum(high: Any, low: Any, *, native: bool) -> int:
    # Of the same rows in the same engine the sums are equal as they are; nothing is lost to a modulus.
    return int(high or 0) if native else (int(high or 0) << _SLICE_BITS) + int(low or 0)


def _decoded(items: str | bytes) -> str:
    return items.decode() if isinstance(items, bytes) else items


def _items(listed: str, count: int) -> list[str]:
    """Raises Refused when there are more or fewer than the server counted: a key holds what separates items, or the
    list was cut off."""
    items = listed.split(_ITEM)
    if len(items) != count:
        raise Refused("a list of hashes came out wrong; a key may hold control characters")
    return items


def _whole(items: list[str | bytes | None]) -> list[str]:
    """Raises Refused for a row without a key, which no item stands for."""
    if None in items:
        raise Refused("a row has no key")
    return [_decoded(item) for item in items if item is not None]


def split(item: str) -> tuple[str, ...] | None:
    """The parts of the key of a listed item; None when the key holds what separates items."""
    key, separator, digest = item.rpartition(_HASH)
    if not separator or not digest or _HASH in key:
        return None
    return tuple(key.split(_PART))


def is_odd(item: str) -> bool:
    return item.endswith(_HASH + _ODD)
