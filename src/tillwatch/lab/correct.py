"""What a person does about `invalid-data`: `python -m tillwatch.lab.correct --lab DIR` corrects the tills' prices."""

import argparse
import contextlib
from pathlib import Path

from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.layout import Lab
from tillwatch.lab.till_db import TillDb


def correct(lab: Lab) -> list[str]:
    """Correct every mistyped price of every shop; returns the orders. Doing it twice changes nothing."""
    corrected: list[str] = []
    for shop in SHOPS:
        with contextlib.closing(TillDb(lab.till(shop))) as database:
            corrected += database.correct()
    return corrected


def main() -> None:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.correct", description=__doc__)
    parser.add_argument("--lab", type=Path, required=True)
    corrected = correct(Lab.load(parser.parse_args().lab))
    print("\n".join(corrected) or "nothing to correct")  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
