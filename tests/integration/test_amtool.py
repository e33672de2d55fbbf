"""Debian's amtool, pointed at us and at a real Alertmanager: the same orders lead to the same answers."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.test_alertmanager import AMTOOL, Alertmanager, alertmanager  # noqa: F401 - a fixture
from tests.support.incidents import chain
from tests.support.web_server import serving

from tillwatch.app import App, build
from tillwatch.config.schema import StoreSpec
from tillwatch.web.services import Services


@dataclass
class Ours:
    """The product as the server wires it, without its loops."""

    app: App

    def services(self) -> Services:
        return self.app.services


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[str]:
    config = replace(
        chain(),
        root=tmp_path,
        systems=(),
        interfaces=(),
        channels=(),
        receivers=(),
        store=StoreSpec(url="sqlite:///store.db"),
    )
    app = build(config)
    with serving(Ours(app)) as url:
        yield url
    app.stop()


@pytest.fixture(params=["ours", "alertmanager"])
def url(request: pytest.FixtureRequest) -> str:
    server = request.getfixturevalue(request.param)
    return server.url if isinstance(server, Alertmanager) else server


def amtool(url: str, *arguments: str) -> str:
    assert AMTOOL, "tests/packages.sh installs prometheus-alertmanager"
    argv = [AMTOOL, f"--alertmanager.url={url}", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def query(url: str, *arguments: str) -> list[Any]:
    found = json.loads(amtool(url, "--output=json", *arguments))
    assert isinstance(found, list)
    return found


def names(alerts: list[Any]) -> list[str]:
    return sorted(alert["labels"]["alertname"] for alert in alerts)


def test_alerts_added_by_amtool_are_found_by_its_filters(url: str) -> None:
    amtool(url, "alert", "add", "AddDown", "site=朝阳店", "story=add", "--annotation=summary=断线")
    amtool(url, "alert", "add", "AddStale", "site=hq", "story=add")
    assert names(query(url, "alert", "query", "story=add")) == ["AddDown", "AddStale"]
    assert names(query(url, "alert", "query", "story=add", "site=~朝.*")) == ["AddDown"]
    assert names(query(url, "alert", "query", "story=add", "alertname!~.*Down")) == ["AddStale"]
    assert query(url, "alert", "query", "story=none") == []


def test_a_silence_mutes_until_it_is_expired(url: str) -> None:
    amtool(url, "alert", "add", "MuteDown", "story=mute")
    amtool(url, "alert", "add", "MuteStale", "story=mute")
    id = amtool(url, "silence", "add", "alertname=MuteDown", "--comment=换收银机", "--author=li", "-d", "2h").strip()
    assert names(query(url, "alert", "query", "story=mute")) == ["MuteStale"]
    (muted,) = query(url, "alert", "query", "--silenced", "story=mute")
    assert muted["status"]["silencedBy"] == [id]
    assert muted["status"]["state"] == "suppressed"
    (silence,) = query(url, "silence", "query", "alertname=MuteDown")
    assert (silence["id"], silence["comment"], silence["createdBy"]) == (id, "换收银机", "li")
    assert silence["status"]["state"] == "active"
    amtool(url, "silence", "expire", id)
    assert names(query(url, "alert", "query", "story=mute")) == ["MuteDown", "MuteStale"]
    assert query(url, "silence", "query", "alertname=MuteDown") == []
    assert [one["id"] for one in query(url, "silence", "query", "--expired", "alertname=MuteDown")] == [id]


def test_a_silence_is_prolonged_in_place(url: str) -> None:
    id = amtool(url, "silence", "add", "alertname=Longer", "--comment=x", "-d", "1h").strip()
    amtool(url, "silence", "update", "-d", "3h", id)
    (silence,) = query(url, "silence", "query", "alertname=Longer")
    assert silence["id"] == id


def test_silences_are_kept_with_all_kinds_of_matchers(url: str) -> None:
    written = ["story=kinds", "a!=b", "c=~d.*", "e!~f|g"]
    amtool(url, "silence", "add", *written, "--comment=x")
    (silence,) = query(url, "silence", "query", "story=kinds")
    kinds = {(one["name"], one["value"], one["isRegex"], one["isEqual"]) for one in silence["matchers"]}
    assert kinds == {
        ("story", "kinds", False, True),
        ("a", "b", False, False),
        ("c", "d.*", True, True),
        ("e", "f|g", True, False),
    }


def test_the_cluster_is_shown(url: str) -> None:
    assert "Cluster Status:" in amtool(url, "cluster", "show")


WRONG: list[tuple[dict[str, Any], int]] = [
    ({"matchers": []}, 422),
    ({"matchers": [{"name": "a", "value": ".*", "isRegex": True}]}, 400),
    ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400),
    ({"endsAt": "2020-01-01T00:00:00Z"}, 400),
    ({"id": "6a3b5f0e-1111-4222-8333-444455556666"}, 404),
    ({"comment": None}, 422),
]


@pytest.mark.parametrize(("change", "status"), WRONG)
def test_a_wrong_silence_is_refused_with_the_same_status(url: str, change: dict[str, Any], status: int) -> None:
    right = {
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2126-01-01T00:00:00Z",
        "createdBy": "li",
        "comment": "x",
    }
    assert httpx.post(f"{url}/api/v2/silences", json={**right, **change}, timeout=10).status_code == status


def test_an_unknown_silence_is_404(url: str) -> None:
    unknown = f"{url}/api/v2/silence/6a3b5f0e-1111-4222-8333-444455556666"
    assert httpx.get(unknown, timeout=10).status_code == 404


def test_expiring_an_unknown_silence_is_404_as_in_newer_alertmanagers(ours: str) -> None:
    """Debian's 0.25 answers 500, as if it were its own fault."""
    unknown = f"{ours}/api/v2/silence/6a3b5f0e-1111-4222-8333-444455556666"
    assert httpx.delete(unknown, timeout=10).status_code == 404


