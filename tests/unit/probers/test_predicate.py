"""An error inside a 200 is an error."""

import pytest
from pydantic import ValidationError

from tillwatch.probers.predicate import HeaderPredicate, JsonPredicate, check_body, check_headers, check_json

BODY = '{"status": "ok", "price": 0.10, "sku": "0123", "queue": 7, "flag": true, "nothing": null, "rows": [1, 2, 3]}'


def holds(**wanted: object) -> bool:
    return check_json([JsonPredicate.model_validate(wanted)], BODY) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"path": "$.status", "equals": "ok"},
        {"path": "$.status", "in": ["ok", "warn"]},
        {"path": "$.status", "matches": "^o"},
        {"path": "$.price", "equals": "0.1"},
        {"path": "$.price", "max": "0.1"},
        {"path": "$.sku", "equals": "0123"},
        {"path": "$.queue", "min": "7", "max": "7"},
        {"path": "$.flag", "equals": "true"},
        {"path": "$.nothing", "equals": "null"},
        {"path": "$.rows[*]", "max": "3"},
        {"path": "$.error", "exists": False},
        {"path": "$.queue"},
    ],
)
def test_a_predicate_that_holds_says_nothing(wanted: dict[str, object]) -> None:
    assert holds(**wanted)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"path": "$.status", "equals": "OK"}, "$.status is 'ok', 'OK' expected"),
        ({"path": "$.status", "in": ["warn", "bad"]}, "$.status is 'ok', one of warn, bad expected"),
        ({"path": "$.price", "equals": "0.11"}, "$.price is '0.10', '0.11' expected"),
        # A JSON text is a code: a leading zero counts.
        ({"path": "$.sku", "equals": "123"}, "$.sku is '0123', '123' expected"),
        ({"path": "$.queue", "max": "6"}, "$.queue is '7', at most 6 expected"),
        ({"path": "$.status", "min": "1"}, "$.status is 'ok', a number expected"),
        ({"path": "$.rows[*]", "max": "2"}, "$.rows[*] is '3', at most 2 expected"),
        ({"path": "$.gone", "equals": "x"}, "$.gone is not in the body"),
        ({"path": "$.status", "exists": False}, "$.status is there ('ok'), it must not be"),
    ],
)
def test_a_predicate_that_does_not_hold_says_what_was_found_and_what_was_expected(
    wanted: dict[str, object], message: str
) -> None:
    failure = check_json([JsonPredicate.model_validate(wanted)], BODY)
    assert failure is not None
    assert failure.message == message
    assert failure.message_zh != message


@pytest.mark.parametrize("text", ["<html>error</html>", "", "[" * 100_000, "{", "1" * 5000])
def test_a_body_that_is_no_json_fails_and_never_raises(text: str) -> None:
    assert check_json([JsonPredicate(path="$.status")], text) is not None


def test_absence_and_a_comparison_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="goes without equals"):
        JsonPredicate(path="$.x", exists=False, equals="1")


@pytest.mark.parametrize("pattern", ["(", "a{99999}", "(?=ahead)", r"(\w)\1"])
def test_a_pattern_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="is not an RE2 pattern"):
        JsonPredicate(path="$.x", matches=pattern)


def test_bodies_are_searched_for_what_must_and_must_not_be_there() -> None:
    text = "订单同步：成功"
    assert check_body(text, matches=["成功"], lacks=["失败"]) is None
    missing = check_body(text, matches=["完成"], lacks=[])
    assert missing is not None and missing.message == "the body does not match '完成'"
    present = check_body("同步失败", matches=[], lacks=["失败"])
    assert present is not None and present.message == "the body matches '失败', which it must not"


def test_headers_are_compared_and_missing_ones_named() -> None:
    wanted = [HeaderPredicate(name="content-type", matches="^application/json")]
    assert check_headers(wanted, {"content-type": "application/json; charset=utf-8"}) is None
    wrong = check_headers(wanted, {"content-type": "text/html"})
    assert wrong is not None and wrong.message.startswith("header 'content-type' is 'text/html', which does not match")
    absent = check_headers(wanted, {})
    assert absent is not None and absent.message == "no header 'content-type'"


def test_a_hostile_pattern_and_text_end_quickly() -> None:
    assert check_body("a" * 1_000_000 + "!", matches=[r"^(a+)+$"], lacks=[]) is not None
