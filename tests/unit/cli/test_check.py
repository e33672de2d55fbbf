"""check, schema, init, doctor: what is wrong, where, and the fix."""

import json
import shutil
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run, edit

from tillwatch.cli import diagnosis
from tillwatch.config.load import pack_root
from tillwatch.config.schema import FILE_KINDS
from tillwatch.sources.base import CheckOutcome


def test_the_chain_that_ships_passes_without_any_secret(run: Run, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERP_PASSWORD")
    ended = run("-C", chain, "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("ok: 3 sites, 4 systems, 4 interfaces")


def test_live_needs_the_secrets(run: Run, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ERP_PASSWORD")
    ended = run("-C", chain, "check", "--live")
    assert ended.code == 2
    assert "environment variable 'ERP_PASSWORD' is not set; set it before starting tillwatch" in ended.err


def test_all_problems_of_all_files_are_said_at_once(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "currency: CNY", "curency: CNY")
    edit(chain / "alerts/routes.yaml", "channels: [ops]", "channels: [opps]")
    edit(chain / "probes/host/server.yaml", "every: 15s", "every: often")
    ended = run("-C", chain, "check")
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert lines[-1] == "3 problems"
    assert [line.split(": ", 1)[1] for line in lines[:-1]] == [
        "unknown channel 'opps'; did you mean 'ops'?",
        "'often' is not a duration; write for example 30s, 5m or 1h30m",
        "unknown key 'curency'; did you mean 'currency'?",
    ]


def test_plugins_have_their_say_at_the_place_of_their_options(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "kind: webhook, url", "kind: webhook, ulr")
    edit(chain / "tillwatch.yaml", "database: shop", "databse: shop")
    edit(chain / "probes/connectivity/erp.yaml", "statuses:", "statusses:")
    edit(chain / "probes/consistency/orders.yaml", "abs(coalesce(left.amount, 0)", "abs(coalesce(left.amount 0)")
    (chain / "alerts/messages/incident.zh.j2").write_text("{{ titel }}", encoding="utf-8")
    ended = run("-C", chain, "check", "--json")
    assert ended.code == 2
    found = [(problem["file"], problem["line"] > 0) for problem in ended.document["problems"]]
    assert ("tillwatch.yaml", True) in found
    assert ("probes/connectivity/erp.yaml", True) in found
    assert ("alerts/messages/incident.zh.j2", True) in found
    said = "\n".join(problem["message"] for problem in ended.document["problems"])
    for part in (
        "unknown key 'ulr'",
        "unknown key 'databse'",
        "unknown key 'statusses'",
        "'titel' is undefined",
        "orders-chaoyang",
    ):
        assert part in said


def test_a_malformed_runbook_is_named_at_its_line(run: Run, chain: Path) -> None:
    path = next(iter(sorted((chain / "runbooks").glob("erp-restart.md"))))
    edit(path, "serves:", "sevres:")
    ended = run("-C", chain, "check")
    assert ended.code == 2
    assert ended.err.startswith("runbooks/erp-restart.md:")
    assert "'sevres'" in ended.err


def test_the_document_of_check(run: Run, chain: Path) -> None:
    document = run("-C", chain, "check", "--json").document
    assert (document["ok"], document["problems"], document["counts"]["systems"]) == (True, [], 4)


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_schema_is_json_schema_and_names_its_file(run: Run, kind: str) -> None:
    document = run("schema", kind, "--json").document
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["x-tillwatch-path"] == FILE_KINDS[kind].path
    assert document["additionalProperties"] is False


def test_the_schema_lets_plugins_keep_their_keys(run: Run) -> None:
    system = run("schema", "chain", "--json").document["$defs"]["System"]
    assert system["additionalProperties"] is True
    assert "options" not in system["properties"]
    assert sorted(system["required"]) == ["id", "source"]


def test_every_kind_is_printed_when_none_is_named(run: Run) -> None:
    assert set(json.loads(run("schema").out)) == set(FILE_KINDS)


def test_an_unknown_kind_of_file_is_a_usage_error(run: Run) -> None:
    ended = run("schema", "chian")
    assert (ended.code, ended.err) == (2, "unknown kind of file 'chian'; did you mean 'chain'?\n")


def test_init_makes_a_chain_directory_that_passes_check(run: Run, tmp_path: Path) -> None:
    ended = run("init", tmp_path / "new", "--json")
    assert (ended.code, ended.err) == (0, "")
    for file in ended.document["files"]:
        assert (tmp_path / "new" / file).is_file()
    assert run("-C", tmp_path / "new", "check").code == 0
    assert (tmp_path / "new/tillwatch.yaml").read_bytes() == (pack_root() / "tillwatch.yaml").read_bytes()


def test_init_touches_no_folder_that_holds_anything(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    ended = run("init", tmp_path)
    assert (ended.code, ended.err) == (2, f"'{tmp_path}' is not empty; nothing was written. Name a new folder\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_init_refuses_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("", encoding="utf-8")
    assert run("init", tmp_path / "f").err == f"'{tmp_path / 'f'}' is a file; name a folder\n"


def _found(document: dict[str, list[dict[str, str]]]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in document["checks"]}


def test_doctor_says_the_fix_for_what_does_not_work_and_makes_nothing(run: Run, chain: Path) -> None:
    ended = run("-C", chain, "doctor", "--json")
    assert ended.code == 1
    found = _found(ended.document)
    assert found["chain directory"]["outcome"] == "ok"
    assert found["store"]["message"] == f"{chain}/var/tillwatch.db is made at the first start"
    assert (found["system till-chaoyang: connect"]["outcome"], bool(found["system till-chaoyang: connect"]["fix"])) == (
        "fail",
        True,
    )
    assert "tillwatch channel test ops" in found["channel ops"]["message"]
    assert {"promtool", "prometheus"} <= set(found)
    assert not (chain / "var").exists()


def test_doctor_goes_on_when_the_chain_directory_is_broken(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "currency", "curency")
    ended = run("-C", chain, "doctor", "--json")
    assert ended.code == 1
    outcomes = {name: check["outcome"] for name, check in _found(ended.document).items()}
    assert (outcomes["chain directory"], outcomes["store"], outcomes["systems"]) == ("fail", "skipped", "skipped")


def test_doctor_asks_prometheus_about_the_rules(run: Run, chain: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.fail("promtool is not on PATH; tests/packages.sh installs prometheus")
    assert _found(run("-C", chain, "doctor", "--json").document)["rules"]["outcome"] == "ok"
    (chain / "alerts/rules/self.yml").write_text(
        "groups: [{name: x, rules: [{alert: A, expr: 'up =='}]}]\n", encoding="utf-8"
    )
    found = _found(run("-C", chain, "doctor", "--json").document)["rules"]
    assert found["outcome"] == "fail"
    assert "alerts/rules/self.yml" in found["message"]


def test_a_missing_program_is_a_warning_with_its_package() -> None:
    findings = {finding.name: finding for finding in diagnosis._programs(lambda _: None)}
    assert findings["promtool"].outcome is CheckOutcome.WARN
    assert "install the package 'prometheus'" in findings["promtool"].fix
