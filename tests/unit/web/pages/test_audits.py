"""The pages of audits: their trend, what differs and where, since when, and what their owners live with."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.config.schema import Thresholds
from tillwatch.model.audit import Verdict

AUDIT = "orders-chaoyang"


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below `heading`, row by row, without its head."""
    _, found, rest = page.partition(f"<h2>{heading}</h2>")
    assert found, heading
    body = re.search(r"<tbody>(.*?)</tbody>", rest, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row)] for row in rows]


def rects(page: str) -> list[tuple[str, float, float]]:
    """Kind, position and height of each column of the trend."""
    found = re.findall(r'<rect class="column-(\w+)" x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', page)
    return [(kind, float(x), float(height)) for kind, x, height in found]


def with_history(world: World) -> World:
    """A clean run, drift, a failed run, and more drift; the newest has run 7."""
    newest, at = world.reports[7], world.reports[7].started_at
    clean = next(report for report in world.reports.values() if report.audit == AUDIT)
    for number, report in list(world.reports.items()):
        if report.audit == AUDIT:
            del world.reports[number]
    past = (
        replace(clean, run=4, verdict=Verdict.CLEAN),
        replace(newest, run=5, missing=1, changed=0, extra=0),
        replace(newest, run=6, verdict=Verdict.FAILED, missing=0, changed=0),
        newest,
    )
    for hours, report in enumerate(reversed(past)):
        world.reports[report.run] = replace(report, started_at=at - timedelta(hours=hours))
    return world


def test_the_trend_has_a_column_a_run_the_oldest_on_the_left_and_as_high_as_its_rows(bad_night: World) -> None:
    page = Browser(with_history(bad_night)).get(f"/audits/{AUDIT}?lang=en").text
    assert rects(page) == [
        ("clean", 0.0, 3.0),
        ("missing", 150.0, 24.0),
        ("failed", 300.0, 96.0),
        ("missing", 450.0, 72.0),
        ("changed", 450.0, 24.0),
    ]
    assert "The last 4 runs" in page


@pytest.mark.parametrize(
    ("language", "heading"), [("en", "Fields that differ, newest run"), ("zh-CN", "不一致的字段（最近一次）")]
)
def test_the_fields_that_differ_are_counted_in_the_newest_run(bad_night: World, language: str, heading: str) -> None:
    page = Browser(bad_night).get(f"/audits/{AUDIT}?lang={language}").text
    assert table(page, heading) == [["amount", "1"], ["quantity", "1"]]


@pytest.mark.parametrize(
    ("language", "site", "data", "row"),
    [
        ("en", "Drift by site", "Drift by kind of data", ["3", "0", "1", "CN¥1,556.40"]),
        ("zh-CN", "按门店的差异", "按数据类别的差异", ["3", "0", "1", "¥1,556.40"]),
    ],
)
def test_drift_is_summed_by_site_and_by_kind_of_data(
    bad_night: World, language: str, site: str, data: str, row: list[str]
) -> None:
    page = Browser(bad_night).get(f"/audits?lang={language}").text
    place, kind = ("Chaoyang", "Orders") if language == "en" else ("朝阳店", "订单")
    assert table(page, site) == [[place, *row]]
    assert table(page, data) == [[kind, *row]]


def test_a_chain_without_drift_has_no_sums(calm_chain: World) -> None:
    assert "Drift by" not in Browser(calm_chain).get("/audits?lang=en").text


@pytest.mark.parametrize(
    ("language", "heading", "ago"), [("en", "First seen", "3 days ago"), ("zh-CN", "首次发现", "3 天前")]
)
def test_each_difference_says_since_when_it_is_known(bad_night: World, language: str, heading: str, ago: str) -> None:
    report = bad_night.reports[7]
    page = Browser(bad_night).get(f"/audits/runs/7?lang={language}").text
    assert heading not in page
    since = bad_night.clock.now() - timedelta(days=3)
    bad_night.reports[7] = replace(
        report, differences=(replace(report.differences[0], first_seen=since), *report.differences[1:])
    )
    page = Browser(bad_night).get(f"/audits/runs/7?lang={language}").text
    assert heading in page
    assert page.count(f">{ago}</span>") == 1


