"""From Markdown to a runbook: only ```step blocks execute, everything else is text for people.

`NAME.md` holds front matter, steps and the Chinese prose; `NAME.en.md` holds the English prose under the same headings
and nothing that could disagree with it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tillwatch.config.bind import bind
from tillwatch.config.yaml import MAX_FILE_BYTES, Node
from tillwatch.config.yaml import parse as parse_yaml
from tillwatch.errors import ConfigError, Problem, RunbookError
from tillwatch.runbook.document import FrontMatter, Runbook, Step, StepSpec

TWIN_SUFFIX = ".en.md"
#: A runbook with more steps is two runbooks; nobody follows it at night.
MAX_STEPS = 30

_FENCE = "---"
_CJK = re.compile(r"[\u3400-\u9fff]")


@dataclass(kw_only=True)
class Section:
    """One `##` heading, what stands below it, and the step blocks in it (token and its first line)."""

    heading: str
    line: int
    prose: str = ""
    blocks: list[tuple[Token, int]] = field(default_factory=list)
    #: Whether text stands between the heading and the first block.
    explained: bool = False


def parse(text: str, file: str, *, twin: str | None = None) -> Runbook:
    """The runbook of `text`; `twin` is the text of its English half. Raises RunbookError with every problem.

    Checks the shape only; `lint.lint` checks what the steps say against the actions there are.
    """
    problems: list[Problem] = []
    head, body, first_line = _front_matter(text, file, problems)
    intro, sections = _sections(body, file, first_line, problems)
    english_intro, english = _english(twin, file, sections, problems)
    steps: list[Step] = []
    for section in sections:
        steps.extend(_steps(section, english.get(section.heading, ""), file, problems))
    if not steps:
        problems.append(Problem(file=file, message="no step; a runbook has at least one ```step block"))
    if len(steps) > MAX_STEPS:
        problems.append(Problem(file=file, message=f"{len(steps)} steps; at most {MAX_STEPS}: split the runbook"))
    if problems or head is None:
        raise RunbookError(list(dict.fromkeys(problems)))
    return Runbook(
        id=head.id,
        file=file,
        head=head,
        steps=tuple(steps),
        prose=_by_language(intro, english_intro),
        source_digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    )


def read(path: Path, *, root: Path) -> Runbook:
    """Parse the file at `path` with its twin, if there is one. Raises RunbookError."""
    twin = path.with_name(path.name.removesuffix(".md") + TWIN_SUFFIX)
    text = _text(path, root)
    return parse(text, _name(path, root), twin=_text(twin, root) if twin.is_file() else None)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _text(path: Path, root: Path) -> str:
    try:
        if (size_bytes := path.stat().st_size) > MAX_FILE_BYTES:
            message = f"{size_bytes} bytes; at most {MAX_FILE_BYTES}: split the file"
            raise RunbookError([Problem(file=_name(path, root), message=message)])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 (byte {error.start}); save it as UTF-8"
        raise RunbookError([Problem(file=_name(path, root), message=message)]) from error
    except OSError as error:
        raise RunbookError(
            [Problem(file=_name(path, root), message=f"cannot be read: {error.strerror}; check its path and rights")]
        ) from error


def _front_matter(text: str, file: str, problems: list[Problem]) -> tuple[FrontMatter | None, list[str], int]:
    """(the head, the lines below it, the number of the first of them)."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        problems.append(Problem(file=file, line=1, column=1, message="no front matter; the first line is '---'"))
        return None, lines, 1
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        problems.append(Problem(file=file, line=1, column=1, message="the front matter has no closing '---'"))
        return None, [], 1
    node = _node("\n".join(lines[1:end]), file, 2, problems)
    head = bind(node, FrontMatter, where="front matter", problems=problems) if node else None
    return head, lines[end + 1 :], end + 2


