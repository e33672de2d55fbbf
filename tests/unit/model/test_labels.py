"""Identity of label sets."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.model.alert import Alert, AlertState
from tillwatch.model.labels import fingerprint

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def test_the_empty_set_has_the_offset_basis_of_fnv_1a() -> None:
    assert fingerprint({}) == "cbf29ce484222325"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6))
def test_the_order_of_labels_does_not_matter(labels: dict[str, str]) -> None:
    assert fingerprint(labels) == fingerprint(dict(reversed(labels.items())))


def test_a_value_cannot_pass_for_part_of_a_name() -> None:
    assert fingerprint({"a": "bc"}) != fingerprint({"ab": "c"})


def test_an_end_in_the_future_is_a_lease_and_an_end_now_is_a_resolve() -> None:
    def alert(ends_at: datetime | None) -> Alert:
        return Alert(labels={"alertname": "ErpDown"}, starts_at=NOW, ends_at=ends_at, source="probe")

    assert alert(None).state(NOW) is AlertState.FIRING
    assert alert(NOW + timedelta(seconds=1)).state(NOW) is AlertState.FIRING
    assert alert(NOW).state(NOW) is AlertState.RESOLVED
