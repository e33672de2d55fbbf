"""The rows an acceptance signed for, kept beside its manifest, so that a later difference is named and not only seen.

A file holds the canonical rows in key order: just what the digest in the manifest was made of. So the signature proves
the file too, whoever kept it and wherever it lay since.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import orjson

from tillwatch.acceptance.manifest import Held
from tillwatch.audit.declare import Declared
from tillwatch.audit.rows import Encoded
from tillwatch.errors import StoreError, UsageError

#: Rows named of one dataset; its counts and sums are complete.
MAX_NAMED = 100
Named = dict[str, object]


def file_of(folder: Path, audit: str, side: str) -> Path:
    return folder / f"{audit}.{side}.rows.gz"


def write(file: Path, rows: Iterable[Encoded]) -> None:
    """Write `rows` beside `file`, which stays as it is until `accept`. Raises StoreError."""
    part = _part_of(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Without a time in it: the same rows are the same file.
        with part.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
            for row in rows:
                packed.write(row.key + b"\n" + row.cells + b"\n")
    except OSError as error:
        raise _unwritten(file, error) from error


def accept(file: Path, held: Held) -> None:
    """What was written beside `file` takes its place, all or nothing. Raises UsageError when it is not `held`, and
    StoreError."""
    part = _part_of(file)
    try:
        read(part, held)
    except UsageError as error:
        raise UsageError(
            f"{held.system}.{held.dataset} is not what the manifest says any more; its rows are not kept"
        ) from error
    try:
        part.replace(file)
    except OSError as error:
        raise _unwritten(file, error) from error


def discard(file: Path) -> None:
    """Forget what was written beside `file` and not accepted."""
    # What cannot be removed is in nobody's way: the next attempt overwrites it, and it is never read as kept rows.
    with suppress(OSError):
        _part_of(file).unlink()


def read(file: Path, held: Held) -> Iterator[Encoded]:
    """The kept rows. Raises UsageError, before the first, when they are not those of the manifest."""
    digest = hashlib.sha256()
    for line in _lines(file):
        digest.update(line)
    if digest.hexdigest() != held.sha256:
        raise UsageError(f"'{file}' does not hold the rows that the manifest was made of")
    lines = _lines(file)
    return (Encoded(key=key[:-1], cells=next(lines)[:-1], context=b"", exact=True) for key in lines)


def named(declared: Declared, kept: Iterator[Encoded], found: Iterator[Encoded]) -> list[Named]:
    """The first MAX_NAMED rows that were lost, added or changed since; both in key order."""
    return list(islice(_differing(declared, kept, found), MAX_NAMED))


def _differing(declared: Declared, kept: Iterator[Encoded], found: Iterator[Encoded]) -> Iterator[Named]:
    was, now = next(kept, None), next(found, None)
    while was is not None or now is not None:
        if now is None or (was is not None and was.key < now.key):
            yield _named(declared, was, None)
            was = next(kept, None)
        elif was is None or now.key < was.key:
            yield _named(declared, None, now)
            now = next(found, None)
        else:
            if was.cells != now.cells:
                yield _named(declared, was, now)
            was, now = next(kept, None), next(found, None)


def _named(declared: Declared, was: Encoded | None, now: Encoded | None) -> Named:
    one = was or now
    assert one is not None
    fields = [rule.name for rule in declared.fields]
    before, after = _cells(fields, was), _cells(fields, now)
    both = before is not None and after is not None
    return {
        "kind": "changed" if both else "lost" if after is None else "added",
        "key": dict(zip([rule.name for rule in declared.key], orjson.loads(one.key), strict=True)),
        "fields": [name for name in fields if before and after and before[name] != after[name]],
        "kept": before,
        "found": after,
    }


def _cells(fields: Sequence[str], row: Encoded | None) -> dict[str, str | None] | None:
    return None if row is None else dict(zip(fields, orjson.loads(row.cells), strict=True))


def _part_of(file: Path) -> Path:
    """Where rows stand until they are known to be those of the manifest."""
    return file.with_name(file.name + ".part")


def _unwritten(file: Path, error: OSError) -> StoreError:
    return StoreError(f"'{file}' cannot be written: {error.strerror}; name another folder with --rows")


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with gzip.open(file) as packed:
            yield from packed
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"'{file}' cannot be read: {error}; keep the rows with 'acceptance keep'") from error
