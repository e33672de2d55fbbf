"""The findings of a run as a file people open: csv, xlsx or html. A cell is data, never a formula."""

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import xlsxwriter

from tillwatch.audit.export import MAX_CELL_CHARACTERS, harmless
from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.text import language_of, pick
from tillwatch.store import validations as records
from tillwatch.store.db import Database

Words = Mapping[str, str]
_ENGLISH: Words = {
    "title": "Validation report", "validation": "validation", "run": "run", "verdict": "verdict", "reason": "reason",
    "started_at": "started at", "rows": "rows", "count": "violations", "kept": "violations in this file",
    "rule": "rule", "field": "field", "value": "value", "problem": "what is wrong", "clean": "clean",
    "invalid": "invalid", "inconclusive": "inconclusive", "failed": "failed",
}  # fmt: skip
_CHINESE: Words = {
    "title": "数据校验报告", "validation": "校验", "run": "批次", "verdict": "结论", "reason": "原因",
    "started_at": "开始时间", "rows": "行数", "count": "不合规处", "kept": "本文件中的不合规处", "rule": "规则",
    "field": "字段", "value": "值", "problem": "问题", "clean": "合规", "invalid": "不合规",
    "inconclusive": "无法得出结论", "failed": "失败",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What every format writes."""

    title: str
    #: Name and value of the facts above the table.
    facts: tuple[tuple[str, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    language: str


def document(database: Database, run: int, format: str, *, config: ChainConfig, language: str = "en") -> bytes:
    """The whole file. Raises UsageError for an unknown format or run."""
    if format not in FORMATS:
        raise UsageError(f"unknown format '{format}'{did_you_mean(format, FORMATS, what='formats')}")
    out = io.BytesIO()
    FORMATS[format](_sheet(database, run, config, language_of(language)), out)
    return out.getvalue()


def _sheet(database: Database, run: int, config: ChainConfig, language: str) -> Sheet:
    words = _CHINESE if language == "zh" else _ENGLISH
    with database.read() as connection:
        report = records.report(connection, run)
    keys = tuple(dict.fromkeys(name for finding in report.findings for name in finding.key))
    names = {spec.id: spec.name for spec in config.validations}
    started = report.started_at.astimezone(config.chain.timezone).isoformat(sep=" ", timespec="seconds")
    rows = tuple(
        (
            finding.rule,
            *(finding.key.get(name) or "" for name in keys),
            finding.field,
            finding.value or "",
            pick(finding.problem, language),
        )
        for finding in report.findings
    )
    return Sheet(
        title=f"{words['title']}: {pick(names.get(report.validation, {}), language, report.validation)}",
        facts=(
            (words["validation"], report.validation),
            (words["run"], str(report.run)),
            (words["verdict"], words[report.verdict.value]),
            (words["reason"], report.reason),
            (words["started_at"], started),
            (words["rows"], f"{report.rows} · {report.system}.{report.dataset}"),
            (words["count"], str(report.broken)),
            (words["kept"], str(len(rows))),
        ),
        header=(words["rule"], *keys, words["field"], words["value"], words["problem"]),
        rows=rows,
        language=language,
    )


def write_csv(sheet: Sheet, out: BinaryIO) -> None:
    """UTF-8 with a byte order mark, so that spreadsheets show Chinese."""
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerows([harmless(cell) for cell in row] for row in (sheet.header, *sheet.rows))
    text.flush()
    text.detach()


def write_xlsx(sheet: Sheet, out: BinaryIO) -> None:
    """Two sheets, all text: a value that broke a rule is shown as it is."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        for table in (sheet.facts, (sheet.header, *sheet.rows)):
            page = book.add_worksheet()
            page.set_column(0, max(len(row) for row in table) - 1, 24)
            _fill(page, table)


def _fill(page: xlsxwriter.worksheet.Worksheet, table: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(table):
        for column, cell in enumerate(row):
            page.write_string(number, column, cell[:MAX_CELL_CHARACTERS])


_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem }
dt { opacity: .7 }
dd { margin: 0 }
div { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .35rem .6rem;
  text-align: left }
"""


def write_html(sheet: Sheet, out: BinaryIO) -> None:
    """One page that stands alone: no script, no reference to anywhere."""
    title = html.escape(sheet.title)
    language = "zh-CN" if sheet.language == "zh" else "en"
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in sheet.facts)
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in sheet.header)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows)
    page = (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<dl>{facts}</dl>\n"
        f"<div><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></body></html>\n"
    )
    out.write(page.encode("utf-8", "backslashreplace"))


FORMATS: dict[str, Callable[[Sheet, BinaryIO], None]] = {"csv": write_csv, "html": write_html, "xlsx": write_xlsx}
