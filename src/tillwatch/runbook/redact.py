"""Secrets of the configuration never reach the journal, an error message or a page."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tillwatch.config.declared import ChainConfig
from tillwatch.config.yaml import Mapping as Table
from tillwatch.config.yaml import Node, Scalar

MASK = "***"
#: Shorter text would hide half of every message and protects nothing.
MIN_SECRET_CHARACTERS = 4

_REFERENCE = re.compile(r"\$\{[^}]*\}")


class Redactor:
    """Replaces every known secret in texts, mappings and lists."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS}
        # The longest first, so that a secret inside another leaves nothing of it.
        ordered = sorted(known, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(secret) for secret in ordered)) if ordered else None

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def document(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.document(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return value


def secrets_of(config: ChainConfig) -> set[str]:
    """Every value that was filled in from outside the chain directory, and the password of our own store."""
    nodes: list[Node] = [item.options for item in (*config.systems, *config.channels)]
    nodes += [item.options for item in config.probes if item.options is not None]
    nodes += [item.repair for item in config.audits if item.repair is not None]
    found = {secret for node in nodes for secret in _secrets(node)}
    try:
        found.add(make_url(config.store.url).password or "")
    except ArgumentError:
        found.add(config.store.url)
    return found - {""}


def _secrets(node: Node) -> Iterator[str]:
    if isinstance(node, Table):
        for value in node.entries.values():
            yield from _secrets(value)
    elif isinstance(node, Scalar):
        if node.reference:
            yield from _filled_in(node.reference, node.text)
    else:
        for item in node.items:
            yield from _secrets(item)


def _filled_in(reference: str, text: str) -> Iterator[str]:
    """The parts of `text` that stand where `reference` had `${…}`: a host name around a password is no secret."""
    literals = [re.escape(part) for part in _REFERENCE.split(reference)]
    match = re.fullmatch("(.+?)".join(literals), text, re.DOTALL)
    yield from match.groups() if match else (text,)
