"""Named SQL statements out of `runbooks/statements.yaml`: reviewed with the repository, bound, capped."""

import os
import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field as Key
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tillwatch.config.bind import bind, did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Strict
from tillwatch.config.secrets import resolve
from tillwatch.config.values import Duration, Id
from tillwatch.config.yaml import load
from tillwatch.errors import ActionError, ConfigError, Problem
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import MAX_ITEMS_SHOWN, Action, ActionContext, Output, Params, PlanReport

STATEMENTS_FILE = "runbooks/statements.yaml"
MAX_ROWS = 1_000


class Statement(Strict):
    """One statement. `url` is its own low-privilege account; `preview` counts or shows what `sql` would touch."""

    id: Id
    url: str
    sql: str
    preview: str = ""
    effect: Literal["read", "idempotent"] = "read"
    max_rows: Annotated[int, Key(ge=1, le=MAX_ROWS)] = 100
    timeout: Duration = timedelta(seconds=10)
    #: Name of each bound value and the regular expression it has to match.
    params: Annotated[dict[str, str], Key(default_factory=dict)]


class StatementsFile(Strict):
    statements: tuple[Statement, ...] = ()


class SqlParams(Params):
    statement: str
    params: Annotated[dict[str, str], Key(default_factory=dict)]


class RunSql(Action[SqlParams]):
    """Runs a named statement in one transaction; more rows than allowed undo it."""

    name: ClassVar[str] = "sql.run"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = SqlParams

    def plan(self, ctx: ActionContext[SqlParams]) -> PlanReport:
        found = statement(ctx.services.config, ctx.params)
        summary = {"zh": f"执行 SQL 语句 {found.id}", "en": f"run SQL statement {found.id}"}
        query = found.sql if found.effect == "read" else found.preview
        if not query:
            return PlanReport(summary=summary, proposed=found.sql, previewed=False)
        rows = _read(found, query, ctx.params.params)
        return PlanReport(
            summary=summary, proposed=found.sql, items=tuple(rows[:MAX_ITEMS_SHOWN]), items_total=len(rows)
        )

    def do(self, ctx: ActionContext[SqlParams]) -> Output:
        found = statement(ctx.services.config, ctx.params)
        if found.effect == "read":
            rows = _read(found, found.sql, ctx.params.params)
            return {"count": len(rows), "rows": rows[:MAX_ITEMS_SHOWN]}

        def write(connection: Connection) -> int:
            changed = connection.execute(text(found.sql), ctx.params.params).rowcount
            if changed > found.max_rows:
                raise ActionError(
                    f"statement '{found.id}' would change {changed} rows, more than {found.max_rows}; nothing was "
                    "changed"
                )
            return changed

        return {"count": _transaction(found, write, read_only=False)}


class ReadSql(RunSql):
    """As sql.run, for statements that only read; also good for verify."""

    name: ClassVar[str] = "sql.read"
    effect: ClassVar[Effect] = Effect.READ

    def do(self, ctx: ActionContext[SqlParams]) -> Output:
        found = statement(ctx.services.config, ctx.params)
        if found.effect != "read":
            raise ActionError(f"statement '{found.id}' has an effect; use sql.run")
        return super().do(ctx)


def statement(config: ChainConfig, params: SqlParams) -> Statement:
    """The named statement, its values checked. Raises ConfigError for the file, ActionError for the rest."""
    known = {one.id: one for one in statements(config)}
    if params.statement not in known:
        raise ActionError(f"unknown statement '{params.statement}'{did_you_mean(params.statement, known)}")
    found = known[params.statement]
    if set(params.params) != set(found.params):
        wanted = ", ".join(sorted(found.params)) or "none"
        raise ActionError(f"statement '{found.id}' takes exactly these values: {wanted}")
    for name, pattern in found.params.items():
        if not re.fullmatch(pattern, params.params[name]):
            raise ActionError(f"statement '{found.id}': '{name}' does not have the form {pattern}")
    return found


def statements(config: ChainConfig) -> tuple[Statement, ...]:
    """Raises ConfigError with every problem of the file."""
    path = config.root / STATEMENTS_FILE
    if not path.is_file():
        return ()
    problems: list[Problem] = []
    node = resolve(load(path, root=config.root), root=config.root, environment=_environment(), problems=problems)
    file = bind(node, StatementsFile, problems=problems)
    if problems or file is None:
        raise ConfigError(problems)
    return file.statements


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _read(found: Statement, query: str, params: dict[str, str]) -> list[dict[str, object]]:
    def read(connection: Connection) -> list[dict[str, object]]:
        rows = connection.execute(text(query), params).mappings().fetchmany(found.max_rows + 1)
        if len(rows) > found.max_rows:
            raise ActionError(f"statement '{found.id}' returns more than {found.max_rows} rows; make it narrower")
        return [{str(key): None if value is None else str(value) for key, value in row.items()} for row in rows]

    rows: list[dict[str, object]] = _transaction(found, read, read_only=True)
    return rows


def _transaction(found: Statement, work: Any, *, read_only: bool) -> Any:
    try:
        engine = create_engine(found.url, poolclass=NullPool)
    except (ArgumentError, ImportError) as error:
        raise ActionError(f"the url of statement '{found.id}' is not a database URL; see {STATEMENTS_FILE}") from error
    try:
        with engine.begin() as connection:
            _limit(connection, found, read_only=read_only)
            return work(connection)
    except DBAPIError as error:
        raise ActionError(f"statement '{found.id}': {str(error.orig).strip()}") from error
    except SQLAlchemyError as error:
        raise ActionError(f"statement '{found.id}': {error}") from error
    finally:
        engine.dispose()


def _limit(connection: Connection, found: Statement, *, read_only: bool) -> None:
    if connection.dialect.name == "postgresql":
        milliseconds = int(found.timeout.total_seconds() * 1000)
        connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
        if read_only:
            connection.execute(text("SET TRANSACTION READ ONLY"))
    elif connection.dialect.name == "sqlite" and read_only:
        connection.execute(text("PRAGMA query_only = ON"))
