"""The differences of a run as a file people open: csv, xlsx or html. Streamed page by page from the store.

A cell is data, never a formula: text a spreadsheet would compute gets an apostrophe in front (csv) or is written as
text (xlsx). Codes keep their leading zeros; a spreadsheet that opens a csv by double click may drop them, in xlsx not.
"""

import csv
import html
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo

import xlsxwriter

from tillwatch.audit.sentences import reason
from tillwatch.audit.verdict import money
from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.model.audit import AuditReport, Difference, SignOff
from tillwatch.model.text import language_of, pick
from tillwatch.store import audits as records
from tillwatch.store import differences, signoffs
from tillwatch.store.db import Database

#: An Excel cell holds no more; what is cut ends in an ellipsis.
MAX_CELL_CHARACTERS = 32_000
#: Bytes of an export kept in memory before it goes through a temporary file.
MAX_MEMORY_BYTES = 1_048_576
#: A spreadsheet stores numbers as binary doubles: more digits would change silently, so they are written as text.
MAX_NUMBER_DIGITS = 15

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠|%")

Words = Mapping[str, str]
_ENGLISH: Words = {
    "kind": "difference", "left": "left", "right": "right", "fields": "fields that differ", "value": "value at risk",
    "missing": "missing", "extra": "extra", "changed": "changed", "run": "run", "audit": "audit",
    "verdict": "verdict", "reason": "reason", "started_at": "started at", "rows": "rows", "difference_count":
    "differences", "kept": "differences in this file", "unsettled": "still moving", "title": "Audit report",
    "none": "no such row", "null": "(no value)", "clean": "clean", "drift": "drift", "inconclusive": "inconclusive",
    "failed": "failed", "sync_lag": "sync lag", "first_seen": "first seen",
    "systematic": "in common",
    "owner": "owner", "thresholds": "thresholds", "within": "within: reported, no alert", "beyond": "beyond",
    "other_currency": "another currency", "age": "age in days", "signed": "signed off",
    "rows_limit": "rows at most", "value_limit": "value at risk at most",
}  # fmt: skip
_CHINESE: Words = {
    "kind": "差异", "left": "左侧", "right": "右侧", "fields": "不一致的字段", "value": "涉及金额", "missing": "缺失",
    "extra": "多余", "changed": "不一致", "run": "对账批次", "audit": "对账", "verdict": "结论", "reason": "原因",
    "started_at": "开始时间", "rows": "行数", "difference_count": "差异行数", "kept": "本文件中的差异", "unsettled":
    "仍在变动", "title": "对账报告", "none": "无此行", "null": "（空）", "clean": "一致", "drift": "有差异",
    "inconclusive": "无法得出结论", "failed": "失败", "sync_lag": "同步延迟", "first_seen": "首次发现",
    "systematic": "共同点",
    "owner": "负责人", "thresholds": "允许范围", "within": "范围内：仅报告，不告警", "beyond": "超出",
    "other_currency": "币种不同", "age": "持续天数", "signed": "签核",
    "rows_limit": "行数上限", "value_limit": "涉及金额上限",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What every format writes: the report, the columns, and the rows one after the other."""

    report: AuditReport
    title: str
    #: Name and value of the facts above the table.
    facts: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    fields: tuple[str, ...]
    rows: Iterator[Difference]
    words: Words
    language: str
    zone: ZoneInfo

    def header(self) -> list[str]:
        sides = [f"{field} ({self.words[side]})" for field in self.fields for side in ("left", "right")]
        return [
            self.words["kind"],
            *self.key,
            *sides,
            self.words["fields"],
            self.words["value"],
            self.words["first_seen"],
            self.words["age"],
        ]

    def cells(self, row: Difference) -> list[str]:
        values = [_cell(side, field) for field in self.fields for side in (row.left, row.right)]
        key = [row.key.get(name, "") for name in self.key]
        return [
            self.words[row.kind.value],
            *key,
            *values,
            self.differing(row),
            money(row.value_at_risk),
            self.since(row),
            self.age(row),
        ]

    def differing(self, row: Difference) -> str:
        """The fields that differ; another currency is said in words, because the amounts beside it may look alike."""
        marked = self.report.evidence.get("other_currency")
        currencies = marked["fields"] if isinstance(marked, Mapping) else ()
        return ", ".join(
            f"{name} ({self.words['other_currency']})" if name in currencies else name for name in row.fields
        )

    def since(self, row: Difference) -> str:
        return "" if row.first_seen is None else _local(row.first_seen, self.zone)

    def age(self, row: Difference) -> str:
        """For how many days the key had differed when the run began, to a tenth."""
        if row.first_seen is None:
            return ""
        return f"{max(timedelta(0), self.report.started_at - row.first_seen) / timedelta(days=1):.1f}"


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _cell(side: Mapping[str, str | None] | None, field: str) -> str:
    value = None if side is None else side.get(field)
    return "" if value is None else value


def document(database: Database, run: int, format: str, *, config: ChainConfig, language: str = "en") -> BinaryIO:
    """The whole file, at its beginning; on disk when it is large. The caller closes it."""
    out = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES))  # noqa: SIM115 - handed to the caller
    try:
        write(database, run, format, out, config=config, language=language)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    return out


def write(
    database: Database, run: int, format: str, out: BinaryIO, *, config: ChainConfig, language: str = "en"
) -> None:
    """Write the report of `run` to `out`. Raises UsageError for an unknown format or run before the first byte."""
    if format not in FORMATS:
        raise UsageError(f"unknown format '{format}'{did_you_mean(format, FORMATS, what='formats')}")
    with database.read() as connection:
        report = records.report(connection, run, limit=0)
        signed = signoffs.of_runs(connection, [run]).get(run, [])
    FORMATS[format](_sheet(database, report, signed, config, language_of(language)), out)


def _sheet(
    database: Database, report: AuditReport, signed: Sequence[SignOff], config: ChainConfig, language: str
) -> Sheet:
    words = _CHINESE if language == "zh" else _ENGLISH
    key: dict[str, None] = {}
    fields: dict[str, None] = {}
    kept = 0
    for row in _rows(database, report.run):
        kept += 1
        key |= dict.fromkeys(row.key)
        fields |= dict.fromkeys((*(row.left or ()), *(row.right or ())))
    names = {spec.id: {str(key): text for key, text in spec.name.items()} for spec in config.audits}
    name = pick(names.get(report.audit, {}), language, report.audit)
    found = report.missing + report.extra + report.changed
    zone = config.chain.timezone
    facts: tuple[tuple[str, str], ...] = (
        (words["audit"], report.audit),
        (words["run"], str(report.run)),
        (words["verdict"], words[report.verdict.value]),
        (words["reason"], reason(report.reason, language)),
        (words["started_at"], _local(report.started_at, zone)),
        (f"{words['rows']} ({words['left']})", f"{report.left.rows} · {report.left.system}.{report.left.dataset}"),
        (f"{words['rows']} ({words['right']})", f"{report.right.rows} · {report.right.system}.{report.right.dataset}"),
        (words["difference_count"], str(found)),
        (words["kept"], str(kept)),
        (words["unsettled"], str(report.unsettled)),
        (words["value"], f"{money(report.value_at_risk)} {config.chain.currency}"),
        *_declared_facts(report, words, config.chain.currency),
        *((words["signed"], f"{one.actor} · {_local(one.at, zone)} · {one.reason}") for one in signed),
    )
    systematic = report.evidence.get("systematic")
    if isinstance(systematic, dict):
        facts = (*facts, (words["systematic"], pick(systematic, language)))
    return Sheet(
        report=report,
        title=f"{words['title']}: {name}",
        facts=facts,
        key=tuple(key),
        fields=tuple(fields),
        rows=_rows(database, report.run),
        words=words,
        language=language,
        zone=zone,
    )


def _declared_facts(report: AuditReport, words: Words, currency: str) -> Iterator[tuple[str, str]]:
    """What the audit said of itself when it ran: who answers for the data, and how much drift it lives with."""
    if owner := report.evidence.get("owner"):
        yield words["owner"], str(owner)
    limits = report.evidence.get("thresholds")
    if isinstance(limits, Mapping):
        said = [words["within" if report.tolerated else "beyond"]]
        if limits["rows"] is not None:
            said.append(f"{words['rows_limit']} {limits['rows']}")
        if limits["value"] is not None:
            said.append(f"{words['value_limit']} {limits['value']} {currency}")
        yield words["thresholds"], " · ".join(said)


def _rows(database: Database, run: int) -> Iterator[Difference]:
    """All differences of a run; a read transaction a page, none held while the file is written."""
    number = 0
    while True:
        with database.read() as connection:
            page = differences.after(connection, run, number, differences.PAGE_DIFFERENCES)
        if not page:
            return
        yield from (difference for _, difference in page)
        number = page[-1][0]


def harmless(text: str) -> str:
    """`text` as a csv cell that no spreadsheet computes. Plain numbers stay numbers."""
    if text.lstrip().startswith(_FORMULA_STARTS) or text.startswith(_FORMULA_STARTS):
        return text if _NUMBER.fullmatch(text) else f"'{text}"
    return text


def write_csv(sheet: Sheet, out: BinaryIO) -> None:
    """UTF-8 with a byte order mark, so that spreadsheets show Chinese."""
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([harmless(cell) for cell in sheet.header()])
    for row in sheet.rows:
        writer.writerow([harmless(cell) for cell in sheet.cells(row)])
    text.flush()
    text.detach()


def write_xlsx(sheet: Sheet, out: BinaryIO) -> None:
    """Two sheets: the facts and the differences. Amounts are numbers where a spreadsheet can hold them exactly."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        bold = book.add_format({"bold": True})
        facts = book.add_worksheet(sheet.words["title"][:31])
        facts.set_column(0, 0, 28)
        facts.set_column(1, 1, 60)
        for number, (name, value) in enumerate(sheet.facts):
            facts.write_string(number, 0, name, bold)
            facts.write_string(number, 1, _cut(value))
        table = book.add_worksheet(sheet.words["difference_count"][:31])
        table.freeze_panes(1, 0)
        table.set_column(0, len(sheet.header()) - 1, 16)
        for column, name in enumerate(sheet.header()):
            table.write_string(0, column, _cut(name), bold)
        for number, row in enumerate(sheet.rows, start=1):
            for column, cell in enumerate(sheet.cells(row)):
                if column > len(sheet.key) and _is_exact_number(cell):
                    table.write_number(number, column, float(cell))
                else:
                    table.write_string(number, column, _cut(cell))


def _is_exact_number(text: str) -> bool:
    """Whether `text` is a number a double holds digit for digit. Codes with leading zeros are not numbers."""
    return bool(_NUMBER.fullmatch(text)) and len(Decimal(text).as_tuple().digits) <= MAX_NUMBER_DIGITS


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else text[:MAX_CELL_CHARACTERS] + "…"


_STYLE = """
:root { color-scheme: light dark; --line: #d0d4da; --soft: #f3f5f7; --mark: #ffe08a; --ink: #1b1f24 }
@media (prefers-color-scheme: dark) { :root { --line: #3a4048; --soft: #1d2126; --mark: #6b5300; --ink: #e6e9ed } }
body { font: 15px/1.5 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; color: var(--ink);
  margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem }
dt { opacity: .7 }
dd { margin: 0 }
div { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; white-space: nowrap }
th { background: var(--soft) }
mark { background: var(--mark); color: inherit }
.n { opacity: .6 }
"""


def write_html(sheet: Sheet, out: BinaryIO) -> None:
    """One page that stands alone: no script, no reference to anywhere."""

    def put(text: str) -> None:
        out.write(text.encode("utf-8", "backslashreplace"))

    language = "zh-CN" if sheet.language == "zh" else "en"
    title = html.escape(sheet.title)
    put(f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>')
    put('<meta name="viewport" content="width=device-width,initial-scale=1">')
    put(f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<dl>")
    for name, value in sheet.facts:
        put(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>")
    put("</dl>\n<div><table><thead><tr>")
    put("".join(f"<th>{html.escape(name)}</th>" for name in sheet.header()))
    put("</tr></thead>\n<tbody>\n")
    for row in sheet.rows:
        put(_html_row(sheet, row))
    put("</tbody></table></div></body></html>\n")


def _html_row(sheet: Sheet, row: Difference) -> str:
    cells = [html.escape(sheet.words[row.kind.value]), *(html.escape(row.key.get(name, "")) for name in sheet.key)]
    for field in sheet.fields:
        for side in (row.left, row.right):
            cells.append(_html_cell(sheet, side, field, differs=field in row.fields))
    cells += [html.escape(sheet.differing(row)), money(row.value_at_risk), sheet.since(row), sheet.age(row)]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _html_cell(sheet: Sheet, side: Mapping[str, str | None] | None, field: str, *, differs: bool) -> str:
    if side is None or field not in side:
        return f'<span class="n">{html.escape(sheet.words["none"])}</span>' if side is None else ""
    value = side[field]
    shown = html.escape(value) if value is not None else f'<span class="n">{html.escape(sheet.words["null"])}</span>'
    return f"<mark>{shown}</mark>" if differs else shown


FORMATS: dict[str, Callable[[Sheet, BinaryIO], None]] = {"csv": write_csv, "html": write_html, "xlsx": write_xlsx}
