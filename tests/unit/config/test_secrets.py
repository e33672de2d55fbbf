"""Secrets are filled in from outside, told when missing, and never shown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tillwatch.config.bind import Secret, bind
from tillwatch.config.secrets import MAX_SECRET_FILE_BYTES, is_reference, resolve
from tillwatch.config.yaml import Mapping, Scalar, parse
from tillwatch.errors import Problem

ENVIRONMENT = {"PW": "hunter2", "TRICKY": "${env:PW}", "NULLISH": "null"}


def filled(text: str, root: Path = Path()) -> tuple[Scalar, list[str]]:
    problems: list[Problem] = []
    quoted = json.dumps(text, ensure_ascii=False)
    node = resolve(parse(f"key: {quoted}", "c.yaml"), root=root, environment=ENVIRONMENT, problems=problems)
    assert isinstance(node, Mapping)
    value = node.entries["key"]
    assert isinstance(value, Scalar)
    return value, [str(problem) for problem in problems]


def test_a_reference_is_filled_in_wherever_it_stands() -> None:
    node, problems = filled("postgresql://tw:${env:PW}@db/x")
    assert (node.text, node.reference, problems) == (
        "postgresql://tw:hunter2@db/x",
        "postgresql://tw:${env:PW}@db/x",
        [],
    )


def test_a_secret_is_not_read_again_for_references() -> None:
    assert filled("${env:TRICKY}")[0].text == "${env:PW}"


def test_a_secret_that_looks_like_null_is_still_a_text() -> None:
    assert not filled("${env:NULLISH}")[0].is_null


def test_a_doubled_dollar_is_plain_text() -> None:
    node, problems = filled("$${env:PW}")
    assert (node.text, node.reference, problems) == ("${env:PW}", "", [])


def test_a_file_is_read_below_the_chain_directory_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"s3cret \r\n")
    assert filled("${file:key}", tmp_path)[0].text == "s3cret "


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${env:NOPE}", "environment variable 'NOPE' is not set; set it before starting tillwatch"),
        ("${file:nope}", "secret file 'nope' cannot be read: No such file or directory"),
        ("${file:empty}", "secret file 'empty' is empty"),
        ("${file:big}", f"secret file 'big' holds more than {MAX_SECRET_FILE_BYTES} bytes; is it the right file?"),
        ("${file:gbk}", "secret file 'gbk' is not UTF-8 (byte 0)"),
        ("${PW}", "'${PW}' is not a secret; write ${env:NAME} or ${file:PATH}, or $${…} for plain text"),
        ("${env:}", "'${env:}' is not a secret; write ${env:NAME} or ${file:PATH}, or $${…} for plain text"),
    ],
)
def test_a_secret_that_is_not_there_is_a_problem_that_says_which(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "big").write_bytes(b"x" * (MAX_SECRET_FILE_BYTES + 1))
    (tmp_path / "gbk").write_bytes("密".encode("gbk"))
    node, problems = filled(text, tmp_path)
    assert problems == [f"c.yaml:1:6: {problem}"]
    assert node.text == text


class Login(BaseModel):
    user: str = "x"
    password: Secret = Secret("")
    port: int = 0


def test_no_repr_dump_or_message_shows_a_secret() -> None:
    problems: list[Problem] = []
    node = resolve(parse("{password: '${env:PW}'}", "c.yaml"), root=Path(), environment=ENVIRONMENT, problems=problems)
    login = bind(node, Login, problems=problems)
    assert login is not None
    assert login.password == "hunter2"
    shown = (repr(login), str(login), login.model_dump_json(), repr(login.password), repr(node))
    assert not [text for text in shown if "hunter2" in text]


def test_a_wrong_value_out_of_a_secret_is_shown_by_its_reference() -> None:
    problems: list[Problem] = []
    node = resolve(parse("{port: '${env:PW}'}", "c.yaml"), root=Path(), environment=ENVIRONMENT, problems=problems)
    assert bind(node, Login, problems=problems) is None
    assert [str(problem) for problem in problems] == ["c.yaml:1:8: '${env:PW}': expected a whole number"]


def test_a_secret_that_is_not_filled_in_is_not_called_wrong() -> None:
    problems: list[Problem] = []
    assert bind(parse("{port: '${env:PORT}'}", "c.yaml"), Login, problems=problems) is None
    assert problems == []


@given(st.text(alphabet="${}:env PW$x", max_size=30))
def test_every_text_is_filled_in_or_named_as_a_problem(text: str) -> None:
    node, problems = filled(text)
    assert problems or not is_reference(text) or node.reference == text
