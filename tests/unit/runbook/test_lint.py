"""Runbook files: every problem at its own line, with what to do about it."""

from pathlib import Path

import pytest
from tests.support.runbook_chain import World, markdown, read_chain, registry, write_chain

from tillwatch.errors import RunbookError
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.lint import lint, load_all
from tillwatch.runbook.parse import parse

OK = """
id: a
do: test.set
with: {name: x, value: "1"}
verify: {do: test.is, with: {name: x, value: "1"}}
undo: {do: test.set, with: {name: x, value: "0"}, verify: {do: test.is, with: {name: x, value: "0"}}}
"""
READ = "id: a\ndo: test.is\nwith: {name: x}"


@pytest.fixture
def actions(tmp_path: Path) -> Registry:
    return registry(World(tmp_path / "world"))


def problems(text: str, actions: Registry, twin: str | None = None) -> list[str]:
    try:
        return [str(problem) for problem in lint(parse(text, "runbooks/test.md", twin=twin), actions, stem="test")]
    except RunbookError as error:
        return [str(problem) for problem in error.problems]


def test_a_good_runbook_has_no_problems(actions: Registry) -> None:
    assert problems(markdown(OK, READ.replace("id: a", "id: b")), actions) == []


# Line 21 is the first line of the first step block.
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (OK.replace("test.set", "test.st", 1), "22:1: unknown action 'test.st'; did you mean 'test.set'?"),
        (OK.replace("name: x, value", "nam: x, value", 1), "unknown key 'nam'"),
        (OK.replace('value: "1"}', "value: {a: b}}", 1), "expected text"),
        (OK + "effect: read", "effect 'read', but action 'test.set' is 'idempotent'; the action decides"),
        ("id: a\ndo: test.set\nwith: {name: x}\nundo: none", "has an effect and no verify"),
        (
            OK.replace("undo:", "retry: {times: 1}\nundo:").replace("test.set", "test.once", 1),
            "must not happen twice; remove retry",
        ),
        (
            "id: a\ndo: test.set\nwith: {name: x}\nverify: {assert: 'true'}",
            "has an effect and no undo; write undo: {do",
        ),
        (
            "id: a\ndo: test.set\nwith: {name: x}\nverify: {assert: 'true'}\nundo: none",
            "point_of_no_return: true go together",
        ),
        (
            "id: a\ndo: test.set\nwith: {name: x}\nverify: {assert: 'true'}\nundo: none\npoint_of_no_return: true",
            "needs four eyes",
        ),
        (OK.replace("verify: {do: test.is", "verify: {do: test.set", 1), "which has an effect; a check only reads"),
        (OK.replace("undo: {do: test.set", "undo: {do: test.once"), "undo has to be repeatable"),
        (
            OK.replace(', verify: {do: test.is, with: {name: x, value: "0"}}}', "}"),
            "the undo of step 'a' has no verify",
        ),
        (READ.replace("name: x", "name: '{{ p.nope }}'"), "'p.nope': there is no such parameter"),
        (READ.replace("name: x", "name: '{{ s.later.x }}'"), "'s.later.x': there is no such earlier step"),
        (READ.replace("name: x", "name: '{{ x * 2 }}'"), "'Mul' is not allowed"),
        (READ.replace("name: x", "name: '${env:PASSWORD}'"), "a secret in a runbook"),
        (READ + "\ntimeout: 3h", "timeout of 'test.is' lies between"),
        (READ + "\nwhen: '{{ p.x }}'", "a condition is a bare expression"),
        (READ + "\nundo: none", "only reads; remove undo"),
        (READ + "\napprove: {role: oncall, within: 9h}", "approve.within: at most 4h"),
        (READ + "\nverifi: 1", "unknown key 'verifi'; did you mean 'verify'?"),
        ("id: a\nid: b\ndo: test.is", "duplicate key 'id'"),
        ("id: Bad-Id\ndo: test.is\nwith: {name: x}", "Bad-Id"),
        ("", "an empty step block"),
    ],
)
def test_a_wrong_step_is_explained_where_it_stands(step: str, message: str, actions: Registry) -> None:
    found = problems(markdown(step), actions)
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("runbooks/test.md:") for problem in found)


