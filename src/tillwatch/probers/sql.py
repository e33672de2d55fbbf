"""Does a database answer a query, and is the answer what it should be?"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, Protocol, runtime_checkable

from pydantic import AfterValidator, BaseModel
from pydantic import Field as Key

from tillwatch.config.schema import Duration, Strict
from tillwatch.errors import Cause
from tillwatch.model.audit import Row, Value
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, Recorder, Target
from tillwatch.probers.workers import Workers

#: A probe asks for one number or a few offending rows, never for data.
MAX_ROWS = 20
_SHOWN_ROWS = 5
_READING = ("select", "with", "values", "table", "show", "explain", "pragma")


@runtime_checkable
class Queryable(Protocol):
    """A source that can run a reading statement through its own connection, breaker and budget."""

    def query(self, statement: str, *, limit: int) -> list[Row]: ...


def _reads(statement: str) -> str:
    words = statement.split(maxsplit=1)
    if not words or words[0].lower().lstrip("(") not in _READING:
        raise ValueError("a probe only reads; write a SELECT")
    return statement


class SqlOptions(Strict):
    query: Annotated[str, AfterValidator(_reads)] = "SELECT 1"
    #: Limits for the first column of the first row, as a number.
    min: Decimal | None = None
    max: Decimal | None = None
    #: What the first column of the first row must be, as text.
    equals: str | None = None
    rows_min: Annotated[int, Key(ge=0, le=MAX_ROWS)] = 1
    #: For queries that return offending rows: `rows_max: 0` with `rows_min: 0`.
    rows_max: Annotated[int, Key(ge=0, le=MAX_ROWS)] | None = None
    #: Slower than this is degraded.
    slow: Duration | None = None


class SqlProber:
    kind: ClassVar[str] = "sql"
    Options: ClassVar[type[BaseModel]] = SqlOptions

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def problems(self, target: Target) -> Sequence[str]:
        if target.system is None:
            return ("a sql probe needs the key 'system': the database it asks",)
        if not isinstance(target.source, Queryable):
            return (f"system '{target.system.id}' ({target.system.source}) takes no SQL; name one with source: sql",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        options, source = target.options, target.source
        assert isinstance(options, SqlOptions) and isinstance(source, Queryable)
        recorder.log(f"query: {options.query}")
        wanted_rows = max(options.rows_min, options.rows_max or 0, 1) + 1
        with recorder.timing("query"):
            rows = await self._workers.call(target.probe.id, lambda: source.query(options.query, limit=wanted_rows))
        recorder.log(f"{len(rows)} row(s) in {recorder.phases['query']:.3f} s")
        for row in rows[:_SHOWN_ROWS]:
            recorder.log(f"row: {', '.join(f'{name}={value}' for name, value in row.items())}")
        if rows and (number := _number(next(iter(rows[0].values()), None))) is not None:
            recorder.measure("tillwatch_probe_value", float(number))
        finding = judge(options, rows)
        if finding is not OK:
            shown = [{name: _text(cell) for name, cell in row.items()} for row in rows[:_SHOWN_ROWS]]
            recorder.evidence("rows", shown)
            return finding
        if options.slow and recorder.phases["query"] > options.slow.total_seconds():
            took, limit = f"{recorder.phases['query']:.2f}", f"{options.slow.total_seconds():g}"
            return Finding(
                outcome=Outcome.DEGRADED,
                cause=Cause.TIMEOUT,
                message=f"the query took {took} s, more than {limit} s",
                message_zh=f"查询用时 {took} 秒，超过 {limit} 秒",
            )
        return OK


def judge(options: SqlOptions, rows: Sequence[Row]) -> Finding:
    """Compare the answer with what the options ask of it."""
    if len(rows) < options.rows_min:
        return _wrong(
            f"the query returned {len(rows)} row(s), at least {options.rows_min} expected",
            f"查询返回 {len(rows)} 行，应至少有 {options.rows_min} 行",
        )
    if options.rows_max is not None and len(rows) > options.rows_max:
        return _wrong(
            f"the query returned more than {options.rows_max} row(s)", f"查询返回的行数超过 {options.rows_max}"
        )
    value = next(iter(rows[0].values()), None) if rows else None
    if options.equals is not None and _text(value) != options.equals:
        return _wrong(
            f"the query returned '{_text(value)}', '{options.equals}' expected",
            f"查询返回 {_text(value)}，应为 {options.equals}",
        )
    if options.min is None and options.max is None:
        return OK
    number = _number(value)
    if number is None:
        return _wrong(f"the query returned '{_text(value)}', which is no number", f"查询返回 {_text(value)}，不是数字")
    if options.min is not None and number < options.min:
        return _wrong(f"the query returned {number}, less than {options.min}", f"查询返回 {number}，小于 {options.min}")
    if options.max is not None and number > options.max:
        return _wrong(f"the query returned {number}, more than {options.max}", f"查询返回 {number}，大于 {options.max}")
    return OK


def _wrong(message: str, message_zh: str) -> Finding:
    return Finding(outcome=Outcome.FAILED, cause=Cause.DATA, message=message, message_zh=message_zh)


def _number(value: Value) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
