"""`tillwatch validate`, as a person or a script runs it, on a real database of a till."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run

CHAIN = """
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
systems:
  - id: till
    source: sql
    url: "sqlite:///till.db"
    datasets: {products: {table: products}, gone: {table: gone}}
channels: [{id: ops, kind: webhook, url: "http://127.0.0.1:9/hook"}]
"""
CHECKS = """
validations:
  - id: products
    name: {en: Products, zh: 商品}
    system: till
    dataset: products
    key: [sku]
    schedule: "*/15 * * * *"
    rules:
      - {rule: required, field: name}
      - {rule: not_negative, field: price}
      - {rule: encoding, field: name}
  - {id: gone, system: till, dataset: gone, key: [sku], schedule: "*/15 * * * *", rules: [{rule: unique, field: sku}]}
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [ops]}]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"tillwatch.yaml": CHAIN, "probes/checks.yaml": CHECKS, "alerts/routes.yaml": ROUTES}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with sqlite3.connect(tmp_path / "till.db") as till:
        till.execute("CREATE TABLE products (sku TEXT, name TEXT, price TEXT)")
        till.executemany(
            "INSERT INTO products VALUES (?, ?, ?)", [("1", "可乐", "3.50"), ("=2", "", "-1"), ("3", "锟斤拷", "2")]
        )
    till.close()
    return tmp_path


def test_invalid_rows_end_with_1_and_are_named_in_the_document(root: Path, run: Run) -> None:
    ended = run("-C", root, "validate", "run", "products", "--json")
    assert ended.code == 1
    document = ended.document
    assert (document["verdict"], document["rows"]) == ("invalid", 3)
    assert document["counts"] == {"required-name": 1, "not_negative-price": 1, "encoding-name": 1}
    assert document["findings"][0] == {
        "rule": "required-name",
        "key": {"sku": "=2"},
        "field": "name",
        "value": "",
        "problem": {"en": "no value", "zh": "没有值"},
    }
    shown = run("-C", root, "validate", "show", document["run"], "--json")
    assert (shown.code, shown.document) == (0, document)


def test_rows_that_keep_every_rule_end_with_0(root: Path, run: Run) -> None:
    with sqlite3.connect(root / "till.db") as till:
        till.execute("DELETE FROM products WHERE sku <> '1'")
    till.close()
    ended = run("-C", root, "validate", "run", "products")
    assert ended.code == 0
    assert "products: clean · every row keeps every rule" in ended.out


def test_not_knowing_ends_with_3(root: Path, run: Run) -> None:
    ended = run("-C", root, "validate", "run", "gone", "--json")
    assert (ended.code, ended.document["verdict"]) == (3, "failed")
    assert "gone" in ended.document["reason"]


def test_the_list_shows_the_last_run_of_each(root: Path, run: Run) -> None:
    run("-C", root, "validate", "run", "products")
    listed = run("-C", root, "validate", "list", "--json").document
    assert [(one["validation"], one["verdict"], one["violations"]) for one in listed] == [
        ("products", "invalid", 3),
        ("gone", "", 0),
    ]
    assert "商品" in run("-C", root, "--lang", "zh", "validate", "list").out


@pytest.mark.parametrize(("language", "problem"), [("en", "less than 0"), ("zh", "小于 0")])
def test_an_export_is_read_by_people_and_computes_nothing(root: Path, run: Run, language: str, problem: str) -> None:
    number = run("-C", root, "validate", "run", "products", "--json").document["run"]
    file = root / "report.csv"
    assert run("-C", root, "--lang", language, "validate", "export", number, "-o", file).code == 0
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert ["not_negative-price", "'=2", "price", "-1", problem] in rows
    for format in ("xlsx", "html"):
        ended = run("-C", root, "--json", "validate", "export", number, "--format", format, "-o", root / f"r.{format}")
        assert json.loads(ended.out)["bytes"] == (root / f"r.{format}").stat().st_size
    assert "锟斤拷" in (root / "r.html").read_text(encoding="utf-8")


def test_an_unknown_format_says_what_there_is(root: Path, run: Run) -> None:
    number = run("-C", root, "validate", "run", "products", "--json").document["run"]
    ended = run("-C", root, "validate", "export", number, "--format", "csw", "-o", root / "x")
    assert (ended.code, "did you mean 'csv'" in ended.err) == (2, True)


def test_check_names_the_rule_that_makes_no_sense_at_its_place(root: Path, run: Run) -> None:
    wrong = CHECKS.replace("{rule: encoding, field: name}", "{rule: pattern, field: name, pattern: '('}")
    (root / "probes/checks.yaml").write_text(wrong, encoding="utf-8")
    ended = run("-C", root, "check")
    assert ended.code == 2
    assert "probes/checks.yaml:3:9: validation 'products': rule pattern-name: '^(?:()$' is not an RE2" in ended.err
