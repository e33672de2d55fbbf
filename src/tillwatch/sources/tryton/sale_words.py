"""What a plan for a sale says to people, in English and Chinese: its steps and its conditions. Pure functions."""

from collections.abc import Sequence
from decimal import Decimal

from tillwatch.sources.documents import Line, Operation, OrderDocument, Precondition, Receipt, Text
from tillwatch.sources.tryton import sale_steps
from tillwatch.sources.tryton.sale_steps import LineImage, SaleImage, content


def sound(document: OrderDocument) -> Precondition:
    """An order that can be posted at all."""
    ok = bool(document.reference.strip()) and bool(content(document.lines))
    return Precondition(
        name="document",
        ok=ok,
        message={
            "en": "reference and lines are there" if ok else "the order has no reference or no line with a quantity",
            "zh": "单号和明细齐全" if ok else "订单没有单号，或没有带数量的明细行",
        },
    )


def twice(sales: Sequence[SaleImage]) -> Precondition:
    """More than one live sale: which of them is right is a person's decision."""
    names = ", ".join(sale.number or f"id {sale.id}" for sale in sales)
    reference = sales[0].reference
    return Precondition(
        name="unique",
        ok=False,
        message={
            "en": f"{len(sales)} sales carry the reference {reference!r} ({names}); cancel the wrong ones in the ERP",
            "zh": f"有 {len(sales)} 张销售单使用单号 {reference!r}（{names}）；请先在 ERP 中取消多余的单据",
        },
    )


def changeable(sale: SaleImage) -> Precondition:
    ok = sale.state in sale_steps.CHANGEABLE
    return Precondition(
        name="changeable",
        ok=ok,
        message={
            "en": f"the sale is {sale.state!r}"
            + ("" if ok else ": being delivered or invoiced already, so correct it by hand with a return"),
            "zh": f"销售单状态为 {sale.state!r}" + ("" if ok else "：已在发货或开票，请人工做退货更正"),
        },
    )


def as_we_left_it(sale: SaleImage, receipt: Receipt) -> Precondition:
    """An undo takes back our own change only, never somebody's later one."""
    after = receipt.after
    ok = after is not None and after["id"] == sale.id and content(sale.lines) == content(sale_steps.lines_of(after))
    return Precondition(
        name="unchanged since",
        ok=ok,
        message={
            "en": "nobody changed the sale after us" if ok else "the sale was changed after us; correct it by hand",
            "zh": "此后无人改动该销售单" if ok else "此后有人改动过该销售单，请人工处理",
        },
    )


def reversal(sale: SaleImage | None) -> tuple[Text, ...]:
    """What taking back a sale of somebody else's would send."""
    if sale is None:
        return ()
    number = sale.number or f"id {sale.id}"
    size, total = len(sale.lines), f"{sale.total:.2f}"
    return (
        {
            "en": f"cancel sale {number} for {sale.reference}: {size} lines, {total}; nothing is deleted",
            "zh": f"取消 {sale.reference} 的销售单 {number}：{size} 行，金额 {total}；不删除任何数据",
        },
    )


def restoring(sale: SaleImage | None) -> tuple[Text, ...]:
    """What makes a cancelled sale stand again."""
    if sale is None:
        return ()
    number = sale.number or f"id {sale.id}"
    return ({"en": f"bring back cancelled sale {number}", "zh": f"恢复已取消的销售单 {number}"},)


def still_cancelled(sale: SaleImage | None, live: Sequence[SaleImage]) -> Precondition:
    """A cancelled sale is brought back only where nothing took its place."""
    ok = sale is not None and not live
    en = "the sale is cancelled and nothing took its place"
    zh = "销售单仍为取消状态，且没有其他单据代替它"
    if not ok:
        en = "the cancelled sale is gone, or another one stands in its place; correct it by hand"
        zh = "已取消的销售单不存在，或已有其他单据代替它；请人工处理"
    return Precondition(name="still cancelled", ok=ok, message={"en": en, "zh": zh})


def in_words(document: OrderDocument, operation: Operation, sale: SaleImage | None) -> tuple[Text, ...]:
    """What `write` would send, one sentence a step."""
    name = document.reference
    number = (sale.number or f"id {sale.id}") if sale else ""
    total = sum((line.quantity * line.unit_price for line in document.lines), Decimal(0))
    size = f"{len(document.lines)} lines, {total:.2f}"
    size_zh = f"{len(document.lines)} 行，金额 {total:.2f}"
    confirm: Text = {"en": "quote and confirm it", "zh": "报价并确认"}
    to_draft: Text = {"en": f"take sale {number} back to draft", "zh": f"将销售单 {number} 退回草稿"}
    match operation:
        case Operation.CREATE:
            first: Text = {"en": f"create a sale for {name}: {size}", "zh": f"为 {name} 新建销售单：{size_zh}"}
            return (first, confirm)
        case Operation.FINISH:
            return (
                {"en": f"sale {number} for {name} stands there unfinished", "zh": f"{name} 的销售单 {number} 未完成"},
                confirm,
            )
        case Operation.CORRECT:
            assert sale is not None
            lines = _lines_in_words(sale.lines, document.lines)
            return (*(() if sale.state == "draft" else (to_draft,)), *lines, confirm)
        case Operation.CANCEL:
            cancel: Text = {"en": f"cancel sale {number} for {name}", "zh": f"取消 {name} 的销售单 {number}"}
            return (to_draft, cancel) if sale else ()
        case _:
            return ()


def _lines_in_words(there: Sequence[LineImage], wanted: Sequence[Line]) -> list[Text]:
    changes = sale_steps.line_changes(there, wanted)
    old = {line.id: line for line in there}
    words: list[Text] = []
    for line_id, line in changes.written:
        was = old[line_id]
        change = f"{was.quantity:f} × {was.unit_price:f} → {line.quantity:f} × {line.unit_price:f}"
        words.append({"en": f"{line.sku}: {change}", "zh": f"{line.sku}：{change}"})
    for line in changes.created:
        words.append(
            {
                "en": f"add {line.sku}: {line.quantity:f} × {line.unit_price:f}",
                "zh": f"增加 {line.sku}：{line.quantity:f} × {line.unit_price:f}",
            }
        )
    for line_id in changes.deleted:
        was = old[line_id]
        words.append({"en": f"remove {was.sku}: {was.quantity:f}", "zh": f"删除 {was.sku}：{was.quantity:f}"})
    return words
