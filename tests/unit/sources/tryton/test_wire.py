"""Values cross the wire without loss, and an answer means what its body says."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected
from tillwatch.sources.tryton import wire

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)


@given(value=VALUES)
def test_a_value_comes_back_as_it_went(value: object) -> None:
    (back,) = wire.decoded(wire.encoded("m", [value]))["params"]
    assert back == value
    assert type(back) is type(value)


def test_a_number_with_a_point_is_never_a_binary_float() -> None:
    assert wire.decoded(b'{"result": [0.1, 1.10, 2, 1e3]}') == {
        "result": [Decimal("0.1"), Decimal("1.10"), 2, Decimal("1E+3")]
    }


def test_a_moment_is_sent_in_utc_and_one_without_a_zone_is_not_sent() -> None:
    shanghai = timezone(timedelta(hours=8))
    sent = json.loads(wire.encoded("m", [datetime(2026, 11, 24, 7, 30, tzinfo=shanghai)]))["params"][0]
    assert (sent["day"], sent["hour"], sent["minute"]) == (23, 23, 30)
    with pytest.raises(TypeError, match="without a zone"):
        wire.encoded("m", [datetime(2026, 11, 24)])  # noqa: DTZ001 - the mistake under test


def test_every_kind_of_value_the_erp_sends_is_read() -> None:
    answer = {
        "result": [
            {"__class__": "date", "year": 2026, "month": 11, "day": 24},
            {"__class__": "timedelta", "seconds": 90},
            {"__class__": "bytes", "base64": "5Lit"},
            {"plain": "object"},
        ]
    }
    assert wire.decoded(json.dumps(answer).encode())["result"] == [
        date(2026, 11, 24),
        timedelta(seconds=90),
        "5Lit",
        {"plain": "object"},
    ]


@pytest.mark.parametrize(
    ("error", "kind", "cause", "words"),
    [
        (["UserError", ["不能确认：没有地址", "", None]], SourceRejected, Cause.APPLICATION, "不能确认：没有地址"),
        (["UserWarning", ["name", "Late order", "sure?"]], SourceRejected, Cause.APPLICATION, "Late order"),
        (["UserError", ['You are not allowed to access "Sale".', "", None]], SourceError, Cause.AUTHZ, "groups"),
        (["LoginException", ["password", "Password for x", "password"]], AuthRefused, Cause.AUTH, "password"),
        (["ConcurrencyException", ["Records were modified"]], wire.Concurrent, Cause.APPLICATION, "modified"),
        (["'codex'", "Traceback (most recent call last): ..."], SchemaMismatch, Cause.DATA, "'codex'"),
        (["division by zero", "Traceback ..."], SourceRejected, Cause.APPLICATION, "division by zero"),
        ([], SourceRejected, Cause.APPLICATION, "sale"),
        ("odd", SourceRejected, Cause.APPLICATION, "odd"),
        (None, SourceRejected, Cause.APPLICATION, "sale"),
    ],
)
def test_an_error_inside_a_200_is_a_failure_with_the_erps_own_words(
    error: object, kind: type[SourceError], cause: Cause, words: str
) -> None:
    with pytest.raises(kind, match=words) as failure:
        wire.result_of({"id": 1, "error": error}, system="erp", method="model.sale.sale.confirm")
    assert type(failure.value) is kind
    assert failure.value.cause is cause
    assert "Traceback" not in str(failure.value)


def test_a_long_error_is_cut() -> None:
    with pytest.raises(SourceRejected) as failure:
        wire.result_of({"error": ["UserError", ["x" * 50_000]]}, system="erp", method="m")
    assert len(str(failure.value)) < 2 * wire.MAX_WORDS_CHARACTERS


def test_a_result_may_be_empty() -> None:
    assert wire.result_of({"id": 1, "result": None}, system="erp", method="m") is None