@pytest.mark.parametrize(
    ("language", "heading", "ago"),
    [("en", "All rows looked at since", "14 min ago"), ("zh-CN", "全部行核对于", "14 分钟前")],
)
def test_the_list_says_when_the_row_looked_at_longest_ago_was_read(
    calm_chain: World, language: str, heading: str, ago: str
) -> None:
    browser, audits = Browser(calm_chain), calm_chain.config.audits
    page = browser.get(f"/audits?lang={language}").text
    column = re.findall(rf'data-label="{heading}" class="nowrap">(.*?)</td>', page)
    assert len(column) == len(audits)
    assert all(f">{ago}</span>" in cell for cell in column)
    calm_chain.reports.clear()
    page = browser.get(f"/audits?lang={language}").text
    assert re.findall(rf'data-label="{heading}" class="nowrap">(.*?)</td>', page) == ["–"] * len(audits)


def tolerated(world: World, *, within: bool = True) -> World:
    limits = {"rows": 5, "value": "2000.00", "within": within}
    world.reports[7] = replace(world.reports[7], evidence={"thresholds": limits, "owner": "finance"})
    return world


@pytest.mark.parametrize(
    ("language", "run", "listed"),
    [
        (
            "en",
            ["raises no alert", "within thresholds", "at most 5 rows", "at most CN¥2,000.00", "finance"],
            "4 differ, within thresholds",
        ),
        (
            "zh-CN",
            ["照常计数和显示，但不告警", "在允许范围内", "最多 5 行", "最多 ¥2,000.00", "finance"],
            "4 处差异，在允许范围内",
        ),
    ],
)
def test_drift_within_thresholds_is_shown_as_such_and_is_no_alarm(
    bad_night: World, language: str, run: list[str], listed: str
) -> None:
    browser = Browser(tolerated(bad_night))
    page = browser.get(f"/audits/runs/7?lang={language}").text
    assert [word for word in run if word not in page] == []
    assert 'class="answer level-notice"' in page
    assert listed in browser.get(f"/audits?lang={language}").text


def test_drift_beyond_thresholds_is_as_loud_as_ever(bad_night: World) -> None:
    page = Browser(tolerated(bad_night, within=False)).get("/audits/runs/7?lang=en").text
    assert 'class="answer level-critical"' in page
    assert "beyond thresholds" in page
    assert "raises no alert" not in page


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Owner: finance", "at most 5 rows", "next run"]),
        ("zh-CN", ["负责人: finance", "最多 5 行", "下次运行"]),
    ],
)
def test_an_audit_says_who_owns_it_what_it_lives_with_and_when_it_is_due(
    bad_night: World, language: str, words: list[str]
) -> None:
    changes = {"owner": "finance", "thresholds": Thresholds(rows=5)}
    audits = tuple(one.model_copy(update=changes) if one.id == AUDIT else one for one in bad_night.config.audits)
    bad_night.config = replace(bad_night.config, audits=audits)
    browser = Browser(bad_night)
    page = browser.get(f"/audits/{AUDIT}?lang={language}").text
    assert [word for word in words if word not in page] == []
    assert "finance" in browser.get(f"/audits?lang={language}").text


GROUPS = {
    "field": "family",
    "groups": [
        {"category": "dairy", "rows": 3, "value_at_risk": "1476.40"},
        {"category": "", "rows": 1, "value_at_risk": "80.00"},
    ],
    "others": {"rows": 7, "value_at_risk": "1.00"},
}


@pytest.mark.parametrize("path", ["/audits/runs/7", f"/audits/{AUDIT}"])
@pytest.mark.parametrize(
    ("language", "heading", "without", "others"),
    [("en", "Drift by family", "without one", "all others"), ("zh-CN", "按 family 的差异", "无", "其他")],
)
def test_differences_are_summed_by_category(
    bad_night: World, path: str, language: str, heading: str, without: str, others: str
) -> None:
    browser = Browser(bad_night)
    assert heading not in browser.get(f"{path}?lang={language}").text
    bad_night.reports[7] = replace(bad_night.reports[7], evidence={"by_category": GROUPS})
    sign = "CN¥" if language == "en" else "¥"
    assert table(browser.get(f"{path}?lang={language}").text, heading) == [
        ["dairy", "3", f"{sign}1,476.40"],
        [without, "1", f"{sign}80.00"],
        [others, "7", f"{sign}1.00"],
    ]


def test_the_api_has_owner_thresholds_and_categories(bad_night: World) -> None:
    bad_night.reports[7] = replace(
        bad_night.reports[7],
        value_at_risk=Decimal("1556.40"),
        evidence={"by_category": GROUPS, "owner": "finance", "thresholds": {"rows": 5, "value": None, "within": True}},
    )
    found = Browser(bad_night).get("/api/v1/audits/runs/7").json()
    assert (found["verdict"], found["within_thresholds"], found["owner"]) == ("drift", True, "finance")
    assert found["by_category"] == GROUPS
    assert found["thresholds"] == {"rows": 5, "value": None, "within": True}