def test_groups_hold_every_alert_under_its_receiver(url: str) -> None:
    amtool(url, "alert", "add", "Grouped", "story=groups")
    groups = httpx.get(f"{url}/api/v2/alerts/groups", params={"filter": 'story="groups"'}, timeout=10).json()
    ((group, (alert,)),) = [(group, group["alerts"]) for group in groups]
    assert alert["labels"]["alertname"] == "Grouped"
    assert group["receiver"] in alert["receivers"]


def test_clients_that_ask_for_the_version_are_answered(url: str) -> None:
    assert "alertmanager_build_info{" in httpx.get(f"{url}/metrics", timeout=10).text


ASKED: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/alerts", {"filter": 'bad"('}, 400),
    ("GET", "/alerts", {"filter": 'a=~"("'}, 400),
    ("GET", "/alerts", {"filter": ""}, 400),
    ("GET", "/alerts", {"filter": "a"}, 400),
    ("GET", "/alerts", {"filter": '{a="b"}'}, 400),
    ("GET", "/alerts", {"filter": 'a="b",c="d"'}, 400),
    ("GET", "/alerts", {"receiver": "("}, 400),
    ("GET", "/alerts", {"active": "False", "unknown": "1"}, 200),
    ("GET", "/alerts/groups", {"filter": 'bad"('}, 400),
    ("GET", "/alerts/groups", {"receiver": "("}, 400),
    ("GET", "/silences", {"filter": 'a=~"("'}, 400),
    ("GET", "/silence/not-a-uuid", {}, 422),
    ("DELETE", "/silence/not-a-uuid", {}, 422),
    ("GET", "/silence/6A3B5F0E-1111-4222-8333-444455556666", {}, 404),
    ("GET", "/silence/6a3b5f0e111142228333444455556666", {}, 404),
    ("PUT", "/alerts", {}, 405),
    ("GET", "/nothing", {}, 404),
]


@pytest.mark.parametrize(("method", "path", "parameters", "status"), ASKED)
def test_a_question_is_answered_with_the_same_status(
    url: str, method: str, path: str, parameters: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{url}/api/v2{path}", params=parameters, timeout=10)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("body", [b"{}", b'"x"', b'[{"labels":{}}]', b'[{"labels":{"a":"b"},"startsAt":"yesterday"}]'])
def test_a_body_of_which_nothing_is_usable_is_refused_by_both(url: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{url}/api/v2/alerts", content=body, headers=headers, timeout=10)
    assert answer.status_code == 400, answer.text


def test_a_receiver_is_asked_for_by_a_regular_expression_that_matches_the_whole_name(url: str) -> None:
    amtool(url, "alert", "add", "Received", "story=receiver")
    (name,) = {one["name"] for one in httpx.get(f"{url}/api/v2/receivers", timeout=10).json()} or {"ops"}
    for path in ("alerts", "alerts/groups"):

        def found(receiver: str, path: str = path) -> int:
            parameters = {"receiver": receiver, "filter": 'story="receiver"'}
            return len(httpx.get(f"{url}/api/v2/{path}", params=parameters, timeout=10).json())

        assert [found(name), found(f"{name[0]}.*|nobody"), found(name[0]), found("nobody")] == [1, 1, 0, 0]
