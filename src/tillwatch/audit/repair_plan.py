"""From the differences of a run to documents: what would settle each of them. Reads, never writes to a system."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Key

from tillwatch.audit.canonical import FieldType, Rule, Unreadable, canonical, decimal_text
from tillwatch.audit.declare import Declared
from tillwatch.config.bind import bind
from tillwatch.config.schema import Audit, Duration, Side
from tillwatch.errors import Problem, UsageError
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, Row, Value
from tillwatch.model.repair import RepairAction, RepairItem, RepairStatus
from tillwatch.sources.base import Source
from tillwatch.sources.documents import Document, Line, OrderDocument, OrderReversal, StockCount, document_to_json

#: Orders whose lines are asked for at once.
KEYS_PER_READ = 200
#: More differences than this are a fault to be found, not rows to be repaired; `max_items` says otherwise.
DEFAULT_MAX_ITEMS = 500
#: No audit may allow more.
MOST_ITEMS = 10_000
#: Documents sent before the first of them are looked at again; `batch` says otherwise.
DEFAULT_BATCH = 50
#: Between two batches, so that what a document sets off in the other system has begun; `pause` says otherwise.
DEFAULT_PAUSE = timedelta(seconds=2)


class RepairOptions(BaseModel):
    """The `repair` of an audit: how a difference becomes a document in the right-hand system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["order", "stock_count"] = Key("order", description="The document the other system receives.")
    lines: Side | None = Key(None, description="Where the lines of an order are, by the audit's key.")
    sku: str = Key("sku", description="Field with the product's code.")
    quantity: str = Key("quantity", description="Field with the quantity.")
    price: str = Key("price", description="Field of the lines with the price of one unit.")
    amount: str = Key("amount", description="Compared field the lines must add up to.")
    ordered_at: str = Key("", description="Field of the left dataset with the time of the order.")
    location: str = Key("", description="The shop's location in the other system.")
    extra: Literal["ask", "reverse"] = Key(
        "ask",
        description="What stands only in the other system: ask a person, or take it back there by its own means. "
        "Reverse only where the left side is known to forget nothing.",
    )
    max_items: Annotated[int, Key(ge=1, le=MOST_ITEMS)] = Key(
        DEFAULT_MAX_ITEMS, description="More differences than this are a fault to be found, not rows to be replayed."
    )
    max_value: Annotated[Decimal | None, Key(gt=0)] = Key(
        None, description="A run with more money at risk than this is not planned; needs the audit's 'value'."
    )
    batch: Annotated[int, Key(ge=1, le=MOST_ITEMS)] = Key(
        DEFAULT_BATCH, description="So many documents are sent, then looked at again; the next only when all hold."
    )
    pause: Duration = Key(DEFAULT_PAUSE, description="Wait between two batches.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "order" and self.lines is None:
            raise ValueError("an order needs 'lines: {system: …, dataset: …}'")
        if self.kind == "stock_count" and not self.location:
            raise ValueError("a stock count needs 'location'")
        return self


def options_of(spec: Audit, problems: list[Problem]) -> RepairOptions | None:
    """The audit's repair; None when it has none or it is wrong (then `problems` says how)."""
    if spec.repair is None:
        return None
    where = f"repair of audit '{spec.id}'"
    options = bind(spec.repair, RepairOptions, where=where, problems=problems)
    if options is not None and options.max_value is not None and not spec.value:
        message = f"{where}: 'max_value' needs the audit's 'value'; without it no money is known to be at risk"
        problems.append(spec.repair.place.problem(message))
        return None
    return options


def items(
    report: AuditReport, declared: Declared, options: RepairOptions, left: Source, lines: Source | None
) -> tuple[RepairItem, ...]:
    """One item a difference, in the report's order. Raises UsageError when there are too many, or too much money."""
    found = report.missing + report.extra + report.changed
    if found > options.max_items:
        raise UsageError(
            f"run {report.run} found {found} differences, more than max_items ({options.max_items}) of the repair of "
            f"audit '{report.audit}'; look for the common cause first, or raise max_items"
        )
    if options.max_value is not None and report.value_at_risk > options.max_value:
        raise UsageError(
            f"run {report.run} puts {report.value_at_risk:.2f} at risk, more than max_value ({options.max_value:.2f}) "
            f"of the repair of audit '{report.audit}'; let who answers for the money look first, or raise max_value"
        )
    wanted = [row for row in report.differences if row.kind is not DifferenceKind.EXTRA]
    if options.kind == "stock_count":
        return tuple(
            _stock_item(number, row, report, options) for number, row in enumerate(report.differences, start=1)
        )
    assert options.lines is not None and lines is not None
    keys = [row.key for row in wanted]
    by_key = _lines(lines, options, declared, keys)
    times = _times(left, declared, options, keys)
    return tuple(
        _order_item(number, row, declared, options, by_key, times)
        for number, row in enumerate(report.differences, start=1)
    )


def digest(run: int, system: str, planned: Sequence[RepairItem]) -> str:
    """What an approver signs: the documents, not what became of them."""
    content = [
        [item.number, dict(item.key), item.kind.value, item.action.value, dict(item.document)] for item in planned
    ]
    return hashlib.sha256(orjson.dumps([run, system, content], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _manual(number: int, row: Difference, reason: str) -> RepairItem:
    return RepairItem(
        number=number,
        key=row.key,
        kind=row.kind,
        action=RepairAction.MANUAL,
        left=row.left,
        right=row.right,
        value_at_risk=row.value_at_risk,
        status=RepairStatus.SKIPPED,
        reason=reason,
    )


_EXTRA = "stands only in the other system; nothing is ever deleted there, a person decides"


def _order_item(
    number: int,
    row: Difference,
    declared: Declared,
    options: RepairOptions,
    lines: Mapping[tuple[str, ...], list[Row]],
    times: Mapping[tuple[str, ...], datetime],
) -> RepairItem:
    key = _tuple(declared, row.key)
    if row.kind is DifferenceKind.EXTRA:
        if options.extra == "ask":
            return _manual(number, row, _EXTRA)
        return _item(number, row, OrderReversal(reference=key[0]))
    order: list[Line] = []
    for line in lines.get(key, ()):
        sku, quantity, price = line[options.sku], line[options.quantity], line[options.price]
        pieces, each = _exact(quantity), _exact(price)
        if not isinstance(sku, str) or pieces is None or each is None:
            return _manual(number, row, f"a line cannot be used: {options.sku}={sku}, {quantity} × {price}")
        order.append(Line(sku=sku, quantity=pieces, unit_price=each))
    if not order:
        return _manual(number, row, "the shop has no lines for it, so nobody knows what was sold")
    if complaint := _does_not_add_up(row, order, declared, options):
        return _manual(number, row, complaint)
    document = OrderDocument(reference=key[0], lines=tuple(order), ordered_at=times.get(key), location=options.location)
    return _item(number, row, document)


def _item(number: int, row: Difference, document: Document) -> RepairItem:
    return RepairItem(
        number=number,
        key=row.key,
        kind=row.kind,
        action=_action(row, document),
        document=document_to_json(document),
        left=row.left,
        right=row.right,
        value_at_risk=row.value_at_risk,
    )


def _action(row: Difference, document: Document) -> RepairAction:
    """A count is always a document of its own, also where the other system holds the product with another quantity."""
    if row.kind is DifferenceKind.EXTRA:
        return RepairAction.REVERSE
    corrects = row.kind is DifferenceKind.CHANGED and isinstance(document, OrderDocument)
    return RepairAction.CORRECT if corrects else RepairAction.CREATE


def _does_not_add_up(row: Difference, order: Sequence[Line], declared: Declared, options: RepairOptions) -> str:
    """Why the lines cannot be the order the audit saw; empty when they can."""
    assert row.left is not None
    totals = {
        options.quantity: sum((line.quantity for line in order), Decimal(0)),
        options.amount: sum((line.quantity * line.unit_price for line in order), Decimal(0)),
    }
    for rule in declared.fields:
        said = row.left.get(rule.name)
        if rule.name not in totals or said is None:
            continue
        # Tills round every line, each by up to half a unit of the last place.
        rounding = Decimal(1).scaleb(-(2 if rule.scale is None else rule.scale)) / 2 * len(order)
        allowed = max(rule.tolerance or Decimal(0), rounding)
        if abs(totals[rule.name] - Decimal(said)) > allowed:
            return (
                f"its lines add up to {rule.name} {decimal_text(totals[rule.name], rule.scale)}, the shop says {said}"
            )
    return ""


def _stock_item(number: int, row: Difference, report: AuditReport, options: RepairOptions) -> RepairItem:
    if row.left is None and options.extra == "ask":
        return _manual(number, row, _EXTRA)
    expected = (row.right or {}).get(options.quantity)
    counted = _NOTHING if row.left is None else row.left.get(options.quantity)
    if counted is None or options.sku not in row.key:
        return _manual(number, row, f"it has no {options.quantity}, or the key has no {options.sku}")
    document = StockCount(
        location=options.location,
        sku=row.key[options.sku],
        quantity=Decimal(counted),
        expected=Decimal(expected or 0),
        reference=f"tillwatch-{report.run}-{row.key[options.sku]}",
    )
    return _item(number, row, document)


#: What the side of truth has of a product it does not know.
_NOTHING = "0"
_NUMBER = canonical(Rule(name="", type=FieldType.DECIMAL, zone=ZoneInfo("UTC")))


def _exact(value: Value) -> Decimal | None:
    """The number of a line, also one that a database keeps as text; None when it is none."""
    try:
        text = _NUMBER(value)
    except Unreadable:
        return None
    return None if text is None else Decimal(text)


def _tuple(declared: Declared, key: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(key[name] for name in declared.key_names)


def _lines(
    source: Source, options: RepairOptions, declared: Declared, keys: Sequence[Mapping[str, str]]
) -> dict[tuple[str, ...], list[Row]]:
    assert options.lines is not None
    columns = (*declared.key_names, options.sku, options.quantity, options.price)
    found: dict[tuple[str, ...], list[Row]] = {}
    for key, row in _read(source, options.lines.dataset, columns, declared, keys):
        found.setdefault(key, []).append(row)
    return found


def _times(
    source: Source, declared: Declared, options: RepairOptions, keys: Sequence[Mapping[str, str]]
) -> dict[tuple[str, ...], datetime]:
    if not options.ordered_at:
        return {}
    columns = (*declared.key_names, options.ordered_at)
    return {
        key: moment
        for key, row in _read(source, declared.spec.left.dataset, columns, declared, keys)
        if isinstance(moment := row[options.ordered_at], datetime)
    }


def _read(
    source: Source, dataset: str, columns: Sequence[str], declared: Declared, keys: Sequence[Mapping[str, str]]
) -> list[tuple[tuple[str, ...], Row]]:
    """Rows of the wanted keys, with their canonical key."""
    wanted = {_tuple(declared, key) for key in keys}
    readers = [(rule.name, canonical(rule)) for rule in declared.key]
    found: list[tuple[tuple[str, ...], Row]] = []
    pieces: list[Sequence[Mapping[str, str]] | None] = [None]
    if source.capabilities.keys:
        pieces = [keys[start : start + KEYS_PER_READ] for start in range(0, len(keys), KEYS_PER_READ)]
    for piece in pieces:
        with source.read(dataset, columns, keys=piece) as reading:
            for batch in reading:
                for row in batch:
                    try:
                        key = tuple(read(row[name]) or "" for name, read in readers)
                    except Unreadable:
                        continue
                    if key in wanted:
                        found.append((key, row))
    return found
