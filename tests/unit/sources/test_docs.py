"""The page about sources names every option there is."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tillwatch.sources import registry
from tillwatch.sources.odata import ODataDataset
from tillwatch.sources.sql import SqlDataset
from tillwatch.sources.tryton import TrytonDataset
from tillwatch.sources.tryton.catalogue import ORDER_FIELDS

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text(encoding="utf-8")
MODELS = [*registry.OPTIONS.values(), ODataDataset, SqlDataset, TrytonDataset]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_option_is_on_the_page(model: type[BaseModel]) -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(model.model_fields) - named == set()


def test_every_kind_and_every_field_of_an_order_is_on_the_page() -> None:
    assert [kind for kind in registry.OPTIONS if f"`source: {kind}`" not in PAGE] == []
    assert [name for name in ORDER_FIELDS if f"`{name}`" not in PAGE] == []
