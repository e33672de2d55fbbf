"""Reports as files: complete, in both languages, and never a formula."""

import csv
import io
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from tests.support.audits import FakeSource, FakeSources, chain, stock_audit

from tillwatch.audit.export import document, harmless
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Audit, Field, Thresholds
from tillwatch.errors import UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Row
from tillwatch.store.db import Database

SPEC = stock_audit(
    name={"en": "Stock", "zh": "库存"},
    fields={"name": Field(type="text"), "quantity": Field(type="decimal", scale=2)},
    value="left.cost",
)
SEEN = "2026-11-24 11:00:00+08:00"
EVIL = '=HYPERLINK("http://evil.example","<script>alert(1)</script>")'
LEFT: list[Row] = [
    {"sku": "001234", "name": EVIL, "quantity": "-5", "cost": "2"},
    {"sku": "002", "name": None, "quantity": "12345678901234567.25", "cost": "3"},
]
RIGHT: list[Row] = [
    {"sku": "001234", "name": "牛奶", "quantity": "6"},
    {"sku": "009", "name": "", "quantity": "1"},
]
NAMESPACE = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


class Bench:
    def __init__(self, database: Database, clock: ManualClock, spec: Audit = SPEC) -> None:
        sources = FakeSources(FakeSource("erp", {"stock": LEFT}), FakeSource("till", {"stock": RIGHT}))
        self.runner = AuditRunner(chain(spec), sources, database=database, clock=clock, metrics=Metrics())
        self.run = self.runner.run("stock").run
        self.database = database

    def export(self, format: str, language: str = "en") -> bytes:
        with self.runner.export(self.run, format, language=language) as file:
            return file.read()


@pytest.fixture
def bench(sqlite_database: Database, clock: ManualClock) -> Iterator[Bench]:
    bench = Bench(sqlite_database, clock)
    yield bench
    bench.runner.stop()


def test_a_csv_holds_every_difference_and_opens_in_chinese(bench: Bench) -> None:
    content = bench.export("csv")
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert rows == [
        ["difference", "sku", "name (left)", "name (right)", "quantity (left)", "quantity (right)", "cost (left)",
         "cost (right)", "fields that differ", "value at risk", "first seen", "age in days"],
        ["changed", "001234", f"'{EVIL}", "牛奶", "-5.00", "6.00", "2", "", "name, quantity", "2.00", SEEN, "0.0"],
        ["missing", "002", "", "", "12345678901234567.25", "", "3", "", "", "3.00", SEEN, "0.0"],
        ["extra", "009", "", "", "", "1.00", "", "", "", "0.00", SEEN, "0.0"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "－1＋1", "|cmd", "-", "+5"]
)
def test_what_a_spreadsheet_would_compute_is_made_harmless(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5.00", "-0.1", "0", "001234", "牛奶", "", "a=b", "12"])
def test_numbers_and_plain_text_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


def cells(content: bytes, sheet: int) -> list[list[tuple[str, str]]]:
    """(type, value) of every cell: `inlineStr`, `s` are text, `n` numbers, and no cell may hold a formula."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        tree = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))
    assert tree.findall(".//x:f", NAMESPACE) == []
    found = []
    for row in tree.findall(".//x:row", NAMESPACE):
        found.append([(cell.get("t", "n"), "".join(cell.itertext())) for cell in row.findall("x:c", NAMESPACE)])
    return found


def test_an_xlsx_keeps_codes_as_text_and_long_numbers_exact(bench: Bench) -> None:
    rows = cells(bench.export("xlsx"), 2)
    assert rows[1][1] == ("inlineStr", "001234")
    assert rows[1][2] == ("inlineStr", EVIL)
    assert rows[1][4] == ("n", "-5")
    assert rows[2][4] == ("inlineStr", "12345678901234567.25")
    assert len(rows) == 4


def test_an_xlsx_says_what_it_is_about(bench: Bench) -> None:
    facts = {row[0][1]: row[1][1] for row in cells(bench.export("xlsx", "zh"), 1)}
    assert facts["对账"] == "stock"
    assert facts["结论"] == "有差异"
    assert facts["涉及金额"] == "5.00 CNY"
    assert facts["开始时间"] == "2026-11-24 11:00:00+08:00"


def test_an_html_page_stands_alone_escapes_everything_and_marks_what_differs(bench: Bench) -> None:
    page = bench.export("html", "zh").decode()
    assert '<html lang="zh-CN">' in page
    assert "<h1>对账报告: 库存</h1>" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://evil.example", "")
    assert "=HYPERLINK(&quot;http://evil.example&quot;" in page
    assert "<mark>-5.00</mark>" in page
    assert '<span class="n">无此行</span>' in page
    assert '<span class="n">（空）</span>' in page
    assert page.count("<tr>") == 4


def test_an_unknown_format_or_run_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'xls'; did you mean 'xlsx'\?"):
        bench.export("xls")
    with pytest.raises(UsageError, match="there is no audit run 999"):
        document(bench.database, 999, "csv", config=chain(SPEC))


def test_each_difference_says_for_how_many_days_it_has_lasted(bench: Bench, clock: ManualClock) -> None:
    clock.advance(2.5 * 24 * 3600)
    later = bench.runner.run("stock").run
    with bench.runner.export(later, "csv") as file:
        rows = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"))))
    assert [row[-2:] for row in rows[1:]] == [[SEEN, "2.5"]] * 3
    with bench.runner.export(later, "html") as file:
        assert file.read().decode().count("<td>2.5</td>") == 3


@pytest.mark.parametrize(("language", "name"), [("en", "signed off"), ("zh", "签核")])
def test_who_signed_when_and_why_stands_among_the_facts(bench: Bench, language: str, name: str) -> None:
    bench.runner.sign_off(bench.run, "王芳", "counted <by> hand")
    signed = "王芳 · 2026-11-24 11:00:00+08:00 · counted <by> hand"
    facts = {row[0][1]: row[1][1] for row in cells(bench.export("xlsx", language), 1)}
    assert facts[name] == signed
    assert f"<dt>{name}</dt><dd>{signed.replace('<by>', '&lt;by&gt;')}</dd>" in bench.export("html", language).decode()


@pytest.mark.parametrize(
    ("rows", "language", "said"),
    [
        (3, "en", "within: reported, no alert · rows at most 3 · value at risk at most 5.00 CNY"),
        (2, "en", "beyond · rows at most 2 · value at risk at most 5.00 CNY"),
        (3, "zh", "范围内：仅报告，不告警 · 行数上限 3 · 涉及金额上限 5.00 CNY"),
    ],
)
def test_the_thresholds_and_the_owner_stand_among_the_facts(
    sqlite_database: Database, clock: ManualClock, rows: int, language: str, said: str
) -> None:
    limits = Thresholds(rows=rows, value=Decimal("5"))
    bench = Bench(sqlite_database, clock, SPEC.model_copy(update={"owner": "finance", "thresholds": limits}))
    facts = {row[0][1]: row[1][1] for row in cells(bench.export("xlsx", language), 1)}
    bench.runner.stop()
    assert facts["thresholds" if language == "en" else "允许范围"] == said
    assert facts["owner" if language == "en" else "负责人"] == "finance"
