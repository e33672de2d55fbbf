"""What a runbook's steps say, against the actions there are: every problem at its own line, before anybody needs it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from tillwatch.config.bind import bind, did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.yaml import Mapping as Table
from tillwatch.config.yaml import Node, Place, Scalar
from tillwatch.config.yaml import Sequence as Items
from tillwatch.errors import Problem, RunbookError, UsageError
from tillwatch.model.runbook import Effect
from tillwatch.runbook import template
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.document import INVENTORY, Param, Retry, Runbook, Step, Undo, Verify, plain
from tillwatch.runbook.parse import TWIN_SUFFIX, read

#: Longer than this and a runbook is a project.
MAX_DEADLINE = timedelta(hours=24)
MAX_APPROVAL_WAIT = timedelta(hours=4)

_PROPOSAL = re.compile(r"incident\.(id|component|offender)|alert\.(labels|evidence)\.[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET = re.compile(r"\$\{(env|file):")


def load_all(config: ChainConfig, registry: Registry) -> dict[str, Runbook]:
    """Every runbook of the chain directory by id. Raises RunbookError with all problems of all files."""
    books: dict[str, Runbook] = {}
    problems: list[Problem] = []
    mains = [path for path in config.runbooks if not path.name.endswith(TWIN_SUFFIX)]
    for path in config.runbooks:
        main = path.with_name(path.name.removesuffix(TWIN_SUFFIX) + ".md")
        if path.name.endswith(TWIN_SUFFIX) and main not in mains:
            file = path.relative_to(config.root).as_posix()
            problems.append(Problem(file=file, message=f"the English half of {main.name}, which is not there"))
    for path in mains:
        try:
            book = read(path, root=config.root)
        except RunbookError as error:
            problems.extend(error.problems)
            continue
        problems.extend(lint(book, registry, stem=path.stem))
        books[book.id] = book
    problems.extend(_served_twice(books.values()))
    if problems:
        raise RunbookError(problems)
    return books


def load_one(path: Path, registry: Registry) -> Runbook:
    """Parse and lint one file. Raises RunbookError."""
    book = read(path, root=path.parent)
    if problems := lint(book, registry, stem=path.stem):
        raise RunbookError(problems)
    return book


def _served_twice(books: Iterable[Runbook]) -> Iterator[Problem]:
    served: dict[tuple[str, str], Runbook] = {}
    for book in books:
        for alert, carried in product(book.head.serves, book.head.carries or ("",)):
            if (alert, carried) in served:
                other = served[alert, carried].file
                where = f" of interfaces that carry {carried}" if carried else ""
                yield Problem(
                    file=book.file, message=f"serves '{alert}'{where}, which {other} serves already; one only"
                )
            served[alert, carried] = book


def lint(book: Runbook, registry: Registry, *, stem: str) -> list[Problem]:
    """Every problem of a parsed runbook."""
    return [*_Linter(book, registry).problems(), *_file_name(book, stem)]


def _file_name(book: Runbook, stem: str) -> Iterator[Problem]:
    if book.id != stem:
        yield Problem(file=book.file, message=f"id '{book.id}' in a file called {stem}.md; they are the same word")


class _Linter:
    def __init__(self, book: Runbook, registry: Registry) -> None:
        self._book = book
        self._registry = registry
        self._found: list[Problem] = []
        self._earlier: list[str] = []

    def problems(self) -> list[Problem]:
        head = self._book.head
        file = self._book.file
        for name, param in head.params.items():
            for message in _param_problems(name, param):
                self._found.append(Problem(file=file, message=message))
        if head.limits.deadline > MAX_DEADLINE:
            self._found.append(Problem(file=file, message="limits.deadline: at most 24h"))
        try:
            self._check_paths(template.check(head.lock), {"p", "t"}, file_place(file))
        except UsageError as error:
            self._found.append(Problem(file=file, message=f"lock: {error}"))
        for step in self._book.steps:
            self._step(step)
            self._earlier.append(step.spec.id)
        return self._found

    def _say(self, place: Place, message: str) -> None:
        self._found.append(place.problem(message))

    def _step(self, step: Step) -> None:
        spec, place = step.spec, step.node.place
        if spec.id in self._earlier:
            self._say(at(step.node, "id"), f"step id '{spec.id}' is used twice")
        self._check_secrets(step.node)
        if spec.when:
            self._condition(spec.when, at(step.node, "when"))
        if spec.do not in self._registry:
            self._say(at(step.node, "do"), f"unknown action '{spec.do}'{did_you_mean(spec.do, self._registry)}")
            return
        action = self._registry[spec.do]
        self._call(spec.do, spec.with_, spec.timeout, step.node, where=f"step '{spec.id}'")
        if spec.effect not in {None, action.effect}:
            message = f"effect '{spec.effect}', but action '{spec.do}' is '{action.effect}'; the action decides"
            self._say(at(step.node, "effect"), message)
        self._consequences(step, action.effect, place)

    def _consequences(self, step: Step, effect: Effect, place: Place) -> None:
        """What an effect obliges the author to say: how it is seen to work, and how it is taken back."""
        spec = step.spec
        if spec.verify is not None:
            self._verify(spec.verify, at(step.node, "verify"), step, inside=_inside(step.node, "verify"))
        if spec.approve is not None and spec.approve.within > MAX_APPROVAL_WAIT:
            self._say(at(step.node, "approve"), "approve.within: at most 4h; a plan that old is no longer true")
        if effect is Effect.READ:
            if spec.undo is not None or spec.point_of_no_return:
                self._say(place, f"step '{spec.id}' only reads; remove undo and point_of_no_return")
            return
        if self._registry[spec.do].by_people:
            return
        if spec.verify is None:
            self._say(place, f"step '{spec.id}' has an effect and no verify; say how it shows that it worked")
        self._retry(spec.retry, effect, step)
        self._undo(spec.undo, step, place)

    def _retry(self, retry: Retry | None, effect: Effect, step: Step) -> None:
        if retry is not None and effect is Effect.ONCE:
            message = f"step '{step.spec.id}' must not happen twice; remove retry"
            self._say(at(step.node, "retry"), message)

    def _undo(self, undo: Undo | None, step: Step, place: Place) -> None:
        spec = step.spec
        if undo is None:
            hint = "write undo: {do: …, verify: …}, undo: {keep: {zh: …, en: …}} or undo: none"
            self._say(place, f"step '{spec.id}' has an effect and no undo; {hint}")
            return
        where = at(step.node, "undo")
        final = not undo.do and undo.keep is None
        if final != spec.point_of_no_return:
            self._say(where, "undo: none and point_of_no_return: true go together; write both or neither")
        if final and (spec.approve is None or spec.approve.not_ != "requester"):
            self._say(where, "a point of no return needs four eyes; write approve: {role: …, not: requester}")
        if not undo.do:
            return
        inside = _inside(step.node, "undo")
        if undo.do not in self._registry:
            self._say(at(inside, "do"), f"unknown action '{undo.do}'{did_you_mean(undo.do, self._registry)}")
            return
        if self._registry[undo.do].effect is Effect.ONCE:
            self._say(at(inside, "do"), f"undo by '{undo.do}', which must not happen twice; undo has to be repeatable")
        self._call(undo.do, undo.with_, undo.timeout, inside, where=f"undo of step '{spec.id}'", own=step)
        if undo.verify is None:
            self._say(where, f"the undo of step '{spec.id}' has no verify; say how it shows that it worked")
        else:
            self._verify(undo.verify, where, step, inside=_inside(inside, "verify"))

    def _verify(self, verify: Verify, place: Place, step: Step, *, inside: Node) -> None:
        if verify.assert_:
            self._condition(verify.assert_, at(inside, "assert"), own=step)
            return
        if verify.do not in self._registry:
            self._say(at(inside, "do"), f"unknown action '{verify.do}'{did_you_mean(verify.do, self._registry)}")
            return
        if self._registry[verify.do].effect is not Effect.READ:
            self._say(place, f"verify by '{verify.do}', which has an effect; a check only reads")
        self._call(verify.do, verify.with_, verify.timeout, inside, where=f"verify of '{step.spec.id}'", own=step)

    def _call(
        self, name: str, arguments: Table, timeout: timedelta | None, node: Node, *, where: str, own: Step | None = None
    ) -> None:
        """Known keys, required keys, types of fixed values, templates that refer to what is there."""
        action = self._registry[name]
        if timeout is not None and not timedelta(0) < timeout <= action.max_timeout:
            limit = int(action.max_timeout.total_seconds())
            self._say(at(node, "timeout"), f"timeout of '{name}' lies between 1ms and {limit}s")
        if not any(template.is_template(text) for text in template.texts(plain(arguments))):
            place = arguments if arguments.place.file else Table(place=node.place, entries={}, keys={})
            bind(place, action.Params, where=f"{where}, with", problems=self._found)
        else:
            self._shape(name, arguments, where)
        for scalar in _scalars(arguments):
            try:
                self._check_paths(template.check(scalar.text), template.ROOTS, scalar.place, own=own)
            except UsageError as error:
                self._say(scalar.place, str(error))

    def _shape(self, name: str, arguments: Table, where: str) -> None:
        """Values are not known yet, but the keys are; errors about values that hold a template are not errors."""
        try:
            self._registry[name].Params.model_validate(plain(arguments))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                node: Node = arguments
                for part in details["loc"]:
                    if isinstance(node, Table) and part in node.entries:
                        node = node.entries[str(part)]
                    elif isinstance(node, Items) and isinstance(part, int) and part < len(node.items):
                        node = node.items[part]
                if details["type"] == "extra_forbidden":
                    key = str(details["loc"][-1])
                    known = did_you_mean(key, self._registry[name].Params.model_fields, what="keys")
                    self._say(node.place, f"{where}, with: unknown key '{key}'{known}")
                elif details["type"] == "missing":
                    self._say(node.place, f"{where}, with: missing key '{details['loc'][-1]}'")
                elif not any(template.is_template(text) for text in template.texts(plain(node))):
                    self._say(node.place, f"{where}, with: {details['msg']}")

    def _condition(self, expression: str, place: Place, *, own: Step | None = None) -> None:
        try:
            self._check_paths(template.check_condition(expression), template.ROOTS, place, own=own)
        except UsageError as error:
            self._say(place, str(error))

    def _check_paths(
        self, paths: Sequence[template.Path], roots: set[str] | frozenset[str], place: Place, *, own: Step | None = None
    ) -> None:
        params = self._book.head.params
        targets = {name for name, param in params.items() if param.type in INVENTORY}
        steps = {*self._earlier, *([own.spec.id] if own else [])}
        known: Mapping[str, set[str]] = {"p": set(params), "t": targets, "s": steps}
        for path in paths:
            if path[0] not in roots:
                raise UsageError(f"'{path[0]}' is not known here; use {', '.join(sorted(roots))}")
            if len(path) < 2 or (path[0] == "s" and len(path) < 3):
                raise UsageError(f"'{'.'.join(path)}' names no value; write for example {path[0]}.name")
            if path[1] not in known[path[0]]:
                what = {"p": "parameters", "t": "targets", "s": "earlier steps"}[path[0]]
                hint = did_you_mean(path[1], known[path[0]], what=what)
                self._say(place, f"'{'.'.join(path)}': there is no such {what[:-1]}{hint}")

    def _check_secrets(self, node: Node) -> None:
        for scalar in _scalars(node):
            if _SECRET.search(scalar.text):
                self._say(scalar.place, "a secret in a runbook; actions take secrets from the chain's configuration")


def file_place(file: str) -> Place:
    return Place(file=file, line=0, column=0)


def at(node: Node, key: str) -> Place:
    """Where `key` stands in `node`, else the node itself."""
    return node.keys[key] if isinstance(node, Table) and key in node.keys else node.place


def _inside(node: Node, key: str) -> Node:
    return node.entries[key] if isinstance(node, Table) and key in node.entries else node


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Items):
        for item in node.items:
            yield from _scalars(item)
    else:
        for value in node.entries.values():
            yield from _scalars(value)


def _param_problems(name: str, param: Param) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"params.{name}: a parameter name is lower case letters, digits and '_'"
    if param.type == "string" and not param.enum and not param.pattern:
        yield f"params.{name}: a string without 'enum' or 'pattern' accepts anything an alert says; add one"
    if param.type in INVENTORY and param.pattern:
        yield f"params.{name}: a {param.type} is looked up in the chain; remove pattern"
    if param.pattern:
        try:
            re.compile(param.pattern)
        except re.error as error:
            yield f"params.{name}.pattern: not a regular expression: {error}"
    for source in param.from_:
        if not _PROPOSAL.fullmatch(source):
            allowed = "incident.id, incident.component, incident.offender, alert.labels.NAME or alert.evidence.NAME"
            yield f"params.{name}.from: '{source}' is not known; use {allowed}"
