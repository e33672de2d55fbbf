"""Every sentence of the audits' code that a person may read as a reason, found in the code itself."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tillwatch.audit

#: Calls whose text is shown to people.
SAID_BY = {
    "Unsuited",
    "Refused",
    "SideFault",
    "RefusedError",
    "Lost",
    "_manual",
    "_settle",
    "append",
    "Impossible",
    "check",
    "_wait",
    "_matched",
    "ask",
    "both",
}
#: Modules in which any text a function returns or keeps is a reason; in the others only what `SAID_BY` says.
REASONS = {
    "batches",
    "compare",
    "incremental",
    "plan",
    "ranges",
    "reading",
    "sending",
    "settle",
    "undoing",
    "repair",
    "digest",
}
#: Functions elsewhere that return reasons.
RETURNED_BY = {"decide", "inability", "disagreement", "_not_alike", "_does_not_add_up", "doubt"}
#: What is written to the log, to a developer or as a name is not shown in a report.
NOT_SHOWN = {"UsageError", "Thread", "StoreError", "getLogger", "debug", "info", "warning", "exception", "execute"}
_HOLE = "《7》"
_FEWEST_WORDS = 2


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One sentence, with something put where the code puts a value."""

    where: str
    text: str


def every_reason(root: Path = Path(tillwatch.audit.__file__).parent) -> list[Reason]:
    """All of them, by module."""
    found = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        found += [Reason(where=where, text=text) for text in _in_module(ast.parse(path.read_text()), path.stem)]
    return list(dict.fromkeys(found))


def _in_module(tree: ast.Module, name: str) -> Iterator[str]:
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        shown = name in REASONS or function.name in RETURNED_BY
        for node in _shown(function.body):
            if isinstance(node, ast.Call) and _name(node) in SAID_BY:
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _texts(argument)
            elif shown and isinstance(node, ast.Return | ast.Assign | ast.AugAssign | ast.keyword) and node.value:
                yield from _texts(node.value)


def _shown(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes but what stands in something that is not shown."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Call) and _name(node) in NOT_SHOWN:
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _texts(node: ast.AST) -> Iterator[str]:
    """The sentences of an expression; alternatives are sentences of their own."""
    match node:
        case ast.Constant(value=str(text)):
            if _is_sentence(text):
                yield text.strip("; ")
        case ast.JoinedStr(values=values):
            text = "".join(part.value if isinstance(part, ast.Constant) else _HOLE for part in values)
            if _is_sentence(text.replace(_HOLE, "")):
                yield text.strip("; ")
            for part in values:
                if isinstance(part, ast.FormattedValue) and not isinstance(part.value, ast.Call):
                    yield from _texts(part.value)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body)
            yield from _texts(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _texts(left)
            yield from _texts(right)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _texts(part)
        case ast.GeneratorExp(elt=elt) | ast.ListComp(elt=elt):
            yield from _texts(elt)


def _is_sentence(text: str) -> bool:
    words = [word for word in text.split() if word.strip(".,;:()'").isalpha() and word.isascii()]
    return len(words) >= _FEWEST_WORDS and "SELECT" not in text
