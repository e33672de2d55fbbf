"""What Prometheus and Alertmanager send, and what nobody should."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tillwatch.alerting.wire import MAX_ALERTS, MAX_LABELS, Parsed, parse_v2, parse_webhook_v4
from tillwatch.model.alert import Alert, AlertState

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LABELS = {"alertname": "DiskFilling", "instance": "pos-7"}


def v2(*items: object) -> Parsed:
    return parse_v2(json.dumps(items).encode(), NOW)


def v4(*items: object, **more: object) -> Parsed:
    return parse_webhook_v4(json.dumps({"version": "4", "alerts": items, **more}).encode(), NOW)


def one(parsed: Parsed) -> Alert:
    assert parsed.poison == ()
    [alert] = parsed.alerts
    return alert


def test_an_alert_without_times_starts_now_and_is_open_ended() -> None:
    alert = one(v2({"labels": LABELS}))
    assert (alert.starts_at, alert.starts_at_stated, alert.ends_at) == (NOW, False, None)
    assert alert.state(NOW) is AlertState.FIRING


def test_an_end_in_the_past_is_a_resolution_and_one_in_the_future_is_a_lease() -> None:
    past = one(v2({"labels": LABELS, "startsAt": "2026-11-24T02:00:00Z", "endsAt": "2026-11-24T03:00:00Z"}))
    future = one(v2({"labels": LABELS, "startsAt": "2026-11-24T02:00:00Z", "endsAt": "2026-11-24T03:00:01Z"}))
    assert (past.state(NOW), future.state(NOW)) == (AlertState.RESOLVED, AlertState.FIRING)


def test_a_missing_start_beside_an_end_in_the_past_is_that_end() -> None:
    alert = one(v2({"labels": LABELS, "endsAt": "2026-11-24T02:00:00Z"}))
    assert alert.starts_at == alert.ends_at == NOW - timedelta(hours=1)


def test_nanoseconds_offsets_and_gos_zero_time_are_understood() -> None:
    alert = one(
        v2({"labels": LABELS, "startsAt": "2026-11-24T10:59:59.290868406+08:00", "endsAt": "0001-01-01T00:00:00Z"})
    )
    assert alert.starts_at == datetime(2026, 11, 24, 2, 59, 59, 290868, tzinfo=UTC)
    assert alert.ends_at is None


def test_empty_labels_are_dropped_and_unknown_keys_ignored() -> None:
    alert = one(v2({"labels": {**LABELS, "replica": ""}, "annotations": {"summary": "磁盘将满"}, "whatever": [1]}))
    assert alert.labels == LABELS
    assert alert.annotations == {"summary": "磁盘将满"}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (7, "an alert is an object with 'labels'"),
        ({}, "at least one label with a value is needed"),
        ({"labels": {"a": ""}}, "at least one label with a value is needed"),
        ({"labels": ["a"]}, "'labels' is not an object"),
        ({"labels": {"a": 1}}, "labels 'a' is not a text but int"),
        ({"labels": {"": "x"}}, "a name in 'labels' is empty"),
        ({"labels": {"a": "x\x00y"}}, "labels 'a' holds a NUL character"),
        ({"labels": {"a": "\ud800"}}, "labels 'a' holds half a character (a lone surrogate)"),
        ({"labels": {"a": "x" * 20_000}}, "labels 'a' has 20000 bytes; at most 16384"),
        ({"labels": {f"l{n}": "x" for n in range(MAX_LABELS + 1)}}, "65 labels; at most 64"),
        ({"labels": {f"l{n}": "x" * 10_000 for n in range(3)}}, "'labels' holds 30006 bytes; at most 16384"),
        ({"labels": LABELS, "annotations": {"summary": None}}, "annotations 'summary' is not a text but NoneType"),
        ({"labels": LABELS, "generatorURL": 5}, "'generatorURL' is not a text but int"),
        ({"labels": LABELS, "startsAt": "yesterday"}, "'startsAt' is 'yesterday'; write for example 2026-11-24T08:00:00+08:00"),
        ({"labels": LABELS, "startsAt": "2026-11-24T08:00:00"}, "'startsAt' is '2026-11-24T08:00:00'; write for example 2026-11-24T08:00:00+08:00"),
        ({"labels": LABELS, "startsAt": 1795500000}, "'startsAt' is 1795500000; write for example 2026-11-24T08:00:00+08:00"),
        ({"labels": LABELS, "startsAt": "2026-13-24T08:00:00Z"}, "'startsAt' is '2026-13-24T08:00:00Z', which is no instant: month must be in 1..12"),
        ({"labels": LABELS, "startsAt": "9999-12-31T23:59:59-08:00"}, "'startsAt' is '9999-12-31T23:59:59-08:00', which is no instant: date value out of range"),
        ({"labels": LABELS, "startsAt": "2026-11-24T02:00:00Z", "endsAt": "2026-11-24T01:00:00Z"}, "'endsAt' lies before 'startsAt'"),
    ],
)  # fmt: skip
def test_poison_is_set_aside_with_its_reason_and_the_others_are_taken(item: object, reason: str) -> None:
    parsed = v2({"labels": LABELS}, item, {"labels": {"alertname": "Other"}})
    assert [alert.name for alert in parsed.alerts] == ["DiskFilling", "Other"]
    assert [poison.reason for poison in parsed.poison] == [reason]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'[{"labels":', "the body is not JSON"),
        (b"[" * 200_000, "the body is not JSON"),
        (b"{}", "not a list of alerts"),
        (b"null", "not a list of alerts"),
        (json.dumps([{"labels": LABELS}] * (MAX_ALERTS + 1)).encode(), "20001 alerts in one body; at most 20000"),
    ],
    ids=["empty", "not-utf8", "cut", "deep", "object", "null", "too-many"],
)  # fmt: skip
def test_a_body_that_is_no_list_is_one_piece_of_poison(body: bytes, reason: str) -> None:
    parsed = parse_v2(body, NOW)
    assert parsed.alerts == ()
    assert [poison.reason.startswith(reason) for poison in parsed.poison] == [True]


CAPTURED = {
    "receiver": "hook",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "PosErpLinkDown"},
            "annotations": {"summary": "link down"},
            "startsAt": "2026-11-23T01:48:14.290868406Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "0000000000000000",
        }
    ],
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://vm:21012",
    "version": "4",
    "groupKey": '{}:{alertname="PosErpLinkDown"}',
    "truncatedAlerts": 0,
}
#: What later versions add, each to all before it; the last stands for those to come.
SHAPES = {
    "0.25": {},
    "0.33": {"notification_reason": "firing_alerts_changed"},
    "0.34": {"notification_reason": "repeat_interval", "routeLabels": {"team": "erp"}},
    "to come": {"version": "5", "extra": [{"deep": None}], "truncatedAlerts": None},
}


@pytest.mark.parametrize("added", SHAPES.values(), ids=SHAPES.keys())
def test_a_body_of_alertmanager_is_understood_whatever_its_version_adds(added: dict[str, object]) -> None:
    alert = one(parse_webhook_v4(json.dumps(CAPTURED | added).encode(), NOW))
    assert (alert.name, alert.source, alert.ends_at) == ("PosErpLinkDown", "alertmanager", None)
    assert alert.starts_at == datetime(2026, 11, 23, 1, 48, 14, 290868, tzinfo=UTC)
    assert alert.generator_url == "http://prometheus/graph"


def test_each_alert_of_a_webhook_has_its_own_status() -> None:
    firing = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-24T02:00:00Z"}
    resolved = {**firing, "labels": {"alertname": "B"}, "status": "resolved", "endsAt": "2026-11-24T02:30:00Z"}
    parsed = v4(firing, resolved, status="firing")
    assert [(alert.name, alert.state(NOW)) for alert in parsed.alerts] == [
        ("A", AlertState.FIRING),
        ("B", AlertState.RESOLVED),
    ]


def test_resolved_is_resolved_even_when_the_sender_is_ahead_of_us() -> None:
    ahead = {
        "status": "resolved",
        "labels": LABELS,
        "startsAt": "2026-11-24T02:00:00Z",
        "endsAt": "2026-11-24T05:00:00Z",
    }
    unset = {
        "status": "resolved",
        "labels": LABELS,
        "startsAt": "2026-11-24T02:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }
    assert [alert.ends_at for alert in v4(ahead, unset).alerts] == [NOW, NOW]


@pytest.mark.parametrize("body", [b"[]", b'{"alerts":{}}', b'"x"'])
def test_what_is_no_webhook_is_set_aside(body: bytes) -> None:
    [poison] = parse_webhook_v4(body, NOW).poison
    assert poison.reason == "not a webhook body: no list 'alerts' in it"


def test_a_webhook_alert_with_an_unknown_status_is_set_aside() -> None:
    [poison] = v4({"status": "on fire", "labels": LABELS}).poison
    assert poison.reason == "'status' is 'on fire'; it is 'firing' or 'resolved'"


@pytest.mark.parametrize("added", SHAPES.values(), ids=SHAPES.keys())
def test_what_alertmanager_left_out_is_said_and_the_rest_is_stored(added: dict[str, object]) -> None:
    parsed = parse_webhook_v4(json.dumps(CAPTURED | added | {"truncatedAlerts": 37}).encode(), NOW)
    assert [alert.name for alert in parsed.alerts] == ["PosErpLinkDown"]
    [note] = parsed.poison
    assert note.reason.startswith("the sender left out 37 alerts of group '{}:{alertname=")
    assert "groupLabels" in note.body
    assert '"alerts"' not in note.body
