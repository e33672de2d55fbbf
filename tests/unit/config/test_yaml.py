"""Strict YAML: what is refused, where it says so, and what stays text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.config.yaml import MAX_DEPTH, MAX_FILE_BYTES, Mapping, Scalar, Sequence, load, parse
from tillwatch.errors import ConfigError

ROOT = Path(__file__).parents[3]

BAD_FILES = [
    ("probes: []\nprobes: []\n", ["f.yaml:2:1: duplicate key 'probes'; it stands at line 1 too"]),
    (
        "a: &x 1\nb: *x\n",
        [
            "f.yaml:1:4: anchor '&x' is not allowed; write the value out",
            "f.yaml:2:4: alias '*x' is not allowed; write the value out",
        ],
    ),
    (
        "a: !!python/object:os.system x\n",
        ["f.yaml:1:4: tag 'tag:yaml.org,2002:python/object:os.system' is not allowed; remove it"],
    ),
    ("? [a, b]\n: 1\n", ["f.yaml:1:3: a key must be plain text"]),
    ("a: 1\n---\nb: 2\n", ["f.yaml:2:1: a second document; one file holds one document"]),
    ("a: [1, 2\n", ["f.yaml:2:1: not YAML: expected ',' or ']', but got '<stream end>'"]),
    ("a: 1\nb: \x00\n", ["f.yaml:2:1: character U+0000 is not allowed in YAML; remove it"]),
    ("", ["f.yaml:1:1: the file is empty"]),
    ("[" * (MAX_DEPTH + 1), ["f.yaml:1:51: nested deeper than 50 levels; flatten the file"]),
    ("x" * (MAX_FILE_BYTES + 1), ["f.yaml: 1048577 bytes; at most 1048576: split the file"]),
]


@pytest.mark.parametrize(("text", "messages"), BAD_FILES, ids=lambda value: str(value)[:40])
def test_a_bad_file_is_refused_with_every_problem_and_its_place(text: str, messages: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    assert [str(problem) for problem in caught.value.problems] == messages


@pytest.mark.parametrize("text", ["0123", "no", "1.10", "12:30:00", "2026-11-24", "1e3", "０１２３"])
def test_a_plain_scalar_stays_the_text_that_was_written(text: str) -> None:
    node = parse(f"sku: {text}\n", "f.yaml")
    assert isinstance(node, Mapping)
    sku = node.entries["sku"]
    assert isinstance(sku, Scalar)
    assert (sku.text, sku.quoted, sku.place.line, sku.place.column) == (text, False, 1, 6)


def test_null_is_told_from_the_quoted_word() -> None:
    node = parse("[~, null, 'null', '', ]\n", "f.yaml")
    assert isinstance(node, Sequence)
    assert [item.is_null for item in node.items if isinstance(item, Scalar)] == [True, True, False, False]


@given(st.text(max_size=200))
def test_any_text_is_either_a_node_or_a_config_error(text: str) -> None:
    try:
        parse(text, "f.yaml")
    except ConfigError as error:
        assert error.problems


def test_a_file_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("名: 值".encode("gbk"))
    with pytest.raises(ConfigError, match=r"^a\.yaml: not UTF-8 \(byte 0\); save it as UTF-8$"):
        load(tmp_path / "a.yaml", root=tmp_path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a\.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "a.yaml", root=tmp_path)


@pytest.mark.parametrize(
    "path",
    sorted([ROOT / "tillwatch.yaml", *ROOT.glob("probes/**/*.yaml"), *ROOT.glob("alerts/*.yaml")]),
    ids=lambda path: path.name,
)
def test_every_file_of_the_reference_chain_is_strict_yaml(path: Path) -> None:
    assert isinstance(load(path, root=ROOT), Mapping)
