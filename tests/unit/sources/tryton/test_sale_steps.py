"""From any sale to the wanted one in a few steps that end, whatever was there before."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.sources.documents import Line, Operation
from tillwatch.sources.tryton import sale_steps
from tillwatch.sources.tryton.sale_steps import LineImage, SaleImage, Step, content

SKUS = st.sampled_from(["0012", "12", "A"])
QUANTITIES = st.decimals(min_value="0.001", max_value="99", places=3)
PRICES = st.sampled_from([Decimal("1.50"), Decimal("1.5"), Decimal("33.09")])
LINES = st.lists(st.builds(Line, sku=SKUS, quantity=QUANTITIES, unit_price=PRICES), max_size=6)
STATES = st.sampled_from(["draft", "quotation", "confirmed"])


def sale(lines: list[Line], state: str = "confirmed") -> SaleImage:
    return SaleImage(
        id=7,
        number="7",
        reference="CY-1",
        state=state,
        total=Decimal(0),
        timestamp="1.0",
        lines=tuple(
            LineImage(
                id=number, sku=line.sku, quantity=line.quantity, unit_price=line.unit_price, timestamp=f"{number}.0"
            )
            for number, line in enumerate(lines)
        ),
    )


def taken(step: Step, there: SaleImage | None, wanted: list[Line]) -> SaleImage | None:
    """What the ERP would hold after the step."""
    match step:
        case Step.CREATE:
            return sale(wanted, "draft")
        case Step.CANCEL:
            return None
    assert there is not None
    if step is Step.LINES:
        return replace(there, lines=applied(there, wanted))
    states = {Step.TO_DRAFT: "draft", Step.QUOTE: "quotation", Step.CONFIRM: "confirmed"}
    return replace(there, state=states[step])


def applied(there: SaleImage, wanted: list[Line]) -> tuple[LineImage, ...]:
    changes = sale_steps.line_changes(there.lines, wanted)
    written = dict(changes.written)
    kept = [line for line in there.lines if line.id not in changes.deleted]
    lines = [(written.get(line.id) or line) for line in kept] + list(changes.created)
    return sale([Line(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in lines]).lines


@given(there=st.none() | st.builds(sale, LINES, STATES), wanted=LINES.filter(bool))
def test_the_steps_lead_to_a_confirmed_sale_with_the_wanted_content(
    there: SaleImage | None, wanted: list[Line]
) -> None:
    for _ in range(6):
        step = sale_steps.next_step(there, content(wanted))
        if step is Step.DONE:
            break
        there = taken(step, there, wanted)
    assert there is not None
    assert there.state == "confirmed"
    assert content(there.lines) == content(wanted)
    assert sale_steps.operation(there, content(wanted)) is Operation.NONE


@given(there=st.none() | st.builds(sale, LINES, STATES))
def test_the_undo_leads_to_no_live_sale(there: SaleImage | None) -> None:
    for _ in range(3):
        step = sale_steps.next_undo(there)
        if step is Step.DONE:
            break
        there = taken(step, there, [])
    assert there is None


@given(there=LINES, wanted=LINES)
def test_changed_lines_give_exactly_the_wanted_ones_and_touch_no_line_that_is_right(
    there: list[Line], wanted: list[Line]
) -> None:
    before = sale(there, "draft")
    assert content(applied(before, wanted)) == content(wanted)
    changes = sale_steps.line_changes(before.lines, there)
    assert (changes.written, changes.deleted, changes.created) == ((), (), ())


@pytest.mark.parametrize("state", ["processing", "done"])
def test_a_sale_on_its_way_is_left_alone(state: str) -> None:
    line = Line(sku="A", quantity=Decimal(1), unit_price=Decimal(1))
    there = sale([line], state)
    assert sale_steps.next_step(there, content([line])) is Step.DONE
    assert sale_steps.next_step(there, content([replace(line, quantity=Decimal(2))])) is Step.STUCK
    assert sale_steps.next_undo(there) is Step.STUCK


def test_how_lines_are_cut_and_how_prices_are_spelled_makes_no_difference() -> None:
    one = [Line(sku="A", quantity=Decimal("2.0"), unit_price=Decimal("1.50"))]
    two = [Line(sku="A", quantity=Decimal(1), unit_price=Decimal("1.5"))] * 2
    assert content(one) == content(two)
    assert content([*one, Line(sku="A", quantity=Decimal("-2"), unit_price=Decimal("1.5"))]) == {}
    assert content(one) != content([Line(sku="0A", quantity=Decimal(2), unit_price=Decimal("1.5"))])


def test_an_image_is_read_from_a_record_and_leaves_out_comments() -> None:
    record = {
        "id": 3,
        "number": None,
        "reference": "CY-1",
        "state": "draft",
        "total_amount": None,
        "_timestamp": "9.1",
        "lines.": [
            {
                "id": 1,
                "type": "line",
                "quantity": Decimal("1.5"),
                "unit_price": Decimal(2),
                "_timestamp": "1",
                "product.": {"code": "0012"},
            },
            {"id": 2, "type": "comment", "quantity": None, "unit_price": None, "_timestamp": "1", "product.": None},
            {"id": 3, "type": "line", "quantity": None, "unit_price": None, "_timestamp": "1", "product.": None},
        ],
    }
    found = sale_steps.image(record)
    assert [(line.sku, line.quantity) for line in found.lines] == [("0012", Decimal("1.5")), ("", Decimal(0))]
    assert content(sale_steps.lines_of(found.to_json())) == content(found.lines)
