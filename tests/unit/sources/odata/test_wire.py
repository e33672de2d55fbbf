"""Answers of both versions, and answers that only look like some."""

import json
from decimal import Decimal

import pytest

from tillwatch.sources.odata import wire


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_page_of_either_version_is_the_same_page() -> None:
    two = wire.page(body({"d": {"results": [{"a": "1"}], "__count": "14", "__next": "next"}}))
    four = wire.page(body({"value": [{"a": "1"}], "@odata.count": 14, "@odata.nextLink": "next"}))
    assert two == four == wire.Page(entities=({"a": "1"},), count=14, next_link="next")
    assert wire.page(body({"d": {"results": [], "__next": {"uri": "next"}}})).next_link == "next"
    assert wire.page(body({"d": [{"a": "1"}]})).entities == ({"a": "1"},)
    assert wire.page(body({"value": [], "@nextLink": "n", "@count": 0})) == wire.Page(
        entities=(), count=0, next_link="n"
    )


def test_a_number_keeps_every_digit() -> None:
    assert wire.page(b'{"value": [{"a": 0.1000000000000000055}]}').entities == (
        {"a": Decimal("0.1000000000000000055")},
    )


def test_a_delta_tells_what_is_gone_in_either_spelling() -> None:
    gone = {"@odata.context": "$metadata#Items/$deletedEntity", "id": "Items('1')", "reason": "deleted"}
    since = {"@removed": {"reason": "deleted"}, "@id": "Items('2')"}
    keyed = {"@removed": {"reason": "changed"}, "sku": "3"}
    link = {"@odata.context": "$metadata#Items/$deletedLink", "source": "x"}
    page = wire.page(body({"value": [{"sku": "0"}, gone, since, keyed, link], "@odata.deltaLink": "d"}))
    assert page.entities == ({"sku": "0"},)
    assert [one.id for one in page.removed] == ["Items('1')", "Items('2')", ""]
    assert page.removed[2].entity["sku"] == "3"
    assert page.delta_link == "d"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>Log in</html>", "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"d": {}}', "no 'results'"),
        (b'{"values": []}', "no 'value'"),
        (b'{"value": {}}', "no list"),
        (b'{"value": [], "@odata.count": "many"}', "the count is 'many'"),
        (b'{"error": {"code": "x/1", "message": {"value": "no way"}}}', "an error: x/1: no way"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_answer_says_why(answer: bytes, reason: str) -> None:
    with pytest.raises(wire.NotAnAnswer, match=reason):
        wire.page(answer)


def test_an_error_carries_the_words_and_the_transaction_of_the_service() -> None:
    said = {
        "code": "SY/530",
        "message": {"lang": "en", "value": "Field\n missing"},
        "innererror": {"transactionid": "A1"},
    }
    assert wire.error_words(body({"error": said})) == "SY/530: Field missing (transaction A1)"
    assert wire.error_words(body({"error": {"message": "plain"}})) == "plain"
    assert wire.error_words(b"<html>") == ""


def test_a_count_may_begin_with_a_mark_of_its_encoding() -> None:
    assert wire.count("﻿1234".encode()) == 1234


def test_a_link_never_leads_to_another_server() -> None:
    asked = "https://erp.example/sap/odata/Items?$select=a"
    for link in (
        "Items?$skiptoken=5",
        "/sap/odata/Items?$skiptoken=5",
        "http://inside:8000/sap/odata/Items?$skiptoken=5",
    ):
        assert wire.on_our_server(link, asked=asked) == "https://erp.example/sap/odata/Items?$skiptoken=5"


def test_a_token_answer_is_never_repeated_in_an_error() -> None:
    assert wire.token(body({"access_token": "t", "expires_in": "60"})) == ("t", 60.0)
    with pytest.raises(wire.NotAnAnswer) as failure:
        wire.token(body({"token": "s3cret"}))
    assert "s3cret" not in str(failure.value)
