"""The last good state of each audit: written with the report of the run that proved it, in one transaction."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from tillwatch.model.proof import Bucket, Mark, Proof, SideProof
from tillwatch.store.tables.audits import audit_buckets, audit_proofs

#: Buckets in one row of the store.
BUCKETS_IN_PAGE = 512

#: Gives a connection for reading.
Reader = Callable[[], AbstractContextManager[Connection]]


class StoredBuckets(Mapping[str, Bucket]):
    """Read when they are first looked at: a run that asks only for changed rows never does, and a large table has tens
    of thousands."""

    def __init__(self, fetch: Callable[[], dict[str, Bucket]]) -> None:
        self._fetch = fetch

    @cached_property
    def _all(self) -> dict[str, Bucket]:
        return self._fetch()

    def __getitem__(self, name: str) -> Bucket:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def load(connection: Connection, audit: str, *, later: Reader | None = None) -> Proof | None:
    """What the last proven run of `audit` left; None when there was none. With `later`, which gives a connection, the
    buckets are read when they are needed; when another run has replaced them by then there are none."""
    row = connection.execute(select(audit_proofs).where(audit_proofs.c.audit == audit)).mappings().first()
    if row is None:
        return None
    run = int(row["run"])
    buckets = _buckets(connection, audit) if later is None else StoredBuckets(lambda: _of_run(later, audit, run))
    return Proof(
        audit=audit,
        run=row["run"],
        signature=row["signature"],
        proven_at=row["proven_at"],
        full_at=row["full_at"],
        swept_at=row["swept_at"],
        deltas=row["deltas"],
        left=_side(row["left"]),
        right=_side(row["right"]),
        exact_keys=row["exact_keys"],
        prefix=row["prefix"],
        buckets=buckets,
        known=None if row["known"] is None else tuple(row["known"]),
        unfinished_since=row["unfinished_since"],
    )


def save(connection: Connection, proof: Proof, *, base: Proof | None) -> None:
    """Keep `proof`, made from `base`, in place of the one before. Buckets that did not change are not written."""
    stored = connection.execute(select(audit_proofs).where(audit_proofs.c.audit == proof.audit)).mappings().first()
    grown_from = base if base is not None and stored is not None and stored["run"] == base.run else None
    pages = stored["pages"] if grown_from is not None and stored is not None else _pages(proof)
    same = grown_from is not None and proof.buckets is grown_from.buckets
    if not same and pages * 4 * BUCKETS_IN_PAGE < len(proof.buckets):
        grown_from, pages = None, _pages(proof)
    values = {
        "run": proof.run,
        "signature": proof.signature,
        "proven_at": proof.proven_at,
        "full_at": proof.full_at,
        "swept_at": proof.swept_at,
        "deltas": proof.deltas,
        "left": _document(proof.left),
        "right": _document(proof.right),
        "exact_keys": proof.exact_keys,
        "prefix": proof.prefix,
        "known": None if proof.known is None else [dict(key) for key in proof.known],
        "unfinished_since": proof.unfinished_since,
        "pages": pages,
    }
    if not same:
        values["oldest_verified_at"] = proof.oldest_verified_at
    if stored is None:
        connection.execute(insert(audit_proofs).values(audit=proof.audit, **values))
    else:
        connection.execute(update(audit_proofs).where(audit_proofs.c.audit == proof.audit).values(values))
    if same:
        return
    if grown_from is None:
        connection.execute(delete(audit_buckets).where(audit_buckets.c.audit == proof.audit))
    _write_pages(connection, proof, {} if grown_from is None else grown_from.buckets, pages)


def oldest_verified(connection: Connection) -> dict[str, datetime]:
    """For each audit since when some of its rows have not been looked at."""
    query = select(audit_proofs.c.audit, audit_proofs.c.oldest_verified_at)
    return {row.audit: row.oldest_verified_at for row in connection.execute(query)}


def _buckets(connection: Connection, audit: str) -> dict[str, Bucket]:
    found: dict[str, Bucket] = {}
    for page in connection.execute(select(audit_buckets.c.buckets).where(audit_buckets.c.audit == audit)).scalars():
        found.update(_read_page(page))
    return found


def _of_run(later: Reader, audit: str, run: int) -> dict[str, Bucket]:
    with later() as connection:
        found = _buckets(connection, audit)
        # Asked last: whatever was written before or meanwhile has another number.
        now = connection.execute(select(audit_proofs.c.run).where(audit_proofs.c.audit == audit)).scalar()
    return found if now == run else {}


def _pages(proof: Proof) -> int:
    return max(1, -(-len(proof.buckets) // BUCKETS_IN_PAGE))


def _write_pages(connection: Connection, proof: Proof, before: Mapping[str, Bucket], pages: int) -> None:
    old, new = _cut(before, pages), _cut(proof.buckets, pages)
    for page in range(pages):
        if old[page] == new[page]:
            continue
        here = (audit_buckets.c.audit == proof.audit, audit_buckets.c.page == page)
        connection.execute(delete(audit_buckets).where(*here))
        if new[page]:
            connection.execute(
                insert(audit_buckets).values(audit=proof.audit, page=page, buckets=_page_document(new[page]))
            )


def _cut(buckets: Mapping[str, Bucket], pages: int) -> list[dict[str, Bucket]]:
    """By a hash of the name, so that a new bucket moves no other."""
    found: list[dict[str, Bucket]] = [{} for _ in range(pages)]
    for name, bucket in buckets.items():
        found[zlib.crc32(name.encode("utf-8", "backslashreplace")) % pages][name] = bucket
    return found


def _page_document(buckets: Mapping[str, Bucket]) -> dict[str, Any]:
    moments = sorted({bucket.verified_at for bucket in buckets.values()})
    number = {moment: index for index, moment in enumerate(moments)}
    return {
        "verified_at": [moment.isoformat() for moment in moments],
        "buckets": {
            name: [
                bucket.left.rows,
                bucket.left.fingerprint,
                bucket.right.rows,
                bucket.right.fingerprint,
                number[bucket.verified_at],
            ]
            for name, bucket in sorted(buckets.items())
        },
    }


def _read_page(page: Mapping[str, Any]) -> dict[str, Bucket]:
    moments = [datetime.fromisoformat(text) for text in page["verified_at"]]
    return {
        name: Bucket(
            left=Mark(rows=left_rows, fingerprint=left),
            right=Mark(rows=right_rows, fingerprint=right),
            verified_at=moments[index],
        )
        for name, (left_rows, left, right_rows, right, index) in page["buckets"].items()
    }


def _document(side: SideProof) -> dict[str, Any]:
    return {"rows": side.rows, "basis": side.basis, "newest_change": side.newest_change, "token": side.token}


def _side(values: Mapping[str, Any]) -> SideProof:
    newest = values["newest_change"]
    return SideProof(
        rows=values["rows"],
        basis=values["basis"],
        newest_change=None if newest is None else datetime.fromisoformat(newest),
        # Not there in what an earlier version kept.
        token=values.get("token", ""),
    )
