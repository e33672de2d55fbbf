"""Templates and conditions of runbook files: text in, text out, and nothing else is possible.

A template is written by the owner of a repository file and never taken from an alert. It may name parameters (`p`),
targets of the inventory (`t`) and outputs of earlier steps (`s`), compare and join them. The tree is checked node by
node before it is compiled: no loops, no arithmetic, no calls, no filters; rendering is bounded by what is put in.
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tillwatch.errors import ActionError, UsageError

#: What a person can read in a step block; longer text belongs into an action.
MAX_TEMPLATE_BYTES = 1024
#: An argument, an id, a URL. Longer values are data, and data does not travel through templates.
MAX_RENDERED_BYTES = 1024

ROOTS = frozenset({"p", "t", "s"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Const,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.List,
    nodes.Tuple,
)

Context = Mapping[str, Mapping[str, object]]
Path = tuple[str, ...]


class _Environment(ImmutableSandboxedEnvironment):
    """`a.b` reads the entry `b` of the mapping `a`; there are no attributes, so nothing of Python is within reach."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


def _finalize(value: Any) -> str:
    if isinstance(value, StrictUndefined):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, Mapping | list | tuple):
        raise ActionError(f"a template needs one value, not {_kind(value)}; name an entry of it")
    return str(value)


def _kind(value: object) -> str:
    return "nothing" if value is None else "a mapping" if isinstance(value, Mapping) else "a list"


_ENVIRONMENT = _Environment(undefined=StrictUndefined, autoescape=False, finalize=_finalize, cache_size=0)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters.clear()
_ENVIRONMENT.tests.clear()


def is_template(text: str) -> bool:
    return any(mark in text for mark in ("{{", "{%", "{#"))


def check(text: str) -> tuple[Path, ...]:
    """What `text` refers to, for example `("s", "plan", "digest")`. Raises UsageError when it is not allowed."""
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_TEMPLATE_BYTES:
        raise UsageError(f"a template of {size_bytes} bytes; at most {MAX_TEMPLATE_BYTES}: write an action instead")
    try:
        tree = _ENVIRONMENT.parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        raise UsageError(f"not a template: {getattr(error, 'message', 'nested too deeply')}") from error
    paths: list[Path] = []
    _walk(tree, paths)
    return tuple(paths)


def _walk(node: nodes.Node, paths: list[Path]) -> None:
    if not isinstance(node, _ALLOWED):
        name = type(node).__name__
        raise UsageError(
            f"'{name}' is not allowed in a template; only values of p, t and s, comparisons, and, or, not and ~ are"
        )
    if isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Name):
        paths.append(_path(node))
        return
    for child in node.iter_child_nodes():
        _walk(child, paths)


def _path(node: nodes.Node) -> Path:
    if isinstance(node, nodes.Name):
        if node.name not in ROOTS:
            raise UsageError(f"'{node.name}' is not known here; use p.<parameter>, t.<target> or s.<step>.<output>")
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        name: object = node.attr
        inner = node.node
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name, inner = node.arg.value, node.node
    else:
        raise UsageError("an index in a template is a fixed name or number")
    if isinstance(name, str) and name.startswith("_"):
        raise UsageError(f"'{name}' is not allowed in a template")
    return (*_path(inner), str(name))


def check_condition(expression: str) -> tuple[Path, ...]:
    """As `check`, for a bare expression such as `s.lag.seconds <= 60`."""
    if is_template(expression) or "}}" in expression or "%}" in expression:
        raise UsageError("a condition is a bare expression; write for example s.lag.seconds <= 60")
    return check(f"{{{{ {expression} }}}}")


def render(text: str, context: Context) -> str:
    """The text with every value filled in. Raises ActionError when a value is missing, is not one value or is too long.

    Always text, never a guess at a type: the schema of the action types it.
    """
    if not is_template(text):
        return text
    check(text)
    try:
        rendered = _ENVIRONMENT.from_string(text).render(context)
    except (UndefinedError, SecurityError, TypeError) as error:
        raise ActionError(f"'{text}' cannot be filled in: {error}") from error
    size_bytes = len(rendered.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_RENDERED_BYTES:
        raise ActionError(f"'{text}' becomes {size_bytes} bytes; at most {MAX_RENDERED_BYTES}")
    return rendered


def holds(expression: str, context: Context) -> bool:
    """Whether the condition is true. Raises ActionError when it cannot be told."""
    check_condition(expression)
    try:
        value = _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)(context)
        if isinstance(value, StrictUndefined):
            raise UndefinedError(value._undefined_message)
        return bool(value)
    except (UndefinedError, SecurityError, TypeError) as error:
        raise ActionError(f"'{expression}' cannot be decided: {error}") from error


def fill(value: object, context: Context) -> object:
    """`render` through mappings and lists; text leaves become text, everything else stays."""
    if isinstance(value, str):
        return render(value, context)
    if isinstance(value, Mapping):
        return {key: fill(item, context) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, context) for item in value]
    return value


def texts(value: object) -> list[str]:
    """Every text leaf of `value`, depth first."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts(item)]
    return []
