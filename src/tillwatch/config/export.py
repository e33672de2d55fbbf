"""JSON Schema of the chain directory's files, for editors: `# yaml-language-server: $schema=…` on a first line."""

from typing import Any

from tillwatch.config.bind import did_you_mean
from tillwatch.config.schema import FILE_KINDS
from tillwatch.errors import UsageError

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file. Raises UsageError for a kind there is not."""
    if kind not in FILE_KINDS:
        raise UsageError(f"unknown kind of file '{kind}'{did_you_mean(kind, FILE_KINDS)}")
    model = FILE_KINDS[kind]
    schema = model.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, **schema, "title": f"tillwatch {model.path}", "x-tillwatch-path": model.path}
