"""The page about sources names every option there is."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tillwatch.audit.declare import declare_all
from tillwatch.config.load import load
from tillwatch.sources import registry
from tillwatch.sources.odata import ODataDataset
from tillwatch.sources.sql import SqlDataset
from tillwatch.sources.tryton import TrytonDataset
from tillwatch.sources.tryton.catalogue import ORDER_FIELDS

CHAIN = """\
chain: {id: demo, name: {en: Demo}, timezone: Asia/Shanghai, locale: en, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
channels: [{id: c, kind: webhook, url: "http://127.0.0.1:1/"}]
"""
ROUTES = "route: {receiver: r}\nreceivers: [{id: r, channels: [c]}]\n"
PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text(encoding="utf-8")
MODELS = [*registry.OPTIONS.values(), ODataDataset, SqlDataset, TrytonDataset]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_option_is_on_the_page(model: type[BaseModel]) -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(model.model_fields) - named == set()


def test_every_kind_and_every_field_of_an_order_is_on_the_page() -> None:
    assert [kind for kind in registry.OPTIONS if f"`source: {kind}`" not in PAGE] == []
    assert [name for name in ORDER_FIELDS if f"`{name}`" not in PAGE] == []


def test_the_examples_of_erps_behind_odata_can_be_written_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (systems,) = [block for block in blocks if block.startswith("systems:") and "source: odata" in block]
    (audits,) = [block for block in blocks if block.startswith("audits:")]
    shop = '  - {id: shop, source: sql, url: "sqlite:///shop.db", datasets: {stock: {table: stock}}}\n'
    (tmp_path / "tillwatch.yaml").write_text(CHAIN + systems + shop, encoding="utf-8")
    for folder, text in (("alerts/routes.yaml", ROUTES), ("probes/stock.yaml", audits)):
        (tmp_path / folder).parent.mkdir()
        (tmp_path / folder).write_text(text, encoding="utf-8")
    monkeypatch.setenv("S4_PASSWORD", "x")
    monkeypatch.setenv("BC_SECRET", "y")
    config = load(tmp_path)
    assert registry.problems(config) == []
    compared = {audit: [rule.name for rule in one.fields] for audit, one in declare_all(config).items()}
    assert compared == {"stock-s4": ["quantity"], "prices-bc": ["price"]}