def _node(text: str, file: str, first_line: int, problems: list[Problem]) -> Node | None:
    """Parse YAML that starts at `first_line` of `file`: blank lines in front keep every position true."""
    try:
        return parse_yaml("\n" * (first_line - 1) + text, file)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _sections(lines: Sequence[str], file: str, first_line: int, problems: list[Problem]) -> tuple[str, list[Section]]:
    """(the prose above the first heading, the sections)."""
    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    sections: list[Section] = []
    hidden: set[int] = set()
    starts: list[tuple[int, int]] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token.map is None:
            continue
        line = first_line + token.map[0]
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0 and following is not None:
            sections.append(Section(heading=following.content.strip(), line=line))
            starts.append((token.map[0], token.map[1]))
        elif token.type == "fence" and token.info.split()[:1] == ["step"]:
            if token.level or not sections:
                where = "inside a list or quotation" if token.level else "above the first '##' heading"
                problems.append(Problem(file=file, line=line, column=1, message=f"a step block stands {where}"))
                continue
            section = sections[-1]
            if not section.blocks:
                above = lines[starts[-1][1] : token.map[0]]
                section.explained = any(text.strip() for text in above)
            section.blocks.append((token, line + 1))
            hidden.update(range(*token.map))
    edges = [*(start for start, _ in starts), len(lines)]
    for section, (_, below), until in zip(sections, starts, edges[1:], strict=True):
        section.prose = "\n".join(lines[at] for at in range(below, until) if at not in hidden).strip()
    return "\n".join(lines[: edges[0]]).strip(), sections


def _english(
    twin: str | None, file: str, sections: Sequence[Section], problems: list[Problem]
) -> tuple[str, dict[str, str]]:
    """(English intro, English prose by heading); the twin has the same headings in the same order and no steps."""
    if twin is None:
        return "", {}
    name = file.removesuffix(".md") + TWIN_SUFFIX
    intro, mirrored = _sections(twin.splitlines(), name, 1, problems)
    for section in mirrored:
        for _, line in section.blocks:
            message = f"a step block in the English half; steps stand in {file} only"
            problems.append(Problem(file=name, line=line - 1, column=1, message=message))
    wanted, found = [item.heading for item in sections], [item.heading for item in mirrored]
    if wanted != found:
        at = next((n for n, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1]), None)
        at = min(len(wanted), len(found)) if at is None else at
        line = mirrored[at].line if at < len(mirrored) else len(twin.splitlines()) or 1
        expected = f"'## {wanted[at]}'" if at < len(wanted) else "no further heading"
        problems.append(
            Problem(file=name, line=line, column=1, message=f"expected {expected}; headings are those of {file}")
        )
    return intro, {section.heading: section.prose for section in mirrored}


def _steps(section: Section, english: str, file: str, problems: list[Problem]) -> list[Step]:
    if not section.blocks:
        return []
    at = section.blocks[0][1] - 1
    if len(section.blocks) > 1:
        problems.append(
            Problem(
                file=file,
                line=section.blocks[1][1] - 1,
                column=1,
                message=f"a second step under '{section.heading}'; give it its own '##' heading",
            )
        )
    if not section.explained:
        message = "no text above the step; say in a sentence what it does and why"
        problems.append(Problem(file=file, line=at, column=1, message=message))
    title = _title(section, file, problems)
    steps = []
    for token, line in section.blocks:
        if not token.content.strip():
            problems.append(Problem(file=file, line=at, column=1, message="an empty step block"))
        elif (node := _node(token.content, file, line, problems)) is not None:
            spec = bind(node, StepSpec, where="step", problems=problems)
            if spec is not None:
                prose = _by_language(section.prose, english)
                steps.append(Step(spec=spec, node=node, title=title, prose=prose))
    return steps


def _title(section: Section, file: str, problems: list[Problem]) -> dict[str, str]:
    """`中文 / English`, in either order."""
    parts = [part.strip() for part in section.heading.split(" / ")]
    chinese = [part for part in parts if _CJK.search(part)]
    others = [part for part in parts if part and not _CJK.search(part)]
    if len(parts) != 2 or len(chinese) != 1 or len(others) != 1:
        problems.append(
            Problem(
                file=file,
                line=section.line,
                column=1,
                message=f"'{section.heading}': the heading of a step is '中文 / English', both languages once",
            )
        )
        return {"zh": section.heading, "en": section.heading}
    return {"zh": chinese[0], "en": others[0]}


def _by_language(chinese: str, english: str) -> dict[str, str]:
    return {language: text for language, text in (("zh", chinese), ("en", english)) if text}
