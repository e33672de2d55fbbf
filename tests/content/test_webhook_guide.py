"""The guide's examples, read from the guide itself, understand what these systems post."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tillwatch.alerting.mapping import parse
from tillwatch.config.bind import bind
from tillwatch.config.schema import RoutesFile, Webhook
from tillwatch.config.yaml import load
from tillwatch.errors import Problem
from tillwatch.model.alert import Alert

GUIDE = Path(__file__).parents[2] / "docs/guides/webhooks.md"
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
ROUTE = "route: {receiver: ops}\n"


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, Webhook]:
    found: dict[str, Webhook] = {}
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(ROUTE + block, encoding="utf-8")
        problems: list[Problem] = []
        routes = bind(load(file, root=tmp_path), RoutesFile, problems=problems)
        assert problems == []
        assert routes is not None
        found |= {one.id: one for one in routes.webhooks}
    assert set(found) == {"zabbix", "grafana", "kuma"}
    return found


def one(declared: Webhook, document: object) -> Alert:
    parsed = parse(json.dumps(document).encode(), NOW, declared, SHANGHAI)
    assert parsed.poison == ()
    [alert] = parsed.alerts
    return alert


ZABBIX = {
    "status": "PROBLEM",
    "severity": "High",
    "host": "till-2",
    "trigger": "收银机无法访问",
    "started": "2026.11.24 10:58:30",
    "text": "loss: 100 %",
    "site": "chaoyang",
    "url": "",
}


def test_a_zabbix_problem_and_its_recovery_are_one_episode(declared: dict[str, Webhook]) -> None:
    fires, ends = one(declared["zabbix"], ZABBIX), one(declared["zabbix"], ZABBIX | {"status": "RESOLVED"})
    assert fires.labels == {
        "alertname": "收银机无法访问",
        "host": "till-2",
        "site": "chaoyang",
        "severity": "critical",
    }
    assert fires.starts_at == ends.starts_at == datetime(2026, 11, 24, 2, 58, 30, tzinfo=UTC)
    assert (fires.fingerprint, fires.ends_at, ends.ends_at) == (ends.fingerprint, None, NOW)
    assert fires.annotations["description"] == "loss: 100 %"
    assert fires.source == "webhook/zabbix"


def test_every_severity_of_zabbix_is_one_of_ours(declared: dict[str, Webhook]) -> None:
    words = ("Disaster", "High", "Average", "Warning", "Information", "Not classified")
    ours = [one(declared["zabbix"], ZABBIX | {"severity": word}).labels["severity"] for word in words]
    assert ours == ["critical", "critical", "warning", "warning", "info", "warning"]


def test_a_macro_that_zabbix_could_not_fill_is_set_aside_when_it_is_required(declared: dict[str, Webhook]) -> None:
    parsed = parse(json.dumps(ZABBIX | {"host": ""}).encode(), NOW, declared["zabbix"], SHANGHAI)
    assert [poison.reason for poison in parsed.poison] == ["the label 'host' is empty: there is nothing at $.host"]


def test_grafana_sends_a_group_of_which_each_alert_has_its_own_state(declared: dict[str, Webhook]) -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "severity": "error", "site": "chaoyang"},
        "annotations": {"summary": "p99 above 2 s"},
        "startsAt": "2026-11-24T10:58:00+08:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://grafana.example/alerting/grafana/abc/view",
        "fingerprint": "57c6d9296de2ad39",
        "values": {"B": 2.4},
        "valueString": "[ var='B' labels={} value=2.4 ]",
    }
    ended = {
        **alert,
        "status": "resolved",
        "labels": {"alertname": "DiskFull", "site": "haidian"},
        "endsAt": "2026-11-24T10:59:00+08:00",
    }
    body = {"receiver": "tillwatch", "status": "firing", "orgId": 1, "alerts": [alert, ended], "version": "1"}
    parsed = parse(json.dumps(body).encode(), NOW, declared["grafana"], SHANGHAI)
    assert parsed.poison == ()
    fires, over = parsed.alerts
    assert fires.labels == {
        "alertname": "HighLatency",
        "severity": "critical",
        "site": "chaoyang",
        "grafana_org": "1",
    }
    assert (fires.starts_at, fires.ends_at) == (datetime(2026, 11, 24, 2, 58, tzinfo=UTC), None)
    assert fires.annotations == {"summary": "p99 above 2 s", "value": "[ var='B' labels={} value=2.4 ]"}
    assert (over.ends_at, over.labels["severity"]) == (NOW - timedelta(minutes=1), "warning")


KUMA = {
    "heartbeat": {"monitorID": 7, "status": 0, "time": "2026-11-24 02:59:58.120", "msg": "connect ECONNREFUSED"},
    "monitor": {"id": 7, "name": "Chaoyang router", "url": "https://router.example"},
    "msg": "[Chaoyang router] [🔴 Down] connect ECONNREFUSED",
}


def test_uptime_kuma_goes_down_and_comes_up(declared: dict[str, Webhook]) -> None:
    down = one(declared["kuma"], KUMA)
    up = one(declared["kuma"], KUMA | {"heartbeat": {"status": 1, "msg": "200 - OK"}})
    assert down.labels == {"alertname": "MonitorDown", "monitor": "Chaoyang router", "severity": "critical"}
    assert (down.starts_at_stated, down.ends_at, up.ends_at) == (False, None, NOW)
    assert down.fingerprint == up.fingerprint
    assert down.generator_url == "https://router.example"


def test_uptime_kumas_test_message_opens_nothing(declared: dict[str, Webhook]) -> None:
    body = {"heartbeat": None, "monitor": None, "msg": "Webhook Testing"}
    parsed = parse(json.dumps(body).encode(), NOW, declared["kuma"], SHANGHAI)
    assert parsed.alerts == ()
    assert "nothing at $.monitor.name" in parsed.poison[0].reason
