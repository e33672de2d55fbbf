"""The APIs: documents of the public interface, orders, and what an Alertmanager is expected to do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.config.matcher import parse_matcher
from tillwatch.config.schema import Heartbeat, Route, Webhook
from tillwatch.model.incident import IncidentState
from tillwatch.store.silences import Silence
from tillwatch.web.services import Health


def test_the_overview_says_the_sentence_and_every_check(bad_night: World) -> None:
    document = Browser(bad_night).get("/api/v1/overview?lang=en").json()
    assert document["sentence"] == "ERP (Tryton) is down since 10:47; 2 shops affected"
    assert document["level"] == "critical"
    assert [site["site"] for site in document["sites"]] == ["hq", "chaoyang", "haidian"]
    assert document["sites"][1]["checks"]["orders"][0] == {
        "kind": "audit", "id": "orders-chaoyang", "level": "critical", "state": "drift", "url": "/audits/runs/7",
    }  # fmt: skip
    assert [item["incident"] for item in document["incidents"]] == [3, 4, 5]


def test_an_audit_report_has_the_public_shape_and_money_as_text(bad_night: World) -> None:
    document = Browser(bad_night).get("/api/v1/audits/runs/7").json()
    assert (document["verdict"], document["missing"], document["extra"], document["changed"]) == ("drift", 3, 0, 1)
    assert document["value_at_risk"] == "1556.40"
    assert document["left"] == {"system": "till-chaoyang", "dataset": "orders", "rows": 1284}
    assert document["differences"][3] == {
        "kind": "changed",
        "key": {"order_ref": "CY-20261124-0061"},
        "left": {"amount": "240.00", "quantity": "3.000"},
        "right": {"amount": "160.00", "quantity": "2.000"},
        "fields": ["amount", "quantity"],
        "value_at_risk": "80.00",
        "first_seen": None,
    }
    assert document["started_at"] == "2026-11-24T02:55:00Z"


def test_a_probe_result_has_the_public_shape(bad_night: World) -> None:
    document = Browser(bad_night).post("/api/v1/probes/erp-tcp/run").json()
    assert {"probe", "outcome", "cause", "seconds", "phases", "measurements", "log"} <= document.keys()
    assert (document["probe"], document["outcome"], document["cause"]) == ("erp-tcp", "failed", "tcp")
    assert bad_night.orders == [("probe", "erp-tcp")]


def test_a_run_has_the_public_shape(bad_night: World) -> None:
    document = Browser(bad_night).get("/api/v1/runs/1").json()
    assert {"run", "runbook", "state", "steps", "digest", "incident"} <= document.keys()
    assert {"id", "phase", "state", "attempts", "seconds", "output"} <= document["steps"][0].keys()
    assert document["waiting"]["role"] == "oncall-lead"


@pytest.mark.parametrize(
    ("path", "body", "order"),
    [
        ("/api/v1/incidents/3/ack", {"actor": "ann"}, ("acknowledge", 3, "ann")),
        ("/api/v1/incidents/3/note", {"actor": "ann", "text": "hm"}, ("note", 3, "ann", "hm")),
        ("/api/v1/incidents/3/assign", {"actor": "ann", "assignee": "bob"}, ("assign", 3, "ann", "bob")),
        ("/api/v1/incidents/3/resolve", {"actor": "ann", "reason": "over"}, ("resolve", 3, "ann", "over")),
        ("/api/v1/audits/orders-chaoyang/run", None, ("audit", "orders-chaoyang", "api")),
        (
            "/api/v1/runs",
            {"actor": "ann", "runbook": "erp-restart", "params": {"service": "erp"}, "incident": 3},
            ("start", "erp-restart", {"service": "erp"}, 3, "ann"),
        ),
        (
            "/api/v1/runs/1/approve",
            {"actor": "bob", "role": "oncall-lead"},
            ("approve", 1, "bob", "oncall-lead", "approve", ""),
        ),
        (
            "/api/v1/runs/1/confirm",
            {"actor": "bob", "step": "tell", "text": "ok"},
            ("confirm", 1, "tell", "bob", "ok", True),
        ),
        ("/api/v1/runs/1/stop", {"actor": "bob"}, ("stop", 1, "bob")),
        ("/api/v1/runs/2/resume", {"actor": "bob"}, ("resume", 2, "bob", "")),
    ],
)
def test_every_order_reaches_its_desk(bad_night: World, path: str, body: object, order: tuple[object, ...]) -> None:
    answer = Browser(bad_night).post(path, json=body)
    assert answer.is_success, answer.text
    assert bad_night.orders == [order]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"actor": ""},
        {"actor": "   "},
        {"actor": "a\nb"},
        {"actor": "x" * 65},
        {"actor": "ann", "acter": "typo"},
        {"actor": 7},
    ],
)
def test_an_order_that_makes_no_sense_is_a_422_and_does_nothing(bad_night: World, body: object) -> None:
    answer = Browser(bad_night).post("/api/v1/incidents/3/ack", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == 422
    assert bad_night.orders == []


def test_an_unknown_incident_in_the_address_of_an_order_says_so(bad_night: World) -> None:
    answer = Browser(bad_night).post("/api/v1/incidents/77/ack", json={"actor": "ann"})
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("there is no incident 77")


def test_a_runbook_shows_the_parameters_an_incident_proposes(bad_night: World) -> None:
    browser = Browser(bad_night)
    document = browser.get("/api/v1/runbooks/orders-replay?incident=4").json()
    assert document["proposed"] == {"audit": "orders-chaoyang", "run": "7"}
    plan = browser.post(
        "/api/v1/runbooks/orders-replay/plan", json={"params": document["proposed"], "incident": 4}
    ).json()
    assert [step["id"] for step in plan["steps"]] == ["recheck", "repair", "verify", "tell"]
    assert plan["steps"][1]["approval"]["role"] == "oncall-lead"


def test_alerts_are_taken_in_whole_and_poison_is_counted_not_refused(bad_night: World) -> None:
    bad_night.receipt = IngestReceipt(stored=1, quarantined=1, reasons=("item 2: at least one label pair required",))
    body = b'[{"labels":{"alertname":"X"}},{"labels":{}}]'
    answer = Browser(bad_night).post("/api/v2/alerts", content=body)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["x-tillwatch-quarantined"] == "1"
    assert bad_night.bodies == [body]
    assert bad_night.orders == [("v2", "prometheus")]


def test_a_webhook_is_answered_with_what_became_of_it(bad_night: World) -> None:
    bad_night.receipt = IngestReceipt(stored=2, quarantined=0)
    answer = Browser(bad_night).post("/hooks/alertmanager", content=b'{"version":"4","alerts":[]}')
    assert answer.json() == {"stored": 2, "quarantined": 0, "reasons": []}


def test_active_alerts_are_listed_like_an_alertmanager_lists_them(bad_night: World) -> None:
    browser = Browser(bad_night)
    alerts = browser.get("/api/v2/alerts").json()
    assert [alert["fingerprint"] for alert in alerts] == sorted(alert["fingerprint"] for alert in alerts)
    assert {alert["labels"]["alertname"] for alert in alerts} == {"InterfaceDown", "Drift", "HostSaturated"}
    required = {"annotations", "endsAt", "fingerprint", "receivers", "startsAt", "updatedAt", "status", "labels"}
    assert required <= alerts[0].keys()
    assert alerts[0]["status"]["mutedBy"] == []


def test_alerts_are_filtered_by_matchers(bad_night: World) -> None:
    browser = Browser(bad_night)
    found = browser.get('/api/v2/alerts?filter=alertname="InterfaceDown"&filter=probe=~"erp-.*"').json()
    assert {alert["labels"]["probe"] for alert in found} == {"erp-tcp", "erp-api"}
    assert browser.get("/api/v2/alerts?filter=nonsense").status_code == 400
    assert browser.get("/api/v2/alerts?active=false").json() == []
    assert len(browser.get("/api/v2/alerts/groups").json()) == 3


def test_status_and_receivers_are_what_clients_check_first(bad_night: World) -> None:
    browser = Browser(bad_night)
    status = browser.get("/api/v2/status").json()
    assert {"cluster", "config", "uptime", "versionInfo"} <= status.keys()
    assert status["uptime"] == "2026-11-24T03:00:00Z"
    assert browser.get("/api/v2/receivers").json() == [{"name": "ops"}, {"name": "oncall"}]
    assert browser.get("/api/v2/silences").json() == []


def test_metrics_and_the_blackbox_drop_in_speak_the_text_format(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert browser.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    assert browser.get("/probe?target=http://x&module=http_2xx").text == 'probe_success{target="http://x"} 1\n'
    assert browser.get("/probe?target=x&module=nope").status_code == 400


def test_readiness_names_the_loop_that_is_stuck(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert browser.get("/-/ready").status_code == 200
    bad_night.health = [Health(name="outbox", last_success=None, problem="no round finished for 90 s")]
    answer = browser.get("/-/ready")
    assert answer.status_code == 503
    assert answer.json()["loops"][0] == {
        "name": "outbox",
        "last_success": None,
        "problem": "no round finished for 90 s",
    }
    assert "no round finished for 90 s" in browser.get("/").text


def test_lists_are_paged_and_bounded(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert [item["incident"] for item in browser.get("/api/v1/incidents?limit=2").json()] == [5, 4]
    assert [item["incident"] for item in browser.get("/api/v1/incidents?limit=2&before=4").json()] == [3, 2]
    assert [item["incident"] for item in browser.get("/api/v1/incidents?state=open").json()] == [3, 4, 5]
    assert browser.get("/api/v1/incidents?limit=100000").status_code == 422


def test_an_export_is_always_a_download(bad_night: World) -> None:
    answer = Browser(bad_night).get("/api/v1/audits/runs/7/export/html")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-run-7.html"'


def test_the_openapi_document_describes_both_apis(bad_night: World) -> None:
    paths = Browser(bad_night).get("/api/openapi.json").json()["paths"]
    assert {
        "/api/v1/overview",
        "/api/v1/runs/{run}/approve",
        "/api/v2/alerts",
        "/hooks/alertmanager",
        "/metrics",
    } <= paths.keys()
    assert "/incidents/{incident}/ack" not in paths


def test_a_resolved_incident_is_not_open(bad_night: World) -> None:
    bad_night.known = {2: replace(bad_night.known[2])}
    assert Browser(bad_night).get("/api/v1/incidents?state=open").json() == []


def test_muted_and_explained_alerts_are_shown_as_suppressed(bad_night: World) -> None:
    now = bad_night.clock.now()
    bad_night.silences["s1"] = Silence(
        id="s1",
        matchers=(parse_matcher("probe=~erp-.*"),),
        starts_at=now,
        ends_at=now + timedelta(hours=1),
        created_by="li",
        comment="works",
        updated_at=now,
    )
    browser = Browser(bad_night)
    muted = [one for one in browser.get("/api/v2/alerts").json() if one["status"]["silencedBy"] == ["s1"]]
    assert muted and all(one["status"]["state"] == "suppressed" for one in muted)
    everything = len(browser.get("/api/v2/alerts").json())
    assert len(browser.get("/api/v2/alerts?silenced=false").json()) == everything - len(muted)
    assert browser.get("/api/v2/alerts?receiver=nobody").json() == []
    assert len(browser.get("/api/v2/alerts?receiver=op.|onca..").json()) == everything
    assert browser.get("/api/v2/alerts?receiver=(").status_code == 400
    assert [one["id"] for one in browser.get("/api/v2/silences").json()] == ["s1"]
    assert browser.get('/api/v2/silences?filter=probe="pos"').json() == []


def test_a_child_of_another_incident_is_inhibited_by_the_alerts_of_that_one(bad_night: World) -> None:
    parent, child = list(bad_night.known)[:2]
    bad_night.known[child] = replace(bad_night.known[child], parent=parent, state=IncidentState.OPEN)
    first, second, *others = bad_night.alerts
    bad_night.alerts = [replace(first, incident=parent), replace(second, incident=child), *others]
    causes = sorted(one.fingerprint for one in bad_night.alerts if one.incident == parent)
    explained = {one.fingerprint for one in bad_night.alerts if one.incident == child}
    browser = Browser(bad_night)
    shown = {one["fingerprint"]: one["status"]["inhibitedBy"] for one in browser.get("/api/v2/alerts").json()}
    assert {print for print, by in shown.items() if by == causes} == explained
    left = {one["fingerprint"] for one in browser.get("/api/v2/alerts?inhibited=false").json()}
    assert left == set(shown) - explained


def test_a_declared_heartbeat_is_taken_and_another_one_is_not_found(bad_night: World) -> None:
    declared = Heartbeat(id="backup", every=timedelta(hours=1))
    bad_night.config = replace(bad_night.config, heartbeats=(declared,))
    browser = Browser(bad_night)
    assert browser.post("/hooks/heartbeat/backup").json() == {"heartbeat": "backup"}
    assert bad_night.orders == [("receive", "heartbeat/backup", 1)]
    assert browser.post("/hooks/heartbeat/backups").status_code == 404
    assert len(bad_night.orders) == 1


def test_a_run_is_signed_off_by_name_and_reason_and_the_sign_offs_are_listed(bad_night: World) -> None:
    browser = Browser(bad_night)
    answer = browser.post("/api/v1/audits/runs/7/sign-off", json={"actor": "ann", "reason": "seen"})
    assert answer.status_code == 200
    assert browser.get("/api/v1/audits/runs/7/sign-offs").json() == [answer.json()]
    assert answer.json()["actor"] == "ann"
    assert browser.post("/api/v1/audits/runs/7/sign-off", json={"actor": "ann"}).status_code == 422
    assert browser.post("/api/v1/audits/runs/99/sign-off", json={"actor": "ann", "reason": "x"}).status_code == 404


def test_a_declared_webhook_is_taken_and_another_one_is_not_found(bad_night: World) -> None:
    declared = Webhook.model_validate({"id": "zabbix", "labels": {"alertname": "$.trigger"}})
    bad_night.config = replace(bad_night.config, webhooks=(declared,))
    bad_night.receipt = IngestReceipt(stored=1, quarantined=1, reasons=("no host",))
    browser = Browser(bad_night)
    answer = browser.post("/hooks/generic/zabbix", content=b'{"trigger": "Down"}')
    assert answer.json() == {"stored": 1, "quarantined": 1, "reasons": ["no host"]}
    assert (bad_night.orders, bad_night.bodies) == ([("generic", "zabbix", "Asia/Shanghai")], [b'{"trigger": "Down"}'])
    assert browser.post("/hooks/generic/zabix", content=b"{}").status_code == 404
    assert len(bad_night.orders) == 1
    bad_night.broken = "the disk is full"
    assert browser.post("/hooks/generic/zabbix", content=b"{}").status_code == 503


def test_a_body_of_which_nothing_could_be_stored_is_a_400_with_the_reasons(bad_night: World) -> None:
    bad_night.receipt = IngestReceipt(stored=0, quarantined=1, reasons=("not a list of alerts",))
    answer = Browser(bad_night).post("/api/v2/alerts", content=b"{}")
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": "not a list of alerts"})
    assert answer.headers["x-tillwatch-quarantined"] == "1"


def test_groups_are_shown_for_the_receivers_that_were_asked_for(bad_night: World) -> None:
    both = (Route(receiver="ops", continue_=True), Route(receiver="shop"))
    bad_night.config = replace(bad_night.config, route=Route(receiver="ops", routes=both))
    browser = Browser(bad_night)
    for asked in ("ops", "shop"):
        groups = browser.get(f"/api/v2/alerts/groups?receiver={asked}").json()
        assert {group["receiver"]["name"] for group in groups} == {asked}
        assert {name["name"] for group in groups for one in group["alerts"] for name in one["receivers"]} == {
            "ops",
            "shop",
        }


def test_validations_answer_with_the_documents_of_the_command(bad_night: World) -> None:
    browser = Browser(bad_night)
    listed = {one["validation"]: one for one in browser.get("/api/v1/validations").json()}
    assert listed["till-orders-chaoyang"]["latest"]["verdict"] == "invalid"
    assert listed["till-orders-chaoyang"]["latest"]["findings"] != []
    document = browser.get("/api/v1/validations/runs/3").json()
    assert (document["counts"]["sum-amount"], len(document["findings"])) == (60, 61)
    assert browser.get("/api/v1/validations/runs").json()[0]["run"] == 4
    assert browser.post("/api/v1/validations/till-orders-chaoyang/run").json()["run"] == 3
    assert browser.get("/api/v1/validations/runs/3/export/csv").headers["content-type"].startswith("text/csv")
