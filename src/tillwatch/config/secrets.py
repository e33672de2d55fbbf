"""Secrets stand outside the chain directory: `${env:NAME}` and `${file:PATH}` inside any scalar are filled in here."""

import dataclasses
import re
from collections.abc import Mapping as Environment
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tillwatch.config.yaml import Mapping, Node, Scalar, Sequence
from tillwatch.errors import Problem

#: A secret is a password, a token or a key; a larger file is the wrong file.
MAX_SECRET_FILE_BYTES = 65_536

_REFERENCE = re.compile(r"\$?\$\{([^}]*)\}")
_ESCAPED = "$$"


class Secret(str):
    """Text that never shows in a repr, a traceback or a dumped model; `str` methods and `+` see the real value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": "A secret: ${env:NAME} or ${file:PATH}."}


def is_reference(text: str) -> bool:
    """Whether `text` still holds an unfilled `${…}`."""
    return any(not match.group().startswith(_ESCAPED) for match in _REFERENCE.finditer(text))


def resolve(node: Node, *, root: Path, environment: Environment[str, str], problems: list[Problem]) -> Node:
    """A copy of `node` with every reference filled in; `$${x}` becomes the literal `${x}`.

    A missing variable or file becomes a problem at the scalar that names it; the scalar then keeps its reference.
    `${file:PATH}` is read relative to the chain directory `root`, without its last line break.
    """
    if isinstance(node, Mapping):
        entries = {
            key: resolve(value, root=root, environment=environment, problems=problems)
            for key, value in node.entries.items()
        }
        return dataclasses.replace(node, entries=entries)
    if isinstance(node, Sequence):
        items = tuple(resolve(item, root=root, environment=environment, problems=problems) for item in node.items)
        return dataclasses.replace(node, items=items)
    return _fill(node, root, environment, problems)


def _fill(node: Scalar, root: Path, environment: Environment[str, str], problems: list[Problem]) -> Scalar:
    if "${" not in node.text:
        return node
    failures: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        if match.group().startswith(_ESCAPED):
            return match.group()[1:]
        try:
            return _value(match.group(1), root, environment)
        except ValueError as error:
            failures.append(str(error))
            return match.group()

    text = _REFERENCE.sub(replacement, node.text)
    problems.extend(node.place.problem(message) for message in failures)
    if failures:
        return node
    return dataclasses.replace(node, text=text, reference=node.text if is_reference(node.text) else "")


def _value(inside: str, root: Path, environment: Environment[str, str]) -> str:
    """What `${inside}` stands for. Raises ValueError with a message that never holds the secret."""
    scheme, _, name = inside.partition(":")
    if scheme == "env" and name:
        value = environment.get(name)
        if value is None:
            raise ValueError(f"environment variable '{name}' is not set; set it before starting tillwatch")
        if not value:
            raise ValueError(f"environment variable '{name}' is empty; give it a value")
        return value
    if scheme == "file" and name:
        return _file(root / name, name)
    raise ValueError(
        f"'${{{inside}}}' is not a secret; write ${{env:NAME}} or ${{file:PATH}}, or $${{…}} for plain text"
    )


def _file(path: Path, name: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"secret file '{name}' cannot be read: {error.strerror}") from error
    if len(content) > MAX_SECRET_FILE_BYTES:
        raise ValueError(f"secret file '{name}' holds more than {MAX_SECRET_FILE_BYTES} bytes; is it the right file?")
    try:
        value = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"secret file '{name}' is not UTF-8 (byte {error.start})") from error
    if not value:
        raise ValueError(f"secret file '{name}' is empty")
    return value
