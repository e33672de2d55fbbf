"""Documentation cannot lie: the reference is what the code says, and every link and picture leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
_PICTURE = re.compile(r"<img\b[^>]*\bsrc=[\"']([^\"']+)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/build.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": "src", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_picture_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [(target, anchor) for target, anchor in _LINK.findall(text) if "://" not in target]
    links += [(target, "") for target in _PICTURE.findall(text) if "://" not in target]
    missing = [f"{target}#{anchor}" for target, anchor in links if not _leads_somewhere(page, target, anchor)]
    assert missing == []


def _leads_somewhere(page: Path, target: str, anchor: str) -> bool:
    file = page.parent / target if target else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(file: Path) -> set[str]:
    """The names GitHub gives the headings of a page."""
    headings = _HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_documentation_is_listed() -> None:
    listed = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs") for page in PAGES if page.is_relative_to(ROOT / "docs")]
    unlisted = [str(page) for page in pages if page.parent.name != "decisions" and str(page) not in listed]
    assert [page for page in unlisted if page != "README.md"] == []


def test_both_readmes_name_the_two_commands_and_a_picture() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "make demo" in text
        assert "make test" in text
        assert re.search(r"!\[.+\]\(docs/screenshots/.+\.png\)", text)
