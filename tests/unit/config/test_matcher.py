"""Label matchers mean what they mean to Alertmanager."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.config.matcher import MAX_MATCHER_CHARACTERS, Matcher, Operator, matches_all, parse_matcher
from tillwatch.errors import UsageError

LABELS = {"severity": "critical", "site": "chaoyang", "名": "值"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('severity="critical"', True),
        ("severity=critical", True),
        (' severity = "critical" ', True),
        ('severity!="critical"', False),
        ('site=~"chao|hai"', False),
        ('site=~"(chao|hai).*"', True),
        ('site!~"hq"', True),
        ('missing=""', True),
        ('missing!=""', False),
        ('missing=~".*"', True),
        ('missing!~".+"', True),
        ('名="值"', True),
        (r'site="chao\"yang"', False),
    ],
)
def test_a_matcher_matches_as_alertmanager_does(text: str, matches: bool) -> None:
    assert parse_matcher(text).matches(LABELS) is matches


def test_all_matchers_must_hold() -> None:
    matchers = [parse_matcher('severity="critical"'), parse_matcher('site="hq"')]
    assert not matches_all(matchers, LABELS)
    assert matches_all([], LABELS)


@given(st.text(max_size=50), st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL]))
def test_a_printed_matcher_is_read_back_as_it_was(value: str, operator: Operator) -> None:
    matcher = Matcher(name="site", operator=operator, value=value)
    assert parse_matcher(str(matcher)) == matcher


@given(st.text(max_size=60))
def test_any_text_is_a_matcher_or_a_usage_error(text: str) -> None:
    try:
        parse_matcher(text).matches(LABELS)
    except UsageError as error:
        assert str(error)


def test_a_catastrophic_pattern_is_harmless() -> None:
    assert not parse_matcher('site=~"(a+)+$"').matches({"site": "a" * 50_000 + "!"})


def test_an_endless_matcher_is_refused() -> None:
    with pytest.raises(UsageError, match="at most"):
        parse_matcher("a=" + "b" * MAX_MATCHER_CHARACTERS)
