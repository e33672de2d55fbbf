"""A chain directory that is right: what it becomes, and the questions one can ask it."""

from datetime import timedelta
from pathlib import Path

import pytest

from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load, pack_root
from tillwatch.errors import UsageError
from tillwatch.model.incident import Severity


@pytest.fixture(scope="module")
def pack() -> ChainConfig:
    return load(pack_root(), environment={"ERP_PASSWORD": "hunter2"})


def test_the_chain_that_ships_loads(pack: ChainConfig) -> None:
    assert (pack.chain.id, pack.chain.timezone.key, pack.chain.locale) == ("demo", "Asia/Shanghai", "zh-CN")
    assert pack.chain.name == {"en": "Demo chain", "zh": "示例连锁"}
    assert pack.interface("orders-chaoyang").from_ == "till-chaoyang"
    probe = pack.probe("erp-tcp")
    assert (probe.every, probe.fail_after, probe.severity) == (timedelta(seconds=15), 3, Severity.CRITICAL)


def test_a_plugins_keys_stay_where_they_were_written(pack: ChainConfig) -> None:
    options = pack.system("erp").options
    assert {"url", "database", "user", "password"} <= set(options.entries)
    assert not {"id", "name", "site", "source"} & set(options.entries)
    assert options.keys["url"].file == "tillwatch.yaml"
    assert options.keys["url"].line > options.place.line


def test_secrets_are_filled_in_and_hidden(pack: ChainConfig) -> None:
    password = pack.system("erp").options.entries["password"]
    assert getattr(password, "text", "") == "hunter2"
    assert "hunter2" not in repr(pack)


def test_without_secrets_they_stay_as_written() -> None:
    config = load(pack_root(), secrets=False, environment={})
    assert getattr(config.system("erp").options.entries["password"], "text", "") == "${env:ERP_PASSWORD}"


def test_a_relative_store_lies_in_the_chain_directory(pack: ChainConfig) -> None:
    assert pack.store.url == f"sqlite:///{pack.root}/var/tillwatch.db"


@pytest.mark.parametrize(
    ("kind", "id", "message"),
    [
        ("system", "erpp", "unknown system 'erpp'; did you mean 'erp'?"),
        ("probe", "erp-tpc", "unknown probe 'erp-tpc'; did you mean 'erp-tcp'?"),
        ("site", "x", "unknown site 'x'; known: chaoyang, haidian, hq"),
    ],
)
def test_asking_for_what_is_not_there_suggests_what_is(pack: ChainConfig, kind: str, id: str, message: str) -> None:
    with pytest.raises(UsageError, match="^" + message.replace("?", r"\?") + "$"):
        getattr(pack, kind)(id)


def test_everything_declared_knows_its_place(pack: ChainConfig) -> None:
    assert str(pack.problem("audit", "orders-chaoyang", "is wrong")).startswith(
        "probes/consistency/orders.yaml:3:9: audit 'orders-chaoyang': is wrong"
    )
    assert str(pack.problem("audit", "gone", "is wrong")) == "tillwatch.yaml: audit 'gone': is wrong"


def test_a_leading_zero_survives(tmp_path: Path) -> None:
    for name in ("tillwatch.yaml", "alerts/routes.yaml", "alerts/oncall.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((pack_root() / name).read_bytes())
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes/a.yaml").write_text("probes: [{id: 0123, prober: http, target: 0123, every: 1m}]\n")
    probe = load(tmp_path, secrets=False).probes[0]
    assert (probe.id, probe.target) == ("0123", "0123")


def test_links_in_messages_start_with_the_public_address() -> None:
    config = load(pack_root(), secrets=False)
    assert config.listen.base_url == "http://127.0.0.1:8080"
    public = config.listen.model_copy(update={"public_url": "https://watch.example.com/tw/"})
    assert public.base_url == "https://watch.example.com/tw"
