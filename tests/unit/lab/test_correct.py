"""What a person corrects by hand in the tills, from the command line."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tillwatch.lab import correct, till_db
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.layout import Lab, Ports
from tillwatch.lab.till_db import TillDb


def test_every_mistyped_price_of_every_shop_is_corrected_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(root=tmp_path, ports=Ports(erp=1, inbox=2, server=3, prometheus=4))
    lab.save()
    spoiled = []
    for shop in SHOPS:
        till_db.create(lab.till(shop), shop, datetime(2026, 11, 24, 3, 0, tzinfo=UTC))
        with closing(TillDb(lab.till(shop))) as database:
            spoiled += database.mistype(1)
    monkeypatch.setattr(sys, "argv", ["correct", "--lab", str(tmp_path)])
    correct.main()
    assert capsys.readouterr().out.split() == spoiled
    correct.main()
    assert capsys.readouterr().out == "nothing to correct\n"
