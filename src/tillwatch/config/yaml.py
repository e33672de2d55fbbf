"""Strict YAML: every node knows file:line:column, plain scalars stay text, nothing clever is allowed.

Plain scalars are not typed here, because YAML's own typing turns a SKU `0123` into 83 and `no` into False; the schema
that reads a node types it. Aliases, tags, duplicate keys and oversize files are refused, and all problems of a file
are reported at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tillwatch.errors import ConfigError, Problem

#: A chain file larger than this is not a configuration; the bound keeps parsing under a second.
MAX_FILE_BYTES = 1_048_576
#: Deeper nesting only occurs in attacks; the parser recurses, so the bound also protects the stack.
MAX_DEPTH = 50


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a node starts; line and column count from 1."""

    file: str
    line: int
    column: int

    def problem(self, message: str) -> Problem:
        return Problem(file=self.file, line=self.line, column=self.column, message=message)


@dataclass(frozen=True, kw_only=True)
class Scalar:
    place: Place
    text: str
    #: False for a plain scalar; a quoted one is text whatever it looks like.
    quoted: bool
    #: What was written when `text` came out of a secret, such as `${env:ERP_PASSWORD}`; messages show this instead.
    reference: str = ""

    @property
    def is_null(self) -> bool:
        return not self.quoted and not self.reference and self.text in {"", "~", "null"}

    def __repr__(self) -> str:
        return f"Scalar({self.reference or self.text!r} at {self.place.file}:{self.place.line}:{self.place.column})"


@dataclass(frozen=True, kw_only=True)
class Sequence:
    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, kw_only=True)
class Mapping:
    place: Place
    entries: dict[str, "Node"]
    #: Where each key stands, for messages about the key itself.
    keys: dict[str, Place]


Node = Scalar | Sequence | Mapping


def _place(file: str, event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(file=file, line=mark.line + 1, column=mark.column + 1) if mark else Place(file=file, line=1, column=1)


class _Composer:
    """Turns parser events into nodes and collects problems instead of stopping at the first."""

    def __init__(self, events: Iterator[yaml.Event], file: str) -> None:
        self._events = events
        self._file = file
        self.problems: list[Problem] = []

    def _place(self, event: yaml.Event) -> Place:
        return _place(self._file, event)

    def node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if depth > MAX_DEPTH:
            raise ConfigError([place.problem(f"nested deeper than {MAX_DEPTH} levels; flatten the file")])
        if isinstance(event, yaml.AliasEvent):
            self.problems.append(place.problem(f"alias '*{event.anchor}' is not allowed; write the value out"))
            return Scalar(place=place, text="", quoted=True)
        if anchor := getattr(event, "anchor", None):
            self.problems.append(place.problem(f"anchor '&{anchor}' is not allowed; write the value out"))
        if tag := getattr(event, "tag", None):
            self.problems.append(place.problem(f"tag '{tag}' is not allowed; remove it"))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return Scalar(place=place, text=event.value, quoted=event.style is not None)

    def _sequence(self, place: Place, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return Sequence(place=place, items=tuple(items))

    def _mapping(self, place: Place, depth: int) -> Mapping:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(next(self._events), depth + 1)
            if not isinstance(key, Scalar):
                self.problems.append(key.place.problem("a key must be plain text"))
            elif key.text in entries:
                first = keys[key.text]
                self.problems.append(
                    key.place.problem(f"duplicate key '{key.text}'; it stands at line {first.line} too")
                )
            else:
                entries[key.text] = value
                keys[key.text] = key.place
        return Mapping(place=place, entries=entries, keys=keys)


def parse(text: str, file: str) -> Node:
    """The one document of `text`. Raises ConfigError with every problem found, each at `file:line:column`."""
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_FILE_BYTES:
        raise ConfigError([Problem(file=file, message=f"{size_bytes} bytes; at most {MAX_FILE_BYTES}: split the file")])
    try:
        events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        next(events)
        document = next(events)
        if isinstance(document, yaml.StreamEndEvent):
            raise ConfigError([Problem(file=file, line=1, column=1, message="the file is empty")])
        composer = _Composer(events, file)
        root = composer.node(next(events), 1)
        next(events)
        if not isinstance(more := next(events), yaml.StreamEndEvent):
            place = _place(file, more)
            composer.problems.append(place.problem("a second document; one file holds one document"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError(
            [Problem(file=file, line=line, column=column, message=f"not YAML: {error.problem}")]
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"character U+{ord(text[error.position]):04X} is not allowed in YAML; remove it"
        raise ConfigError([Problem(file=file, line=line, column=1, message=message)]) from error
    if composer.problems:
        raise ConfigError(composer.problems)
    return root


def load(path: Path, *, root: Path) -> Node:
    """Read and parse `path`; messages name it relative to the chain directory `root`."""
    file = path.relative_to(root).as_posix()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file=file, message=f"not UTF-8 (byte {error.start}); save it as UTF-8")]) from error
    except OSError as error:
        raise ConfigError([Problem(file=file, message=f"cannot be read: {error.strerror}")]) from error
    return parse(text, file)
