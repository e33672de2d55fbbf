"""The style sheet: readable in both schemes, and nothing that a strict policy would refuse."""

import re
from pathlib import Path

import pytest

import tillwatch.web

ROOT = Path(tillwatch.web.__file__).parent
CSS = (ROOT / "static/tillwatch.css").read_text(encoding="utf-8")
#: WCAG 2.2 AA for text, and for the shapes that carry meaning.
TEXT_RATIO, SHAPE_RATIO = 4.5, 3.0
_LIGHT, _DARK = (
    dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\n *\}", CSS, re.DOTALL)[:2]
)
STATES = ("ok", "critical", "warning", "unknown", "notice", "pending")
TEXT_PAIRS = [
    *((ink, ground) for ink in ("ink", "muted", "accent") for ground in ("paper", "card", "sunken")),
    ("accent-ink", "accent"),
    ("ink", "accent-soft"),
    *((state, ground) for state in STATES for ground in (f"{state}-soft", "card", "paper")),
    *((ink, f"{state}-soft") for ink in ("ink", "muted") for state in STATES),
    *(("on-state", state) for state in ("critical",)),
]
SHAPE_PAIRS = [
    *(("on-state", state) for state in STATES),
    *((state, f"{state}-soft") for state in STATES),
    ("muted", "paper"),
]


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_contrast_is_computed_as_the_standard_says() -> None:
    assert round(_contrast("#000000", "#ffffff"), 2) == 21.0
    assert round(_contrast("#777777", "#ffffff"), 2) == 4.48


def test_both_schemes_set_every_colour() -> None:
    assert _LIGHT.keys() == _DARK.keys()
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"state", "soft", "of", "shadow"}
    assert used <= _LIGHT.keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out_from_what_is_behind_them(scheme: str) -> None:
    colours = _LIGHT if scheme == "light" else _DARK
    weak = {
        f"{ink} on {ground}": round(_contrast(colours[ink], colours[ground]), 2)
        for pairs, ratio in ((TEXT_PAIRS, TEXT_RATIO), (SHAPE_PAIRS, SHAPE_RATIO))
        for ink, ground in pairs
        if _contrast(colours[ink], colours[ground]) < ratio
    }
    assert weak == {}


def test_templates_carry_no_inline_style_script_or_handler() -> None:
    for path in (ROOT / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:|\|\s*safe", text), path.name


def test_nothing_is_loaded_from_anywhere_else() -> None:
    for path in (*(ROOT / "templates").glob("*.html"), *(ROOT / "static").iterdir()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), path.name
