"""Runs the stub (`tests.support.odata`) as a process of its own, filled with items, for measuring; prints its url."""

import sys
import threading

from tests.support.odata import ODataStub, StubSet

ITEMS = StubSet(
    name="Items",
    key=("number",),
    properties={
        "number": "Edm.String",
        "inventory": "Edm.Decimal",
        "unitPrice": "Edm.Decimal",
        "displayName": "Edm.String",
    },
)


def main(rows: int, latency_seconds: float) -> None:
    stub = ODataStub(ITEMS)
    stub.put(
        "Items",
        *(
            {
                "number": f"{n:08d}",
                "inventory": f"{n % 977}.5",
                "unitPrice": f"{n % 4999}.99",
                "displayName": f"商品 {n}",
            }
            for n in range(rows)
        ),
    )
    stub.behaviour.latency_seconds = latency_seconds
    with stub.running():
        sys.stdout.write(stub.url + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
