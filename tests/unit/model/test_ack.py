"""Acknowledge links: ours are read as they were made, anything else is nobody's."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.model.ack import AckLink, bound, read

SECRET = b"k" * 32
NOW = datetime(2026, 11, 24, 3, 0, 0, 123456, tzinfo=UTC)
LINK = AckLink(message=12, key="7:opened:1:ops:li", incident=7, version=3, expires_at=NOW)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(
    message=st.integers(1, 2**63 - 1),
    incident=st.integers(1, 2**63 - 1),
    version=st.integers(0, 2**31 - 1),
    minutes=st.integers(0, 10**7),
    key=st.text(max_size=80),
)
def test_a_link_is_read_as_it_was_made(message: int, incident: int, version: int, minutes: int, key: str) -> None:
    end = NOW + timedelta(minutes=minutes)
    link = AckLink(message=message, key=key, incident=incident, version=version, expires_at=end)
    found = read(link.sign(SECRET), SECRET)
    assert found is not None
    said = (found.message, found.incident, found.version, found.expires_at, found.bound)
    assert said == (message, incident, version, end, bound(key))


@given(position=st.integers(0, 63), other=st.sampled_from(ALPHABET))
def test_one_changed_character_makes_it_nobodys(position: int, other: str) -> None:
    token = LINK.sign(SECRET)
    changed = token[:position] + other + token[position + 1 :]
    assert (read(changed, SECRET) is not None) == (changed == token)


@given(st.text(max_size=100) | st.text(ALPHABET, min_size=64, max_size=64))
def test_what_somebody_made_up_is_nobodys(token: str) -> None:
    assert read(token, SECRET) is None


def test_another_key_makes_another_link() -> None:
    assert read(LINK.sign(b"x" * 32), SECRET) is None


def test_a_link_is_short_and_needs_no_escapes_in_an_address() -> None:
    assert len(LINK.sign(SECRET)) == 64
    assert set(LINK.sign(SECRET)) <= set(ALPHABET)
