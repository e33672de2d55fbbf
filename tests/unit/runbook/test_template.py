"""Templates: text in, text out, and nothing of Python within reach."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.errors import ActionError, UsageError
from tillwatch.runbook import template

CONTEXT: template.Context = {
    "p": {"x": "1; rm -rf /", "items": "seven"},
    "t": {},
    "s": {"lag": {"seconds": 61, "ok": True, "rows": [1]}},
}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("plain", "plain"),
        ("{{ p.x }}", "1; rm -rf /"),
        ("{{ p.items }}", "seven"),
        ("{{ s.lag.seconds }}/{{ s.lag.ok }}", "61/true"),
        ("{{ 'a' ~ p.items }}", "aseven"),
        ("{{ s.lag.rows[0] }}", "1"),
    ],
)
def test_a_template_becomes_text(text: str, becomes: str) -> None:
    assert template.render(text, CONTEXT) == becomes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% for a in p %}{% endfor %}", "'For' is not allowed"),
        ("{{ 'x' * 300000000 }}", "'Mul' is not allowed"),
        ("{{ 2 ** 99 }}", "'Pow' is not allowed"),
        ("{{ p.x.__class__ }}", "'__class__' is not allowed"),
        ("{{ p.x.format() }}", "'Call' is not allowed"),
        ("{{ p.x | upper }}", "'Filter' is not allowed"),
        ("{{ p.x is string }}", "'Test' is not allowed"),
        ("{{ cycler }}", "'cycler' is not known here"),
        ("{{ p[p.x] }}", "an index in a template"),
        ("{% set a = 1 %}", "'Assign' is not allowed"),
        ("{% if p.x %}a{% endif %}", "'If' is not allowed"),
        ("{{ p.x", "not a template"),
        ("{{ " + "p.x ~ " * 300 + "p.x }}", "at most 1024"),
    ],
)
def test_what_could_loop_call_or_grow_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason.replace("*", r"\*")):
        template.check(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ p.missing }}",
        "{{ s.lag }}",
        "{{ s.lag.rows }}",
        "{{ s.other.x }}",
        "{{ p.x.upper }}",
        "{{ s.lag.seconds < p.x }}",
    ],
)
def test_what_is_missing_or_is_not_one_value_is_an_error_and_never_empty_text(text: str) -> None:
    with pytest.raises(ActionError):
        template.render(text, CONTEXT)


def test_a_value_that_looks_like_a_template_stays_a_value() -> None:
    assert template.render("{{ p.x }}", {"p": {"x": "{{7*7}}"}}) == "{{7*7}}"


def test_a_long_value_is_refused() -> None:
    with pytest.raises(ActionError, match="at most 1024"):
        template.render("{{ p.x }}", {"p": {"x": "长" * 1000}})


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("s.lag.seconds <= 60", False),
        ("s.lag.ok and not s.lag.seconds == 1", True),
        ('p.items in ["six", "seven"]', True),
    ],
)
def test_a_condition_compares_outputs(expression: str, holds: bool) -> None:
    assert template.holds(expression, CONTEXT) is holds


@pytest.mark.parametrize("expression", ["s.nope.x", "s.lag.seconds < 'a'"])
def test_a_condition_nobody_can_decide_is_an_error(expression: str) -> None:
    with pytest.raises(ActionError, match="cannot be decided"):
        template.holds(expression, CONTEXT)


@pytest.mark.parametrize("expression", ["{{ p.x }}", "p.x }}{{ 1", "x.y", "p.x()"])
def test_a_condition_is_a_bare_expression(expression: str) -> None:
    with pytest.raises(UsageError):
        template.check_condition(expression)


@given(st.text(max_size=60))
def test_no_text_gets_past_with_anything_but_its_two_errors(text: str) -> None:
    with contextlib.suppress(UsageError, ActionError):
        assert isinstance(template.render("{{" + text + "}}", CONTEXT), str)
