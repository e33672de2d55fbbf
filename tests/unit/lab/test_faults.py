"""Order faults: asked for once, injected as often as asked, remembered."""

from pathlib import Path

import pytest

from tillwatch.lab import faults
from tillwatch.lab.faults import Injected, OrderFault, OrderFaults

REQUEST = OrderFaults(id="r1", shop="chaoyang", drop=2, wrong_quantity=1)


def injected(kind: OrderFault, reference: str = "CY-1") -> Injected:
    return Injected(request="r1", kind=kind, reference=reference)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ([], OrderFault.DROP),
        ([OrderFault.DROP], OrderFault.DROP),
        ([OrderFault.DROP] * 2, OrderFault.WRONG_QUANTITY),
        ([OrderFault.DROP] * 2 + [OrderFault.WRONG_QUANTITY], None),
    ],
)
def test_drops_come_first_then_wrong_quantities_then_nothing(
    done: list[OrderFault], expected: OrderFault | None
) -> None:
    assert faults.next_fault(REQUEST, "chaoyang", [injected(kind) for kind in done]) is expected


def test_other_shops_are_left_alone() -> None:
    assert faults.next_fault(REQUEST, "haidian", []) is None
    assert faults.next_fault(None, "chaoyang", []) is None


def test_a_request_and_its_record_survive_a_restart(tmp_path: Path) -> None:
    control, log = tmp_path / "faults.json", tmp_path / "injected.jsonl"
    assert faults.asked(control) is None
    assert faults.recorded(log, "r1") == ()
    faults.ask(control, REQUEST)
    faults.record(log, injected(OrderFault.DROP, "CY-7"))
    faults.record(log, Injected(request="r0", kind=OrderFault.DROP, reference="CY-1"))
    assert faults.asked(control) == REQUEST
    assert faults.recorded(log, "r1") == (injected(OrderFault.DROP, "CY-7"),)
