"""The JSONPath that checks need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.probers.jsonpath import find, parse

DOCUMENT = {
    "status": "ok",
    "a b": {"c.d": 1},
    "items": [{"sku": "0123", "n": 1}, {"sku": "0456", "n": None}],
    "empty": [],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.status", ["ok"]),
        ("$['a b']['c.d']", [1]),
        ('$["a b"]["c.d"]', [1]),
        ("$.items[0].sku", ["0123"]),
        ("$.items[-1].sku", ["0456"]),
        ("$.items[*].sku", ["0123", "0456"]),
        ("$.items.*.n", [1, None]),
        ("$.items[2].sku", []),
        ("$.status.length", []),
        ("$.empty[*]", []),
        ("$.missing", []),
    ],
)
def test_a_path_leads_to_its_values(path: str, found: list[object]) -> None:
    assert find(DOCUMENT, path) == found


@pytest.mark.parametrize("path", ["status", "$status", "$..status", "$.items[?(@.n)]", "$.items[", "$.", "$.a b'"])
def test_what_is_not_understood_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not a JSON path.*for example"):
        parse(path)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_the_star_finds_exactly_the_children(document: object) -> None:
    children = list(document.values()) if isinstance(document, dict) else document if isinstance(document, list) else []
    assert find(document, "$[*]") == children
