"""`tillwatch source` shows what an audit would see, and its exit codes say whether it worked."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tillwatch.cli.main import main

CHAIN = """\
chain: {id: demo, name: {en: Demo, zh: 示例}, timezone: Asia/Shanghai, locale: en, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
channels: [{id: c, kind: webhook, url: "http://127.0.0.1:1/"}]
systems:
  - id: till
    name: {en: Till, zh: 收银}
    source: sql
    url: "sqlite:///till.db"
    timezone: Asia/Shanghai
    datasets: {items: {table: items}}
  - {id: gone, source: sql, url: "sqlite:///gone.db", datasets: {items: {table: items}}}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "tillwatch.yaml").write_text(CHAIN, encoding="utf-8")
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "routes.yaml").write_text("route: {receiver: r}\nreceivers: [{id: r, channels: [c]}]\n")
    connection = sqlite3.connect(tmp_path / "till.db")
    connection.execute("CREATE TABLE items (sku TEXT, name TEXT, price REAL, changed_at TEXT)")
    rows = [("0012", "苹果", 19.99, "2026-11-24 09:00:00"), ("0013", "", None, "2026-11-24 10:00:00")]
    connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(tmp_path), *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_list_connects_to_nothing_and_names_every_system(run: Run) -> None:
    code, out, _ = run("source", "list", "--json")
    assert code == 0
    assert [(row["id"], row["kind"], row["name"]) for row in json.loads(out)] == [
        ("till", "sql", {"en": "Till", "zh": "收银"}),
        ("gone", "sql", {}),
    ]
    assert "收银" in run("source", "list", "--lang", "zh")[1]


def test_check_exits_one_when_a_step_fails_and_says_the_cause(run: Run) -> None:
    assert run("source", "check", "till")[0] == 0
    code, out, _ = run("source", "check", "gone", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    assert [(step["name"], step["outcome"], step["cause"]) for step in document["checks"]] == [
        ("connect", "fail", "tcp"),
        ("dataset:items", "skipped", ""),
    ]


def test_read_tells_null_from_empty_and_times_in_the_chains_zone(run: Run) -> None:
    _, out, _ = run("source", "read", "till", "items")
    assert "0012  苹果  19.99  2026-11-24 09:00:00+08:00" in out
    assert "0013  ''    NULL   2026-11-24 10:00:00+08:00" in out


def test_read_keeps_decimals_as_text_in_json_and_says_when_there_is_more(run: Run) -> None:
    document = json.loads(run("source", "read", "till", "items", "--limit", "1", "--field", "price", "--json")[1])
    assert (document["rows"], document["more"]) == ([{"price": "19.99"}], True)
    document = json.loads(run("source", "read", "till", "items", "--limit", "2", "--json")[1])
    assert document["more"] is False


def test_read_takes_keys_and_a_time(run: Run) -> None:
    document = json.loads(run("source", "read", "till", "items", "--key", "sku=0012", "--json")[1])
    assert [row["sku"] for row in document["rows"]] == ["0012"]
    document = json.loads(run("source", "read", "till", "items", "--since", "2026-11-24T09:30", "--json")[1])
    assert [row["sku"] for row in document["rows"]] == ["0013"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("read", "tills", "items"), 2, "no system 'tills'; did you mean 'till'"),
        (("read", "till", "itms"), 3, "no dataset 'itms'; did you mean 'items'"),
        (("read", "till", "items", "--field", "prize"), 3, "no field 'prize'; did you mean 'price'"),
        (("read", "till", "items", "--key", "0012"), 2, "write for example --key sku=001234"),
        (("read", "till", "items", "--since", "noon"), 2, "is not a time"),
        (("describe", "gone"), 3, "unable to open database file"),
    ],
)
def test_a_mistake_says_what_to_write_instead(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, out, err = run("source", *arguments)
    assert found == code
    assert words in err
    assert out == ""


def test_describe_names_columns_and_types(run: Run) -> None:
    _, out, _ = run("source", "describe", "till")
    assert "till: sqlite" in out
    assert "items    price       price       REAL" in out