def test_all_problems_are_told_at_once(actions: Registry) -> None:
    found = problems(markdown(OK.replace("test.is", "test.iss"), READ.replace("test.is", "nope")), actions)
    assert len(found) >= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "1:1: no front matter; the first line is '---'"),
        ("---\nid: x\n", "no closing '---'"),
        (markdown(), "no step; a runbook has at least one"),
        (markdown(READ).replace("What it does.\n", ""), "no text above the step"),
        (markdown(READ).replace("步骤 / Step", "Step"), "the heading of a step is '中文 / English'"),
        (markdown(READ).replace("```step", "> ```step"), "no step"),
        (markdown(READ).replace("title: {zh: 测试, en: Test}", "title: {zh: 测试}"), "missing key 'en'"),
        (markdown(READ, more="params: {x: {type: string, title: {zh: 值, en: X}}}"), "accepts anything an alert says"),
        (
            markdown(READ, more="params: {x: {type: system, title: {zh: 值, en: X}, from: alert.foo}}"),
            "'alert.foo' is not known",
        ),
        (markdown(READ, lock="{{ s.a.b }}"), "lock: 's' is not known here"),
        (markdown(READ, id="other"), "id 'other' in a file called test.md"),
        (markdown(READ, READ), "step id 'a' is used twice"),
        (markdown(READ + "\n```\n\n```step\n" + READ), "a second step under"),
    ],
)
def test_a_wrong_file_is_explained(text: str, message: str, actions: Registry) -> None:
    found = problems(text, actions)
    assert any(message in problem for problem in found), found


def test_other_fences_are_text_and_never_run(actions: Registry) -> None:
    text = markdown(READ).replace("What it does.", "What it does.\n\n```bash\nrm -rf /\n```\n")
    assert [step.spec.id for step in parse(text, "runbooks/test.md").steps] == ["a"]
    assert problems(text, actions) == []


def test_plain_scalars_stay_text() -> None:
    book = parse(markdown(READ.replace("name: x", "name: 0123")), "runbooks/test.md")
    assert "0123" in str(book.steps[0].spec.with_)


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        (
            "Intro\n\n## Other\n\ntext",
            "test.en.md:3:1: expected '## 步骤 / Step'; headings are those of runbooks/test.md",
        ),
        ("## 步骤 / Step\n\ntext\n\n## More / 更多\n", "expected no further heading"),
        ("## 步骤 / Step\n\n```step\nid: z\n```", "a step block in the English half"),
    ],
)
def test_the_english_half_may_not_disagree(twin: str, message: str, actions: Registry) -> None:
    found = problems(markdown(READ), actions, twin=twin)
    assert any(message in problem for problem in found), found


def test_both_halves_are_read() -> None:
    book = parse(markdown(READ), "runbooks/test.md", twin="All.\n\n## 步骤 / Step\n\nIn English.")
    assert book.steps[0].prose == {"zh": "What it does.", "en": "In English."}
    assert book.steps[0].title == {"zh": "步骤", "en": "Step"}


def test_two_runbooks_for_one_alert_and_a_half_without_its_other_are_problems(
    tmp_path: Path, actions: Registry
) -> None:
    write_chain(tmp_path, markdown(READ), markdown(READ, id="twice"))
    (tmp_path / "runbooks" / "alone.en.md").write_text("text")
    with pytest.raises(RunbookError) as raised:
        load_all(read_chain(tmp_path), actions)
    assert "serves 'Test', which runbooks/test.md serves already" in str(raised.value)
    assert "the English half of alone.md, which is not there" in str(raised.value)
