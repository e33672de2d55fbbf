"""Secrets never reach a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.probers.scrub import HIDDEN, scrub, scrub_argv

SECRET = "hunter2-geheim"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://till:{SECRET}@db/shop", "postgresql://***@db/shop"),
        (f"password={SECRET} host=db", "password=*** host=db"),
        (f'{{"password": "{SECRET}", "user": "till"}}', '{"password": "***", "user": "till"}'),
        (f"PGPASSWORD={SECRET} psql", "PGPASSWORD=*** psql"),
        (f"report --db-password {SECRET} --fast", "report --db-password *** --fast"),
        (f"report --token={SECRET}", "report --token=***"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f"header set-cookie: session={SECRET}; Path=/", "header set-cookie: ***"),
        (f"GET /x?api_key={SECRET}&page=2", "GET /x?api_key=***&page=2"),
        (f"X-Api-Key: {SECRET}", "X-Api-Key: ***"),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str, shown: str) -> None:
    assert scrub(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/ answered 200",
        "passengers: 12",
        "the token bucket is empty",
        "SKU 001234 花生油 5L",
        "pid 12 python -m tillwatch.lab.report_job --hours 3",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_known_values_are_hidden_wherever_they_stand() -> None:
    assert scrub(f"the server said: {SECRET}!", [SECRET]) == "the server said: ***!"


def test_a_very_short_known_value_does_not_turn_the_text_into_stars() -> None:
    assert scrub("a banana", ["a"]) == "a banana"


def test_an_argument_after_a_secret_option_is_hidden_and_stays_its_own_element() -> None:
    assert scrub_argv(["psql", "--password", SECRET, "-h", "db"]) == ["psql", "--password", HIDDEN, "-h", "db"]
    assert scrub_argv(["/usr/bin/mysql", f"-p{SECRET}", "shop"]) == ["/usr/bin/mysql", "-p***", "shop"]
    assert scrub_argv(["tail", "-p5", "log"]) == ["tail", "-p5", "log"]


@given(st.text(max_size=40), st.text(alphabet="abcdef0123456789", min_size=8, max_size=20), st.text(max_size=40))
def test_a_known_secret_never_survives(before: str, secret: str, after: str) -> None:
    assert secret not in scrub(f"{before}{secret}{after}", [secret]).replace(HIDDEN, "\x00")


def test_a_megabyte_of_one_word_takes_no_time_to_speak_of() -> None:
    assert len(scrub("a" * 1_000_000)) == 1_000_000
