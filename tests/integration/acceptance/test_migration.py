"""A migration from a real PostgreSQL to SQLite: proven, signed for, and a restore checked against it."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres import Postgres
from tests.unit.cli.conftest import Run
from tests.unit.cli.conftest import run as run

ROWS = [("007", "可乐 🥤", "12.5000", "3.50"), ("=8", "Müller", "-1.2500", "0.10"), ("店-9", None, "0", "99999999.99")]
CHAIN = """
chain: {{id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}}
store: {{url: "sqlite:///tillwatch.db"}}
systems:
  - {{id: old, source: sql, url: "{old}", datasets: {{stock: {{table: stock}}, prices: {{table: stock}}}}}}
  - {{id: new, source: sql, url: "sqlite:///new.db", datasets: {{stock: {{table: stock}}, prices: {{table: stock}}}}}}
  - {{id: restored, source: sql, url: "sqlite:///restored.db", datasets: {{stock: {{table: stock}}, prices: {{table: stock}}}}}}
channels: [{{id: ops, kind: webhook, url: "http://127.0.0.1:9/hook"}}]
"""
CHECKS = """
audits:
  - id: stock
    left: {system: old, dataset: stock}
    right: {system: new, dataset: stock}
    key: [sku]
    fields: {name: {type: text}, quantity: {type: decimal, scale: 4}}
    schedule: "0 3 * * 0"
    settle: 0s
  - {id: prices, preset: prices, left: {system: old, dataset: prices}, right: {system: new, dataset: prices}, schedule: "0 3 * * 0", settle: 0s}
acceptances:
  - {id: new-erp, name: {en: New ERP, zh: 新 ERP}, audits: [stock, prices]}
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [ops]}]\n"


