"""From nodes to models: any node, any model, never an exception, always a place."""

from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tillwatch.config.bind import EMPTY, Raw, bind, did_you_mean
from tillwatch.config.schema import ChainFile, ChecksFile, RoutesFile, Strict
from tillwatch.config.yaml import Mapping, Node, Place, Scalar, Sequence, parse
from tillwatch.errors import Problem

AT = Place(file="f.yaml", line=3, column=5)
WORDS = st.sampled_from(
    [
        *ChainFile.model_fields,
        *ChecksFile.model_fields,
        *RoutesFile.model_fields,
        "id",
        "from",
        "name",
        "left",
        "0",
        "",
        "朝阳",
    ]
)
NODES: st.SearchStrategy[Node] = st.recursive(
    st.builds(Scalar, place=st.just(AT), text=st.text(max_size=8) | WORDS, quoted=st.booleans()),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: Sequence(place=AT, items=tuple(items)))
        | st.dictionaries(WORDS, inner, max_size=4).map(
            lambda entries: Mapping(place=AT, entries=entries, keys=dict.fromkeys(entries, AT))
        )
    ),
    max_leaves=12,
)


@given(NODES, st.sampled_from([ChainFile, ChecksFile, RoutesFile]))
def test_any_node_becomes_a_model_or_problems_with_a_place(node: Node, model: Any) -> None:
    problems: list[Problem] = []
    bound = bind(node, model, problems=problems)
    assert (bound is None) == bool(problems)
    assert {(problem.file, problem.line, problem.column) for problem in problems} <= {("f.yaml", 3, 5)}
    assert all(problem.message for problem in problems)


class Inner(Strict):
    count: Annotated[int, Field(ge=1)]


class Outer(Strict):
    inner: dict[str, list[Inner]] = Field(default_factory=dict)
    maybe: Inner | None = None
    raw: Raw = EMPTY


def said(text: str, where: str = "") -> list[str]:
    problems: list[Problem] = []
    bind(parse(text, "f.yaml"), Outer, where=where, problems=problems)
    return [str(problem) for problem in problems]


def test_a_suggestion_reaches_into_maps_lists_and_optional_models() -> None:
    assert said("inner: {a: [{cuont: 1}]}\nmaybe: {coutn: 2}\n") == [
        "f.yaml:1:14: unknown key 'cuont'; did you mean 'count'?",
        "f.yaml:2:9: unknown key 'coutn'; did you mean 'count'?",
    ]


def test_where_opens_every_message() -> None:
    assert said("maybe: {count: 0}", where="options of x") == ["f.yaml:1:16: options of x: '0': expected at least 1"]


def test_a_raw_mapping_is_kept_unread() -> None:
    bound = bind(parse("raw: {anything: [1, {b: c}]}", "f.yaml"), Outer, problems=[])
    assert bound is not None
    assert list(bound.raw.entries) == ["anything"]
    assert said("raw: text") == ["f.yaml:1:6: 'text': expected keys and values"]


def test_field_names_of_python_are_no_keys() -> None:
    problems: list[Problem] = []
    node = parse(
        "interfaces: [{id: x, from_: a, to: b, carries: c}]\nchain: {id: d, timezone: UTC, currency: EUR}\n", "f.yaml"
    )
    bind(node, ChainFile, problems=problems)
    assert [str(problem) for problem in problems] == ["f.yaml:1:22: unknown key 'from_'; did you mean 'from'?"]


def test_a_long_list_of_names_is_cut() -> None:
    names = [f"name{number:02}" for number in range(30)]
    assert did_you_mean("zzz", names).endswith("name15 and 14 more")
    assert did_you_mean("zzz", []) == ""
