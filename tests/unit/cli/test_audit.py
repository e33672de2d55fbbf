"""`tillwatch audit` and `repair`, as a person or a script runs them."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.audits import chain as fake_chain
from tests.support.repairs import OrdersBench
from tests.unit.cli.conftest import Run, edit

from tillwatch.cli import audit, repair
from tillwatch.clock import ManualClock
from tillwatch.store.db import Database


@pytest.fixture
def bench(sqlite_database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[OrdersBench]:
    bench = OrdersBench(sqlite_database, clock)

    @contextmanager
    def opened(_ctx: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(
            config=fake_chain(bench.spec),
            database=bench.database,
            audits=bench.runner,
            repairs=bench.repairs,
            clock=clock,
        )

    for module in (audit, repair):
        monkeypatch.setattr(module, "opened", opened)
    yield bench
    bench.runner.stop()


def make_equal(bench: OrdersBench) -> None:
    bench.apply(bench.plan())


@pytest.mark.usefixtures("bench")
def test_drift_ends_with_1_and_prints_the_promised_document(run: Run) -> None:
    ended = run("--json", "audit", "run", "orders")
    assert ended.code == 1
    document = ended.document
    assert {"run", "audit", "verdict", "left", "right", "missing", "extra", "changed", "value_at_risk", "differences",
            "strategy", "bytes_read", "seconds", "started_at"} <= document.keys()  # fmt: skip
    assert document["left"] == {"system": "till", "dataset": "orders", "rows": 3}
    assert (document["verdict"], document["missing"], document["changed"]) == ("drift", 1, 1)
    assert document["value_at_risk"] == "48.50"
    assert document["differences"][0] == {
        "kind": "missing",
        "key": {"order_ref": "CY-2"},
        "left": {"amount": "8.50", "quantity": "1.500"},
        "right": None,
        "fields": [],
        "value_at_risk": "8.50",
    }


def test_agreement_ends_with_0(bench: OrdersBench, run: Run) -> None:
    make_equal(bench)
    ended = run("--lang", "en", "audit", "run", "orders")
    assert (ended.code, ended.err) == (0, "")
    assert "orders: clean · both sides agree" in ended.out
    assert "both sides hold few rows, so all are read" in ended.out

    in_chinese = run("--lang", "zh", "audit", "run", "orders")
    assert "orders: clean · 两侧一致" in in_chinese.out
    assert "两侧行数都很少，因此全部读取" in in_chinese.out


def test_not_knowing_ends_with_3(bench: OrdersBench, run: Run) -> None:
    bench.erp.unstable = {1, 2}
    ended = run("--json", "audit", "run", "orders")
    assert (ended.code, ended.document["verdict"]) == (3, "inconclusive")


@pytest.mark.usefixtures("bench")
def test_an_unknown_audit_ends_with_2_and_a_suggestion(run: Run) -> None:
    ended = run("audit", "run", "order")
    assert (ended.code, ended.out) == (2, "")
    assert "unknown audit 'order'; did you mean 'orders'?" in ended.err


@pytest.mark.usefixtures("bench")
def test_the_table_shows_both_sides_of_each_field_that_differs(run: Run) -> None:
    ended = run("audit", "run", "orders")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["missing", "CY-2", "amount", "8.50", "-", "8.50"] in lines
    assert ["changed", "CY-3", "amount", "40.00", "50.00", "40.00"] in lines
    assert ["quantity", "4.000", "5.000"] in lines


@pytest.mark.usefixtures("bench")
def test_a_run_is_shown_again_later(run: Run) -> None:
    first = run("--json", "audit", "run", "orders").document
    assert run("--json", "audit", "show", str(first["run"])).document == first
    missing = run("audit", "show", "999")
    assert missing.code == 2
    assert "there is no audit run 999; 'tillwatch audit list' shows the latest of each audit" in missing.err


@pytest.mark.usefixtures("bench")
def test_the_list_says_what_is_known_of_each_audit_and_when_it_is_due(run: Run, clock: ManualClock) -> None:
    (never,) = run("--json", "audit", "list").document
    assert (never["audit"], never["run"], never["verdict"]) == ("orders", None, "")
    assert "never run" in run("audit", "list").out
    assert timedelta(0) < datetime.fromisoformat(never["next_at"]) - clock.now() <= timedelta(seconds=20)
    run("audit", "run", "orders")
    (last,) = run("--json", "audit", "list").document
    assert (last["verdict"], last["differences"], last["value_at_risk"]) == ("drift", 2, "48.50")


@pytest.mark.usefixtures("bench")
def test_an_export_goes_to_a_file(run: Run, tmp_path: Path) -> None:
    number = run("--json", "audit", "run", "orders").document["run"]
    for format in ("csv", "xlsx", "html"):
        file = tmp_path / f"report.{format}"
        ended = run("--json", "audit", "export", str(number), "--format", format, "--output", file)
        assert ended.document == {"run": number, "format": format, "file": str(file), "bytes": file.stat().st_size}
    rows = list(csv.reader(io.StringIO((tmp_path / "report.csv").read_text(encoding="utf-8-sig"))))
    assert [row[:2] for row in rows] == [["差异", "order_ref"], ["缺失", "CY-2"], ["不一致", "CY-3"]]


@pytest.mark.usefixtures("bench")
def test_an_export_that_makes_no_sense_is_refused(run: Run, tmp_path: Path) -> None:
    run("audit", "run", "orders")
    assert "unknown format 'pdf'; formats: csv, html, xlsx" in run("audit", "export", "1", "--format", "pdf").err
    assert "name the file with --output FILE" in run("--json", "audit", "export", "1").err
    nowhere = run("audit", "export", "1", "--output", tmp_path / "no" / "report.csv")
    assert nowhere.code == 3
    assert "cannot be written: No such file or directory" in nowhere.err


def test_a_repair_is_dry_until_told_yes(bench: OrdersBench, run: Run) -> None:
    number = run("--json", "audit", "run", "orders").document["run"]
    planned = run("--json", "repair", "plan", str(number))
    assert planned.code == 0
    assert planned.err == "nothing was sent; 'tillwatch repair apply 1' shows what would be, with --yes it is\n"
    assert [item["action"] for item in planned.document["items"]] == ["create", "correct"]
    assert len(planned.document["digest"]) == 64
    dry = run("--json", "repair", "apply", "1")
    assert (dry.code, dry.document["dry_run"]) == (0, True)
    assert [item["would"] for item in dry.document["items"]] == ["create", "correct"]
    assert bench.erp.sent == []
    wet = run("--json", "repair", "apply", "1", "--yes")
    assert (wet.code, wet.document["complete"], len(wet.document["ok"])) == (0, True, 2)
    assert bench.erp.sent == ["CY-2", "CY-3"]
    assert run("repair", "apply", "1", "--yes").code == 0
    assert bench.erp.sent == ["CY-2", "CY-3"]
    assert run("audit", "run", "orders").code == 0


def test_an_undo_is_dry_until_told_yes_and_ends_with_1_when_something_stands(bench: OrdersBench, run: Run) -> None:
    plan = bench.plan()
    bench.apply(plan)
    bench.erp.used.add("CY-2")
    dry = run("--json", "repair", "undo", str(plan))
    assert (dry.code, dry.document["dry_run"]) == (0, True)
    assert dry.err == "dry run: nothing was taken back; add --yes to do it\n"
    assert [(item["would"], item["why_not"]) for item in dry.document["items"]] == [
        ("nothing", "it is shipped already"),
        ("correct", ""),
    ]
    assert bench.erp.sent == ["CY-2", "CY-3"]
    wet = run("--json", "repair", "undo", str(plan), "--yes")
    assert (wet.code, wet.document["complete"]) == (1, False)
    assert [item["key"]["order_ref"] for item in wet.document["undone"]] == ["CY-3"]
    assert [item["reason"] for item in wet.document["kept"]] == ["not taken back: it is shipped already"]
    bench.erp.used.clear()
    ended = run("repair", "undo", str(plan), "--yes")
    assert ended.code == 0
    assert "2 taken back, 0 kept, 0 unknown" in ended.out


def test_a_repair_that_leaves_something_undone_ends_with_1(bench: OrdersBench, run: Run) -> None:
    plan = bench.plan()
    bench.erp.possible = False
    ended = run("repair", "apply", str(plan), "--yes")
    assert ended.code == 1
    assert "0 done, 2 failed, 0 unknown, 0 skipped" in ended.out
    assert "the month is closed" in ended.out


@pytest.mark.usefixtures("bench")
def test_an_unknown_plan_or_run_says_where_to_get_one(run: Run) -> None:
    ended = run("repair", "apply", "9")
    assert (ended.code, ended.err) == (2, "there is no repair plan 9; make one with 'tillwatch repair plan RUN'\n")
    assert run("repair", "plan", "9").code == 2


def test_check_names_wrong_expressions_and_repairs_at_their_place(run: Run, request: pytest.FixtureRequest) -> None:
    # The module's own `chain` hides the fixture of that name.
    chain_directory = request.getfixturevalue("chain")
    orders = chain_directory / "probes" / "consistency" / "orders.yaml"
    edit(orders, "ordered_at: changed_at", "order_at: changed_at")
    edit(orders, "abs(coalesce(left.amount, 0)", "abs(coalesce(left.amount, 0")
    ended = run("-C", chain_directory, "check")
    assert ended.code == 2
    assert "unknown key 'order_at'; did you mean 'ordered_at'?" in ended.err
    assert "the end stands where ')' is expected, opened at column 1" in ended.err


def test_the_expanded_list_shows_what_a_preset_filled_in(chain: Path, run: Run) -> None:
    stock = chain / "probes/consistency/stock.yaml"
    edit(stock, "    key: [sku]\n", "    preset: stock\n")
    listed = run("-C", chain, "audit", "list", "--expanded", "--json").document
    [one] = [one for one in listed if one["preset"]]
    assert (one["audit"], one["key"]) == ("stock-chaoyang", ["sku"])
    assert one["fields"]["quantity"] == {"type": "decimal", "scale": 4}
    assert "stock" in run("-C", chain, "audit", "list", "--expanded").out