@pytest.fixture
def root(tmp_path: Path, postgres: Postgres) -> Iterator[Path]:
    name = postgres.create_database()
    address = postgres.url(name)
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as old:
        old.execute(
            "CREATE TABLE stock (sku varchar(20) PRIMARY KEY, name text, quantity numeric(12,4), price numeric)"
        )
        with old.cursor() as cursor:
            cursor.executemany("INSERT INTO stock VALUES (%s, %s, %s, %s)", ROWS)
    files = {
        "tillwatch.yaml": CHAIN.format(old=address.replace("+psycopg", "")),
        "probes/checks.yaml": CHECKS,
        "alerts/routes.yaml": ROUTES,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    # As another system writes the same: text decimals, other trailing zeros, another order of rows.
    with sqlite3.connect(tmp_path / "new.db") as new:
        new.execute("CREATE TABLE stock (sku TEXT, name TEXT, quantity TEXT, price TEXT)")
        rows = [(sku, name, quantity.rstrip("0").rstrip(".") or "0", price) for sku, name, quantity, price in ROWS]
        new.executemany("INSERT INTO stock VALUES (?, ?, ?, ?)", rows[::-1])
    new.close()
    shutil.copy(tmp_path / "new.db", tmp_path / "restored.db")
    yield tmp_path


def edit(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as database:
        assert database.execute(statement).rowcount == 1
    database.close()


def test_equal_systems_are_accepted_with_equal_counts_sums_and_digests(root: Path, run: Run) -> None:
    file = root / "manifest.json"
    ended = run("-C", root, "acceptance", "run", "new-erp", "-o", file, "--json")
    assert (ended.code, ended.document["accepted"]) == (0, True), ended.err
    assert json.loads(file.read_text(encoding="utf-8")) == ended.document
    stock, prices = ended.document["datasets"]
    assert (stock["left"]["product"], stock["right"]["product"]) == ("postgresql", "sqlite")
    assert stock["left"]["rows"] == stock["right"]["rows"] == 3
    assert stock["left"]["sums"] == stock["right"]["sums"] == {"quantity": "11.2500"}
    assert prices["left"]["sums"] == {"price": "100000003.59"}
    assert stock["left"]["sha256"] == stock["right"]["sha256"] != prices["left"]["sha256"]


def test_a_signed_manifest_is_what_a_restore_is_checked_against(root: Path, run: Run) -> None:
    file = root / "manifest.json"
    assert run("-C", root, "acceptance", "run", "new-erp", "-o", file).code == 0
    assert run("acceptance", "sign", file, "--by", "李娜", "--reason", "all rows agree").code == 0
    assert run("-C", root, "acceptance", "verify", file, "--system", "restored").code == 0
    edit(root / "restored.db", "UPDATE stock SET quantity = '12.5001' WHERE sku = '007'")
    ended = run("-C", root, "acceptance", "verify", file, "--system", "restored", "--json")
    assert (ended.code, ended.document["same"]) == (1, False)
    assert ended.document["datasets"]["prices"] == {}
    assert ended.document["datasets"]["stock"]["sum of quantity"] == {"kept": "11.2500", "found": "11.2501"}
    # The systems themselves still hold what was accepted.
    assert run("-C", root, "acceptance", "verify", file, "--side", "left").code == 0


def test_a_single_changed_row_of_a_restore_is_named(root: Path, run: Run) -> None:
    file, kept = root / "manifest.json", root / "kept"
    assert run("-C", root, "acceptance", "run", "new-erp", "-o", file).code == 0
    assert run("acceptance", "sign", file, "--by", "李娜", "--reason", "all rows agree").code == 0
    assert run("-C", root, "acceptance", "keep", file, "--rows", kept).code == 0
    verify = ("-C", root, "acceptance", "verify", file, "--system", "restored", "--rows", kept, "--json")
    assert run(*verify).document["rows"] == {}
    edit(root / "restored.db", "UPDATE stock SET quantity = '12.5001' WHERE sku = '007'")
    ended = run(*verify)
    assert (ended.code, ended.document["broken_signatures"], ended.document["rows"]["prices"]) == (1, [], [])
    assert ended.document["rows"]["stock"] == [
        {
            "kind": "changed",
            "key": {"sku": "007"},
            "fields": ["quantity"],
            "kept": {"name": "可乐 🥤", "quantity": "12.5000"},
            "found": {"name": "可乐 🥤", "quantity": "12.5001"},
        }
    ]
    edit(root / "restored.db", "DELETE FROM stock WHERE sku = '=8'")
    edit(root / "restored.db", "INSERT INTO stock VALUES ('new', NULL, '1', '1')")
    found = run(*verify).document["rows"]["stock"]
    assert [(row["kind"], row["key"]["sku"]) for row in found] == [("changed", "007"), ("lost", "=8"), ("added", "new")]
    assert "quantity: 12.5001" in run(*verify[:-1]).out


def test_only_the_rows_that_were_signed_for_are_kept_and_believed(root: Path, run: Run) -> None:
    file, kept = root / "manifest.json", root / "kept"
    assert run("-C", root, "acceptance", "run", "new-erp", "-o", file).code == 0
    assert run("-C", root, "acceptance", "keep", file, "--rows", kept).code == 0
    edit(root / "new.db", "UPDATE stock SET quantity = '3' WHERE sku = '007'")
    ended = run("-C", root, "acceptance", "keep", file, "--rows", root / "later")
    assert (ended.code, list((root / "later").iterdir())) == (2, [])
    assert "new.stock is not what the manifest says any more" in ended.err
    shutil.copy(kept / "prices.right.rows.gz", kept / "stock.right.rows.gz")
    ended = run("-C", root, "acceptance", "verify", file, "--rows", kept)
    assert ended.code == 2
    assert "does not hold the rows that the manifest was made of" in ended.err


def test_a_manifest_that_was_changed_after_it_was_signed_is_not_believed(root: Path, run: Run) -> None:
    file = root / "manifest.json"
    run("-C", root, "acceptance", "run", "new-erp", "-o", file)
    run("acceptance", "sign", file, "--by", "li.na", "--reason", "fine")
    file.write_text(file.read_text(encoding="utf-8").replace('"missing": 0', '"missing": 1', 1), encoding="utf-8")
    ended = run("-C", root, "acceptance", "verify", file, "--json")
    assert (ended.code, ended.document["broken_signatures"]) == (1, ["li.na"])
    assert run("acceptance", "sign", file, "--by", "wang", "--reason", "fine too").code == 2


def test_a_row_that_differs_is_named_by_its_audit_and_signed_for_only_on_purpose(root: Path, run: Run) -> None:
    edit(root / "new.db", "DELETE FROM stock WHERE sku = '=8'")
    file = root / "manifest.json"
    ended = run("-C", root, "acceptance", "run", "new-erp", "-o", file, "--json")
    assert (ended.code, ended.document["accepted"]) == (1, False)
    assert ended.document["datasets"][0]["missing"] == 1
    signing = ("acceptance", "sign", file, "--by", "li.na", "--reason", "known: article 8 is retired")
    assert run(*signing).code == 4
    assert run(*signing, "--despite-differences").code == 0


def test_a_manifest_is_never_written_over(root: Path, run: Run) -> None:
    file = root / "manifest.json"
    file.write_text("mine")
    assert run("-C", root, "acceptance", "run", "new-erp", "-o", file).code == 2
    assert file.read_text() == "mine"


def test_rows_without_a_key_cannot_be_signed_for(root: Path, run: Run) -> None:
    edit(root / "new.db", "UPDATE stock SET sku = NULL WHERE sku = '007'")
    ended = run("-C", root, "acceptance", "run", "new-erp", "-o", root / "manifest.json")
    assert ended.code == 2
    assert "new.stock: 1 rows without a key" in ended.err
    assert not (root / "manifest.json").exists()
