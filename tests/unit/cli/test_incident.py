"""`tillwatch incident`, `alert` and `route` on a real store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from tests.support.incidents import Router, alert

from tillwatch.cli import alert as alert_commands
from tillwatch.cli import incident as incident_commands
from tillwatch.cli.main import main


@pytest.fixture
def tillwatch(router: Router, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Run one command on the router's store; returns (exit code, stdout, stderr)."""

    @contextmanager
    def opened(_ctx: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(config=router.config, database=router.database, desk=router.desk, clock=router.clock)

    modules: tuple[ModuleType, ...] = (alert_commands, incident_commands)
    for module in modules:
        monkeypatch.setattr(module, "opened", opened)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return int(code), printed.out, printed.err

    return run


@pytest.fixture
def drifting(router: Router) -> Router:
    """One incident of drift with a differing row, and one alert of a source that will fall silent."""
    now = router.clock.now()
    row = {"kind": "changed", "key": {"order_ref": "CY-0007"}, "left": {"quantity": "2"}, "right": {"quantity": "1"}}
    evidence = {"value_at_risk": "12.50", "differences": [row]}
    router.fire(
        alert("Drift", now, source="audit", evidence=evidence, summary="1 row differs", interface="orders-chaoyang"),
    )
    router.fire(
        alert("DiskFilling", now, source="prometheus", ends_at=now + timedelta(minutes=4), instance="pos-7"),
    )
    return router


@pytest.mark.usefixtures("drifting")
def test_list_shows_what_is_open_and_says_so_by_its_exit_code(tillwatch) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = tillwatch("incident", "list")
    assert code == 1
    assert "interface:orders-chaoyang" in out
    assert "中文 1 row differs" in out
    code, out, _ = tillwatch("incident", "list", "--lang", "en", "--json")
    [disk, drift] = json.loads(out)
    assert (code, drift["incident"], drift["state"], drift["value_at_risk"]) == (1, 1, "open", "12.50")
    assert disk["component"] == "host:pos-7"


def test_list_without_incidents_is_empty_and_well(tillwatch) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = tillwatch("incident", "list", "--json")
    assert (code, json.loads(out)) == (0, [])


@pytest.mark.usefixtures("drifting")
def test_show_prints_the_documented_document(tillwatch) -> None:  # type: ignore[no-untyped-def]
    code, out, err = tillwatch("incident", "show", "1", "--json")
    document = json.loads(out)
    assert code == 1
    assert "incident 1 is open since 2026-11-24 11:00:00+08:00" in err
    assert set(document) >= {
        "incident", "state", "severity", "component", "title", "opened_at", "acknowledged_at", "resolved_at",
        "alerts", "timeline", "notifications", "runbooks", "evidence", "similar",
    }  # fmt: skip
    assert document["evidence"]["differences"][0]["key"] == {"order_ref": "CY-0007"}


def test_ack_assign_note_and_resolve_do_what_they_say(tillwatch, drifting: Router) -> None:  # type: ignore[no-untyped-def]
    assert tillwatch("incident", "ack", "1", "--actor", "wang")[:2] == (0, "#1 acknowledged 中文 1 row differs\n")
    assert tillwatch("incident", "assign", "1", "李", "--actor", "wang")[0] == 0
    assert tillwatch("incident", "note", "1", "重启了同步", "--actor", "wang")[0] == 0
    code, out, err = tillwatch("incident", "resolve", "1", "--reason", "fine", "--actor", "wang")
    assert (code, out) == (4, "")
    assert "cannot be resolved by hand while alerts fire (Drift)" in err
    drifting.clock.advance(300)
    drifting.ingest.lapse()
    assert tillwatch("incident", "resolve", "2", "--reason", "shop closed", "--actor", "wang")[0] == 0
    assert drifting.kinds(1)[-3:] == ["acknowledged", "assigned", "note"]


def test_an_unknown_incident_is_a_usage_error(tillwatch) -> None:  # type: ignore[no-untyped-def]
    code, _, err = tillwatch("incident", "show", "42")
    assert (code, err) == (2, "there is no incident 42; 'tillwatch incident list' shows what there is\n")


def test_export_is_a_post_mortem_in_the_readers_language(tillwatch, drifting: Router, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    drifting.desk.note(1, "wang", "<b>见工单</b>\n# heading")
    chinese = tillwatch("incident", "export", "1")[1]
    assert "# #1 中文 1 row differs" in chinese
    assert "## 时间线" in chinese
    assert "2026-11-24 11:00:00 +08:00 事件创建" in chinese
    assert "order_ref=CY-0007" in chinese
    assert "&lt;b>见工单&lt;/b> # heading (wang)" in chinese
    code, _, _ = tillwatch("incident", "export", "1", "--lang", "en", "-o", str(tmp_path / "1.md"))
    english = (tmp_path / "1.md").read_text(encoding="utf-8")
    assert code == 0
    assert "## Timeline" in english
    assert "**Money at risk**: 12.50 CNY" in english


def test_alert_list_shows_what_fires_and_what_was_set_aside(tillwatch, drifting: Router) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = tillwatch("alert", "list", "--json")
    assert code == 1
    assert sorted(one["alertname"] for one in json.loads(out)) == ["DiskFilling", "Drift"]
    drifting.ingest.v2(b'[{"labels":{"a":1}}]')
    code, out, _ = tillwatch("alert", "list", "--quarantined", "--json")
    assert (code, [one["reason"] for one in json.loads(out)]) == (0, ["labels 'a' is not a text but int"])


@pytest.fixture
def chain_directory(tmp_path: Path) -> Path:
    (tmp_path / "alerts").mkdir()
    chain = {"chain": {"id": "demo", "timezone": "Asia/Shanghai", "currency": "CNY"}}
    chain["channels"] = [{"id": "inbox", "kind": "webhook", "url": "${env:NOT_SET_ANYWHERE}"}]  # type: ignore[assignment]
    routes = {
        "route": {"receiver": "ops", "routes": [{"matchers": ['severity="critical"'], "receiver": "oncall", "group_wait": "0s"}]},
        "receivers": [{"id": "ops", "channels": ["inbox"]}, {"id": "oncall", "channels": ["inbox"]}],
    }  # fmt: skip
    (tmp_path / "tillwatch.yaml").write_text(yaml.safe_dump(chain), encoding="utf-8")
    (tmp_path / "alerts/routes.yaml").write_text(yaml.safe_dump(routes), encoding="utf-8")
    return tmp_path


def test_route_explain_needs_no_server_and_no_secrets(tillwatch, chain_directory: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = tillwatch("-C", str(chain_directory), "route", "explain", "severity=critical", "--json")
    assert (code, err) == (0, "")
    [told] = json.loads(out)["receivers"]
    assert (told["receiver"], told["channels"], told["group_wait_seconds"]) == ("oncall", ["inbox"], 0.0)
    out = tillwatch("-C", str(chain_directory), "route", "explain", "severity=warning")[1]
    assert out.splitlines() == [
        "yes root: takes it: nothing below matches",
        "  no  {severity=\"critical\"}: severity is 'warning'",
        "ops is told through inbox after 30s, of news every 300s, again every 14400s",
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["severity"], "'severity' is not a label; write NAME=VALUE, for example severity=critical"),
        (["=x"], "'=x' is not a label; write NAME=VALUE, for example severity=critical"),
        (["a=1", "a=2"], "label 'a' is given twice"),
    ],
)
def test_labels_that_are_none_are_a_usage_error(tillwatch, labels: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    assert tillwatch("route", "explain", *labels) == (2, "", message + "\n")


@pytest.mark.usefixtures("drifting")
def test_an_acknowledgement_for_a_while_is_given_back_and_snoozed(tillwatch) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = tillwatch("incident", "ack", "1", "--for", "2h", "--actor", "li", "--json")
    assert (code, json.loads(out)["acknowledged_until"]) == (0, "2026-11-24T05:00:00+00:00")
    code, out, _ = tillwatch("incident", "unack", "1", "--reason", "ill", "--actor", "li", "--json")
    assert (code, json.loads(out)["state"]) == (0, "open")
    code, out, _ = tillwatch("incident", "snooze", "1", "--for", "45m", "--actor", "li", "--json")
    assert (code, json.loads(out)["snoozed_until"]) == (0, "2026-11-24T03:45:00+00:00")
    assert tillwatch("incident", "unack", "1", "--actor", "li")[0] == 4
    assert tillwatch("incident", "snooze", "1", "--for", "soon", "--actor", "li")[0] == 2
    code, out, _ = tillwatch("incident", "show", "1", "--json")
    explained = json.loads(out)["explain"]
    assert explained["quiet"] == "snoozed"
    assert "snooze_over" in {one["kind"] for one in explained["next"]}
