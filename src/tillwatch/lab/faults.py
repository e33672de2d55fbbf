"""Faults asked for through a control file, and the record of what was really injected.

The asker writes the whole control file by rename; the injector only reads it and appends to the record, so neither
waits for the other and a restarted injector knows what it has already done.
"""

import enum
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


class OrderFault(enum.StrEnum):
    DROP = "drop"
    WRONG_QUANTITY = "wrong_quantity"


@dataclass(frozen=True, kw_only=True)
class OrderFaults:
    """Spoil the next orders of one shop on their way to the ERP."""

    #: Names this request in the record; asking again needs a new name.
    id: str
    shop: str
    drop: int
    wrong_quantity: int

    @property
    def total(self) -> int:
        return self.drop + self.wrong_quantity


@dataclass(frozen=True, kw_only=True)
class Injected:
    request: str
    kind: OrderFault
    reference: str


def ask(control: Path, faults: OrderFaults) -> None:
    temporary = control.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(faults)), encoding="utf-8")
    temporary.replace(control)


def asked(control: Path) -> OrderFaults | None:
    """The request now in force, or None."""
    try:
        return OrderFaults(**json.loads(control.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def record(log: Path, injected: Injected) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(injected)) + "\n")


def recorded(log: Path, request: str) -> tuple[Injected, ...]:
    """Everything injected for `request`, in order."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    found = [json.loads(line) for line in lines]
    return tuple(
        Injected(request=item["request"], kind=OrderFault(item["kind"]), reference=item["reference"])
        for item in found
        if item["request"] == request
    )


def next_fault(request: OrderFaults | None, shop: str, done: Sequence[Injected]) -> OrderFault | None:
    """What to do to the next order of `shop`: drops first, then wrong quantities, then nothing."""
    if request is None or request.shop != shop:
        return None
    for kind, wanted in ((OrderFault.DROP, request.drop), (OrderFault.WRONG_QUANTITY, request.wrong_quantity)):
        if sum(item.kind is kind for item in done) < wanted:
            return kind
    return None
