"""What a SQL system may say, and the words for what it may not."""

import pytest

from tillwatch.config.bind import bind
from tillwatch.config.secrets import Secret
from tillwatch.config.yaml import parse
from tillwatch.errors import Problem
from tillwatch.sources.sql import SqlOptions


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    bind(parse(text, "tillwatch.yaml"), SqlOptions, problems=problems)
    return [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url: 'not a url'", "not a database URL"),
        ("url: 'oracle://u:s3cret@h/x'", "'oracle' database cannot be opened read only yet; known: sqlite"),
        ("url: 'sqlite:///a'\ndatasets: {a: {}}", "write either 'table' or 'query'"),
        ("url: 'sqlite:///a'\ndatasets: {a: {table: t, query: SELECT 1}}", "write either 'table' or 'query'"),
        ("url: 'sqlite:///a'\ndatasets: {a: {query: SELECT 1, columns: {a: b}}}", "name the columns with AS"),
        ("url: 'sqlite:///a'\ndatasets: {a: {query: DELETE FROM t}}", "must start with SELECT or WITH"),
        ("url: 'sqlite:///a'\ntimeout_seconds: 0", "'0'"),
        ("datasets: {}", "missing key 'url'"),
    ],
)
def test_a_mistake_is_named_and_no_secret_repeated(text: str, message: str) -> None:
    (problem,) = problems_of(text + "\n")
    assert message in problem
    assert "s3cret" not in problem


def test_user_and_password_may_stand_beside_the_url_and_need_no_escaping() -> None:
    options = SqlOptions(url=Secret("postgresql://h/x"), user="u", password=Secret("p@:/%§"))
    address = options.address()
    assert (address.drivername, address.username, address.password) == ("postgresql+psycopg", "u", "p@:/%§")
    assert "p@" not in repr(options) + repr(address)


def test_a_query_may_end_with_a_semicolon_and_start_with_a_comment_free_with() -> None:
    assert problems_of("url: 'sqlite:///a'\ndatasets: {a: {query: ' with x as (select 1) select * from x ; '}}\n") == []
