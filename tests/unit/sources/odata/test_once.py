"""What several addresses find is given once, and nothing else is left out."""

from tillwatch.sources.odata.fetching import Fetched, Strand
from tillwatch.sources.odata.once import Once
from tillwatch.sources.odata.wire import Page


def given(once: Once, *pages: tuple[str, list[dict[str, str]]]) -> list[list[dict[str, str]]]:
    for start in ("one", "two"):
        once.begin(Strand(start=start))
    found = [once.page(Fetched(page=Page(entities=tuple(entities)), size=1, url=url)) for url, entities in pages]
    return [[dict(entity) for entity in page.entities] for page in found]


def test_an_entity_an_earlier_address_gave_on_any_page_is_left_out() -> None:
    a, b, c = ({"id": name} for name in "abc")
    assert given(Once(key=["id"]), ("one", [a]), ("one, page 2", [b]), ("two", [b, c]), ("two, page 2", [a])) == [
        [a],
        [b],
        [c],
        [],
    ]


def test_what_one_address_gives_twice_stays_to_be_seen() -> None:
    a = {"id": "a"}
    assert given(Once(key=["id"]), ("one", [a, a]), ("one, page 2", [a])) == [[a, a], [a]]


def test_entities_without_a_whole_key_cannot_be_told_apart_and_stay() -> None:
    a = {"id": "a"}
    for key in ([], ["id", "line"]):
        assert given(Once(key=key), ("one", [a]), ("two", [a])) == [[a], [a]]
