"""The guide of channels knows every kind and every option there is, and its examples can be copied."""

import re
from pathlib import Path

import pytest

from tillwatch.config.load import load
from tillwatch.notify import registry

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs/channels.md", ROOT / "docs/channels.zh-CN.md"]
_SECTION = re.compile(r"^## `(\w+)`\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
CHAIN = 'chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}\nstore: {url: "sqlite:///x.db"}\n'


def sections(guide: Path) -> dict[str, str]:
    return dict(_SECTION.findall(guide.read_text(encoding="utf-8")))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_guide_knows_every_kind_with_every_option(guide: Path) -> None:
    found = sections(guide)
    assert sorted(found) == sorted(registry.OPTIONS)
    missing = [
        f"{kind}.{option}"
        for kind, model in registry.OPTIONS.items()
        for option in model.model_fields
        if f"`{option}`" not in found[kind] and f"`{option}:" not in found[kind]
    ]
    assert missing == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_example_is_accepted_and_is_of_its_kind(guide: Path, tmp_path: Path) -> None:
    (tmp_path / "alerts").mkdir()
    for kind, text in sections(guide).items():
        [example] = _YAML.findall(text)
        (tmp_path / "tillwatch.yaml").write_text(CHAIN + example, encoding="utf-8")
        id = re.search(r"id: (\w+)", example)
        assert id
        routes = f"route: {{receiver: team}}\nreceivers: [{{id: team, channels: [{id[1]}]}}]\n"
        (tmp_path / "alerts/routes.yaml").write_text(routes, encoding="utf-8")
        config = load(tmp_path, secrets=False)
        assert [(one.id, one.kind) for one in config.channels] == [(id[1], kind)]
        assert [str(problem) for problem in registry.check(config)] == []


def test_both_languages_have_the_same_examples() -> None:
    english, chinese = ([_YAML.findall(text) for text in sections(guide).values()] for guide in GUIDES)
    assert english == chinese


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_table_of_addresses_names_the_kinds_that_call_people(guide: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", guide.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == ["dingtalk", "email", "feishu", "wecom_app", "wecom_bot"]
