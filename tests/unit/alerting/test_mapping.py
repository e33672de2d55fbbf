"""Another system's webhook: paths, words, times, and what is set aside."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.alerting.mapping import MAX_DEPTH, parse
from tillwatch.alerting.wire import MAX_ALERTS, MAX_LABEL_BYTES, Parsed
from tillwatch.config.schema import Webhook

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def declared(**keys: Any) -> Webhook:
    return Webhook.model_validate({"id": "x", "labels": {"alertname": "$.name"}, **keys})


def read(document: object, **keys: Any) -> Parsed:
    return parse(json.dumps(document).encode(), NOW, declared(**keys), SHANGHAI)


def reasons(parsed: Parsed) -> list[str]:
    assert parsed.alerts == ()
    return [poison.reason for poison in parsed.poison]


def test_a_path_goes_through_names_positions_and_any_name_in_quotes() -> None:
    document = {"name": "Down", "a": [{"b": "first"}, {"b c.d": "second"}], "编号": 7}
    labels = {"alertname": "$.name", "one": "$.a[0].b", "two": '$.a[1]["b c.d"]', "no": "$.编号", "none": "$.a[9].b"}
    [alert] = read(document, labels=labels).alerts
    assert alert.labels == {"alertname": "Down", "one": "first", "two": "second", "no": "7"}


def test_a_text_stands_as_it_is_and_two_dollar_signs_are_one() -> None:
    [alert] = read({"name": "Down"}, annotations={"price": "$$5", "summary": "as written"}).alerts
    assert alert.annotations == {"price": "$5", "summary": "as written"}


def test_numbers_and_booleans_are_texts_and_null_is_nothing() -> None:
    labels = {"alertname": "$.name", "n": "$.n", "f": "$.f", "yes": "$.yes", "null": "$.null"}
    [alert] = read({"name": "Down", "n": 3, "f": 0.5, "yes": True, "null": None}, labels=labels).alerts
    assert alert.labels == {"alertname": "Down", "n": "3", "f": "0.5", "yes": "true"}


@pytest.mark.parametrize(
    ("word", "ours"), [("5", "critical"), ("HOCH", "critical"), ("niedrig", "info"), (None, "info"), ("4", "info")]
)
def test_words_are_mapped_whatever_their_case_and_the_rest_has_a_default(word: str | None, ours: str) -> None:
    severity = {"from": "$.s", "map": {"5": "critical", "hoch": "critical"}, "default": "info"}
    [alert] = read({"name": "Down", "s": word}, labels={"alertname": "$.name", "severity": severity}).alerts
    assert alert.labels["severity"] == ours


def test_a_word_without_a_meaning_and_without_a_default_stays() -> None:
    labels = {"alertname": "$.name", "severity": {"from": "$.s", "map": {"5": "critical"}}}
    [alert] = read({"name": "Down", "s": "odd"}, labels=labels).alerts
    assert alert.labels["severity"] == "odd"


def test_the_items_are_a_list_and_the_body_is_still_at_hand() -> None:
    document = {"from": "noc", "data": {"alerts": [{"name": "A"}, {"name": "B"}]}}
    labels = {"alertname": "$.name", "by": "$body.from"}
    parsed = read(document, items="$.data.alerts", labels=labels)
    assert [alert.labels for alert in parsed.alerts] == [
        {"alertname": "A", "by": "noc"},
        {"alertname": "B", "by": "noc"},
    ]


def test_a_list_as_the_whole_body_is_a_list_of_items() -> None:
    assert len(read([{"name": "A"}, {"name": "B"}]).alerts) == 2


def test_a_bad_item_costs_only_itself() -> None:
    parsed = read([{"name": "A"}, {"name": ""}, 7, {"name": {"deep": 1}}])
    assert [alert.name for alert in parsed.alerts] == ["A"]
    assert [poison.reason for poison in parsed.poison] == [
        "the label 'alertname' is empty: there is nothing at $.name",
        "an alert is an object with 'labels'",
        "$.name is no text but an object",
    ]
    assert parsed.poison[0].body == '{"name": ""}'


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-24T10:59:00+08:00", datetime(2026, 11, 24, 2, 59, tzinfo=UTC)),
        ("2026-11-24T02:59:00Z", datetime(2026, 11, 24, 2, 59, tzinfo=UTC)),
        ("2026-11-24 10:59:00", datetime(2026, 11, 24, 2, 59, tzinfo=UTC)),
        ("2026/11/24 10:59:00.5", datetime(2026, 11, 24, 2, 59, 0, 500_000, tzinfo=UTC)),
        (1795489140, datetime(2026, 11, 24, 2, 59, tzinfo=UTC)),
        ("1795489140000", datetime(2026, 11, 24, 2, 59, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_they_are_commonly_written(written: object, instant: datetime) -> None:
    [alert] = read({"name": "A", "at": written}, starts_at="$.at").alerts
    assert (alert.starts_at, alert.starts_at_stated) == (instant, True)


@pytest.mark.parametrize("written", ["yesterday", "2026-02-30 10:00:00", "7", {"a": 1}, "2026-11-24T25:00:00Z"])
def test_what_is_no_time_is_set_aside(written: object) -> None:
    [reason] = reasons(read({"name": "A", "at": written}, starts_at="$.at"))
    assert reason.startswith("$.at is")


def test_without_a_start_the_message_speaks_of_whatever_fires() -> None:
    [alert] = read({"name": "A"}, starts_at="$.at").alerts
    assert (alert.starts_at, alert.starts_at_stated) == (NOW, False)


def test_the_end_is_told_by_a_value_and_never_lies_in_the_future() -> None:
    ended = {"path": "$.state", "values": ["OK", "0"]}
    [over] = read({"name": "A", "state": "ok", "end": "2026-11-24T05:00:00Z"}, resolved=ended, ends_at="$.end").alerts
    [fires] = read({"name": "A", "state": "bad"}, resolved=ended).alerts
    assert (over.ends_at, fires.ends_at) == (NOW, None)
    assert [alert.ends_at for alert in read({"name": "A", "state": 0}, resolved=ended).alerts] == [NOW]


def test_a_source_that_never_says_the_end_has_a_lease() -> None:
    [alert] = read({"name": "A"}, lease="10m").alerts
    assert alert.ends_at == NOW + timedelta(minutes=10)


def test_a_body_that_is_not_what_was_declared_is_set_aside_whole() -> None:
    assert "is not JSON" in reasons(parse(b"host=till-2", NOW, declared(), SHANGHAI))[0]
    assert reasons(read({"name": "A"}, items="$.alerts")) == ["there is nothing at $.alerts"]
    assert reasons(read([{"name": "A"}] * (MAX_ALERTS + 1)))[0].startswith(f"{MAX_ALERTS + 1} alerts in one body")


def test_nesting_is_bounded_by_us_not_by_the_stack() -> None:
    def nested(levels: int) -> bytes:
        return b'{"name": "A", "x": ' + b"[" * levels + b"]" * levels + b"}"

    assert parse(nested(MAX_DEPTH - 1), NOW, declared(), SHANGHAI).poison == ()
    assert reasons(parse(nested(MAX_DEPTH), NOW, declared(), SHANGHAI)) == [f"nested deeper than {MAX_DEPTH} levels"]
    assert reasons(parse(nested(100_000), NOW, declared(), SHANGHAI))


def test_the_limits_of_alerts_hold_here_too() -> None:
    [reason] = reasons(read({"name": "A" * (MAX_LABEL_BYTES + 1)}))
    assert "bytes; at most" in reason


def test_labels_taken_over_as_a_whole_give_way_to_declared_ones() -> None:
    document = {"tags": {"alertname": "A", "site": "cy", "severity": "5"}}
    [alert] = read(document, labels_from="$.tags", labels={"severity": "critical"}).alerts
    assert alert.labels == {"alertname": "A", "site": "cy", "severity": "critical"}
    assert reasons(read({"name": "A", "tags": [1]}, labels_from="$.tags")) == ["$.tags is no object but a list"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "at", "s", "items"]), inner),
    max_leaves=12,
)


@given(_json)
def test_every_item_is_an_alert_or_set_aside_whatever_is_posted(document: Any) -> None:
    parsed = read(document, starts_at="$.at", resolved={"path": "$.s", "values": ["x"]}, labels_from="$.s")
    expected = len(document) if isinstance(document, list) else 1
    assert len(parsed.alerts) + len(parsed.poison) == expected
