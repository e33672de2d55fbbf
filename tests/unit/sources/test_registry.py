"""Systems become sources: every mistake at once, nothing connected before it is asked for, one source a system."""

from pathlib import Path

import pytest

from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import ConfigError, RefusedError, SchemaMismatch, UsageError
from tillwatch.sources import registry
from tillwatch.sources.base import CheckOutcome, OrderDocument
from tillwatch.sources.host import HostSource
from tillwatch.sources.sql import SqlSource
from tillwatch.sources.tryton import TrytonSource

CHAIN = """\
chain: {id: demo, name: {en: Demo}, timezone: Asia/Shanghai, locale: en, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
channels: [{id: c, kind: webhook, url: "http://127.0.0.1:1/"}]
systems:
"""
ERP = '  - {id: erp, source: tryton, url: "http://127.0.0.1:1", database: shop, user: u, password: p}\n'
TILL = '  - {id: till, source: sql, url: "sqlite:///till.db"}\n'
HOST = "  - {id: server, source: host}\n"


def chain(folder: Path, *systems: str) -> ChainConfig:
    (folder / "tillwatch.yaml").write_text(CHAIN + "".join(systems), encoding="utf-8")
    (folder / "alerts").mkdir()
    (folder / "alerts" / "routes.yaml").write_text(
        "route: {receiver: r}\nreceivers: [{id: r, channels: [c]}]\n", encoding="utf-8"
    )
    return load(folder)


def test_each_system_gets_its_kind_once_and_only_when_asked(tmp_path: Path) -> None:
    sources = registry.build(chain(tmp_path, ERP, TILL, HOST), clock=ManualClock())
    assert sources.ids == ("erp", "till", "server")
    kinds = [type(sources.get(system)) for system in sources.ids]
    assert kinds == [TrytonSource, SqlSource, HostSource]
    assert sources.get("erp") is sources.get("erp")
    sources.close()
    sources.close()


def test_a_system_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    sources = registry.build(chain(tmp_path, ERP, TILL), clock=ManualClock())
    with pytest.raises(UsageError, match="no system 'tils'; did you mean 'till'"):
        sources.get("tils")


def test_every_mistake_of_every_system_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    wrong_kind = "  - {id: a, source: trytn}\n"
    wrong_key = '  - {id: b, source: sql, url: "sqlite:///x", dataset: {}}\n'
    missing = "  - {id: c, source: tryton}\n"
    on_host = "  - {id: d, source: host, url: x}\n"
    config = chain(tmp_path, wrong_kind, wrong_key, missing, on_host)
    with pytest.raises(ConfigError) as failure:
        registry.build(config, clock=ManualClock())
    lines = str(failure.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["5", "6", "7", "7", "7", "7", "8"]
    assert "unknown kind of source 'trytn'; did you mean 'tryton'?" in lines[0]
    assert "system 'b' (sql): unknown key 'dataset'; did you mean 'datasets'?" in lines[1]
    assert failure.value.problems == tuple(sorted(registry.problems(config)))


def test_a_host_is_there_and_has_nothing_to_read_or_write() -> None:
    host = HostSource("server")
    assert [check.outcome for check in host.check()] == [CheckOutcome.OK]
    assert host.describe().datasets == {}
    with pytest.raises(SchemaMismatch, match="is a host and has no datasets"):
        host.read("stock")
    with pytest.raises(RefusedError, match="read only"):
        host.plan(OrderDocument(reference="1", lines=()))


def test_an_odata_system_has_one_way_in_and_datasets_with_columns(tmp_path: Path) -> None:
    def system(name: str, rest: str) -> str:
        return f'  - {{id: {name}, source: odata, url: "http://erp/x", {rest}}}\n'

    config = chain(
        tmp_path,
        system("a", "user: u"),
        system("b", "user: u, password: p, token: t"),
        system("c", "token_url: 'http://id/token', client_id: i"),
        system("d", "datasets: {stock: {set: Stock, colums: {sku: Material}}}"),
        '  - {id: e, source: odata, url: "http://u:p@erp/x"}\n',
        system("f", "datasets: {stock: {set: Stock, columns: {sku: Material}, paging: link}}"),
    )
    told = [str(problem) for problem in registry.problems(config)]
    assert [line.partition(": ")[0].rpartition("/")[2] for line in told] == [
        "tillwatch.yaml:5:5",
        "tillwatch.yaml:6:5",
        "tillwatch.yaml:7:5",
        "tillwatch.yaml:8:80",
        "tillwatch.yaml:9:33",
    ]
    wanted = ("'user' and 'password' go together", "only one", "'client_secret' go together", "'columns'?", "without")
    for words, line in zip(wanted, told, strict=True):
        assert words in line
