"""Both languages are complete, and every word of the vocabulary has a text in both."""

import enum
import re
from pathlib import Path

import pytest

import tillwatch.web
from tillwatch.errors import Cause
from tillwatch.incident.state import TIMELINE_KINDS
from tillwatch.model.alert import AlertState
from tillwatch.model.audit import DifferenceKind, Verdict
from tillwatch.model.incident import ComponentKind, IncidentState, Severity
from tillwatch.model.notice import DeliveryState, NoticeKind
from tillwatch.model.probe import Outcome
from tillwatch.model.runbook import Effect, Phase, RunState, StepState
from tillwatch.oncall import ladder, rota
from tillwatch.probers.registry import builtin
from tillwatch.probers.verdict import ALERT_NAMES
from tillwatch.web.language import CHINESE, ENGLISH, canonical, negotiate, texts
from tillwatch.web.messages import merged

ROOT = Path(tillwatch.web.__file__).parent
TEXTS = merged()
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_IN_TEMPLATE = re.compile(r"""\bt\(\s*["']((?!key\b)[a-z_.A-Z]+)["']\s*[,)]""")
_HAN = re.compile(r"[\u4e00-\u9fff]")
#: Names that are the same in both languages.
SAME_IN_BOTH = {"app.name", "lang.en", "lang.zh-CN", "process.cpu"}


def test_both_wordings_have_the_same_placeholders() -> None:
    unequal = [
        key for key, text in TEXTS.items() if set(_PLACEHOLDER.findall(text.en)) != set(_PLACEHOLDER.findall(text.zh))
    ]
    assert unequal == []


def test_each_wording_is_in_its_own_language() -> None:
    said = {key: text for key, text in TEXTS.items() if key not in SAME_IN_BOTH}
    assert [key for key, text in said.items() if _HAN.search(text.en)] == []
    wordy = {key: text for key, text in said.items() if _PLACEHOLDER.sub("", text.en).strip(" .,:;·")}
    assert [key for key, text in wordy.items() if not _HAN.search(text.zh)] == []


def test_every_text_a_template_or_a_module_asks_for_exists() -> None:
    asked: dict[str, str] = {}
    for path in (*ROOT.rglob("*.html"), *ROOT.rglob("*.py")):
        asked |= dict.fromkeys(_IN_TEMPLATE.findall(path.read_text(encoding="utf-8")), path.name)
    assert len(asked) > 100
    assert {key: where for key, where in asked.items() if key not in TEXTS} == {}


def test_no_text_is_left_over() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (*ROOT.rglob("*.html"), *ROOT.rglob("*.py"))
        if path.parent.name != "messages"
    )
    prefixes = (
        tuple(re.findall(r"""["']([a-z_]+(?:\.[a-z_]+)*)\.["']\s*~""", source))
        + tuple(re.findall(r"""f["']([a-z_.]+)\.\{""", source))
        + tuple(re.findall(r"""or_raw\(\s*["']([a-z_.]+)["']""", source))
    )
    unused = [
        key
        for key in TEXTS
        if f'"{key}"' not in source
        and f"'{key}'" not in source
        and not key.startswith(tuple(f"{prefix}." for prefix in prefixes))
        and not key.endswith(".one")
    ]
    assert unused == []


VOCABULARIES: tuple[tuple[str, type[enum.StrEnum]], ...] = (
    ("severity", Severity),
    ("state", IncidentState),
    ("alert_state", AlertState),
    ("component", ComponentKind),
    ("outcome", Outcome),
    ("verdict", Verdict),
    ("kind", DifferenceKind),
    ("delivery_state", DeliveryState),
    ("delivery_kind", NoticeKind),
    ("turn", rota.Why),
    ("step", ladder.Why),
    ("run.state", RunState),
    ("step_state", StepState),
    ("phase", Phase),
    ("effect", Effect),
)


@pytest.mark.parametrize(("prefix", "words"), VOCABULARIES, ids=[prefix for prefix, _ in VOCABULARIES])
def test_every_state_of_the_model_has_a_word(prefix: str, words: type[enum.StrEnum]) -> None:
    assert [word.value for word in words if f"{prefix}.{word.value}" not in TEXTS] == []


def test_every_cause_every_alert_and_every_prober_has_a_word() -> None:
    assert [cause.value for cause in Cause if cause.value and f"cause.{cause.value}" not in TEXTS] == []
    alerts = {*ALERT_NAMES.values(), "Drift", "AuditInconclusive", "DataInvalid", "ValidationInconclusive"}
    assert [name for name in sorted(alerts) if f"alert.{name}" not in TEXTS] == []
    assert [kind for kind in builtin() if f"prober.{kind}" not in TEXTS] == []


def test_every_kind_of_timeline_entry_has_a_sentence_made_of_what_it_carries() -> None:
    said = {
        "what",
        "at",
        "component",
        "severity",
        "before",
        "after",
        "notice",
        "channels",
        "to",
        "why",
        "turn",
        "calendar",
        "until",
    }
    for kind, carried in TIMELINE_KINDS.items():
        needed = set(_PLACEHOLDER.findall(TEXTS[f"timeline.{kind}"].en))
        assert needed <= {*carried, *said}, kind


@pytest.mark.parametrize(
    ("asked", "remembered", "chain", "language"),
    [
        (None, None, "zh-CN", CHINESE),
        (None, None, "en", ENGLISH),
        ("en", "zh-CN", "zh-CN", ENGLISH),
        (None, "en", "zh-CN", ENGLISH),
        ("fr", None, "zh-CN", CHINESE),
        ("", "<script>", "en", ENGLISH),
        ("zh_Hans", None, "en", CHINESE),
    ],
)
def test_a_choice_beats_a_memory_beats_the_chain(
    asked: str | None, remembered: str | None, chain: str, language: str
) -> None:
    assert negotiate(asked, remembered, chain) == language


def test_one_is_singular_in_english() -> None:
    t = texts(ENGLISH)
    assert t("audit.drift", n=1) == "1 row differs."
    assert t("audit.drift", n=2) == "2 rows differ."
    assert canonical("klingon") is None
