"""Presets fill in what is not written, and only that; faults are told where they come from."""

from pathlib import Path

import pytest

from tillwatch.audit.declare import declare
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.config.presets import PRESETS
from tillwatch.errors import ConfigError
from tillwatch.model.incident import Severity

DOCUMENTATION = Path(__file__).parents[3] / "docs/audits.md"
CHAIN = """
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}
systems:
  - {id: erp, source: sql, url: "sqlite:///erp.db"}
  - {id: till, source: sql, url: "sqlite:///till.db"}
channels: [{id: ops, kind: webhook, url: "http://127.0.0.1:9/hook"}]
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [ops]}]\n"
AUDIT = """audits:
  - id: a
    left: {system: erp, dataset: d}
    right: {system: till, dataset: d}
    schedule: "*/15 * * * *"
"""


def loaded(root: Path, *lines: str) -> ChainConfig:
    checks = AUDIT + "".join(f"    {line}\n" for line in lines)
    for name, text in {"tillwatch.yaml": CHAIN, "probes/a.yaml": checks, "alerts/routes.yaml": ROUTES}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return load(root, environment={})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_makes_an_audit_that_can_run(name: str, tmp_path: Path) -> None:
    config = loaded(tmp_path, f"preset: {name}")
    declared = declare(config.audits[0], config.chain.timezone)
    assert list(declared.key_names) == PRESETS[name]["key"]
    assert [rule.name for rule in declared.fields] == list(PRESETS[name]["fields"])


def test_what_is_written_wins_and_what_it_leaves_out_is_filled_in(tmp_path: Path) -> None:
    [audit] = loaded(
        tmp_path,
        "preset: payments",
        "key: [invoice, code]",
        'fields: {tax: {tolerance: "0.05"}, net: {type: decimal}}',
        "severity: info",
    ).audits
    assert (audit.key, audit.severity) == (("invoice", "code"), Severity.INFO)
    assert list(audit.fields) == ["tax", "net"]
    tax = audit.fields["tax"]
    assert (tax.type, tax.scale, str(tax.tolerance)) == ("decimal", 2, "0.05")
    assert audit.value == PRESETS["payments"]["value"]


def test_a_field_of_another_type_takes_nothing_from_the_preset(tmp_path: Path) -> None:
    [audit] = loaded(tmp_path, "preset: stock", "fields: {quantity: {type: integer}}").audits
    assert audit.fields["quantity"].scale is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["preset: stok"], "probes/a.yaml:6:13: 'stok' is not allowed here; did you mean 'stock'?"),
        (
            ["preset: stock", "fields: {quantity: {scales: 2}}"],
            "probes/a.yaml:7:25: unknown key 'scales'; did you mean",
        ),
        (["preset: stock", "fields: {colour: {}}"], "probes/a.yaml:7:22: missing key 'type'"),
        (["preset: stock", "kee: [sku]"], "probes/a.yaml:7:5: unknown key 'kee'"),
    ],
)
def test_a_fault_is_told_where_it_was_written(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *lines)
    assert message in str(caught.value)


def test_the_documentation_lists_every_preset_as_it_is() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for name, preset in PRESETS.items():
        fields = " · ".join(
            f"{field}: " + ", ".join([how["type"], *(f"{key} {value}" for key, value in how.items() if key != "type")])
            for field, how in preset["fields"].items()
        )
        key, severity = ", ".join(preset["key"]), preset.get("severity", "warning")
        assert f"| `{name}` | {key} | {fields} | {severity} |" in text
