"""Every page renders, in both languages, calm and on a bad night, and never runs what somebody else wrote."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.model.alert import Episode
from tillwatch.model.audit import Difference, DifferenceKind, Verdict
from tillwatch.model.incident import RunbookLink, TimelineEntry
from tillwatch.runbook.cards import ParamField

LANGUAGES = ("en", "zh-CN")
PAGES = (
    "/",
    "/incidents",
    "/incidents?before=3",
    "/incidents/2",
    "/incidents/3",
    "/incidents/4",
    "/incidents/5",
    "/audits",
    "/audits/orders-chaoyang",
    "/audits/runs/1",
    "/audits/runs/7",
    "/audits/runs/7?kind=missing",
    "/audits/runs/7?kind=extra",
    "/audits/runs/7?offset=2",
    "/validations",
    "/validations/runs/3",
    "/validations/runs/3?rule=sum-amount",
    "/validations/runs/3?offset=50",
    "/validations/runs/4",
    "/runbooks",
    "/runbooks/erp-restart",
    "/runbooks/erp-restart?incident=3",
    "/runbooks/orders-replay?incident=4",
    "/runs/1",
    "/runs/2",
    "/probes",
    "/probes/erp-api",
    "/probes/hq-server-host",
    "/deliveries",
    "/channels",
    "/oncall",
    "/oncall/statistics",
    "/oncall/statistics?days=7",
    "/silences",
    "/silences/new?incident=3",
    "/sign-in",
)
PAYLOAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}{% raw %}&amp;"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_renders_on_a_bad_night(bad_night: World, language: str) -> None:
    browser = Browser(bad_night)
    for page in PAGES:
        response = browser.get(page + ("&" if "?" in page else "?") + f"lang={language}")
        assert response.status_code == 200, page
        assert f'<html lang="{language}">' in response.text, page
        assert not [part for part in ("<style", " style=", "<script>", " onclick=") if part in response.text], page


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_renders_before_anything_was_measured(calm_chain: World, language: str) -> None:
    world = World(config=calm_chain.config, clock=calm_chain.clock)
    browser = Browser(world)
    for page in (
        "/",
        "/incidents",
        "/audits",
        "/runbooks",
        "/probes",
        "/probes/erp-api",
        "/deliveries",
        "/silences",
        "/oncall",
        "/oncall/statistics",
    ):
        assert browser.get(f"{page}?lang={language}").status_code == 200, page


def test_a_calm_chain_says_so_in_one_sentence(calm_chain: World) -> None:
    browser = Browser(calm_chain)
    assert "All 2 shops and ERP (Tryton) agree." in browser.get("/?lang=en").text
    assert "Last check 11 s ago." in browser.get("/?lang=en").text
    assert "2 家门店与ERP（Tryton）全部一致。" in browser.get("/?lang=zh-CN").text


def test_a_bad_night_names_the_worst_trouble_since_when_and_how_many_shops(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert "ERP (Tryton) is down since 10:47; 2 shops affected" in browser.get("/?lang=en").text
    assert "ERP（Tryton）不可用，始于 10:47；影响 2 家门店" in browser.get("/?lang=zh-CN").text
    assert "<title>(3) " in browser.get("/").text


def test_the_language_of_the_chain_is_the_default_and_a_choice_is_remembered(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert '<html lang="zh-CN">' in browser.get("/").text
    browser.get("/?lang=en")
    assert '<html lang="en">' in browser.get("/incidents").text
    assert '<html lang="en">' in browser.get("/incidents?lang=fr").text


def test_the_first_action_of_an_incident_is_its_runbook_with_the_parameters_filled_in(bad_night: World) -> None:
    browser = Browser(bad_night)
    incident = browser.get("/incidents/4?lang=en").text
    assert 'class="button primary big" href="/runbooks/orders-replay?incident=4"' in incident
    assert "audit=orders-chaoyang" in incident
    runbook = browser.get("/runbooks/orders-replay?incident=4&lang=en").text
    assert '<option value="orders-chaoyang" selected>' in runbook
    assert 'name="param.run" value="7"' in runbook
    assert bad_night.asked_plan == ("orders-replay", {"audit": "orders-chaoyang", "run": "7"}, 4)


def test_a_preview_uses_what_was_typed_and_not_the_proposal(bad_night: World) -> None:
    page = Browser(bad_night).get("/runbooks/orders-replay?incident=4&param.run=6&lang=en").text
    assert 'name="param.run" value="6"' in page
    assert bad_night.asked_plan == ("orders-replay", {"audit": "orders-chaoyang", "run": "6"}, 4)


def test_a_runbook_without_its_required_parameters_is_not_planned(bad_night: World) -> None:
    page = Browser(bad_night).get("/runbooks/orders-replay?lang=en").text
    assert "Fill in the parameters above" in page
    assert bad_night.asked_plan is None


def test_a_drift_incident_offers_no_way_to_resolve_it_by_hand(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert "/incidents/4/resolve" not in browser.get("/incidents/4").text
    assert "/incidents/3/resolve" in browser.get("/incidents/3").text


def test_differing_fields_are_marked_on_both_sides(bad_night: World) -> None:
    page = Browser(bad_night).get("/audits/runs/7?lang=en&kind=changed").text
    assert page.count("<mark>240.00</mark>") == 1
    assert page.count("<mark>160.00</mark>") == 1
    assert "CY-20261124-0041" not in page


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Data arrives later than allowed", "Sync lag", "4.2", "Weaker evidence", "Late", "196 were only"]),
        ("zh-CN", ["数据到达超过允许的时间", "同步延迟", "4.2", "证据较弱", "迟到", "其中 196 行只是在途"]),
    ],
)
def test_a_lagging_sync_is_told_from_loss_and_the_strength_of_the_evidence_is_said(
    bad_night: World, language: str, words: list[str]
) -> None:
    evidence = {
        "suspects": 200,
        "cleared": 196,
        "lag": {"rows": 190, "p50": 1.0, "p99": 4.2, "max": 5.0},
        "settle": {"window_seconds": 6.3, "strength": "weak", "carried": 0},
    }
    lagging = replace(bad_night.reports[7], verdict=Verdict.SYNC_LAG, late=4, evidence=evidence)
    bad_night.reports[7] = lagging
    page = Browser(bad_night).get(f"/audits/runs/7?lang={language}").text
    assert [word for word in words if word not in page] == []


def test_times_carry_the_offset_of_the_chain(bad_night: World) -> None:
    page = Browser(bad_night).get("/incidents/3?lang=en").text
    assert "2026-11-24 10:47:40 +08:00" in page
    assert "Asia/Shanghai (UTC+08:00)" in page


def test_a_message_is_shown_in_the_language_of_the_reader_when_the_prober_speaks_it(bad_night: World) -> None:
    state = bad_night.states["erp-tcp"]
    assert state.last is not None
    last = replace(state.last, evidence={"message_zh": "拒绝连接"})
    bad_night.states["erp-tcp"] = replace(state, last=last)
    browser = Browser(bad_night)
    assert "拒绝连接" in browser.get("/probes?lang=zh-CN").text
    assert "拒绝连接" not in browser.get("/probes?lang=en").text


def _poisoned(world: World) -> World:
    """Every text that comes from outside is hostile."""

    def episode(item: Episode) -> Episode:
        evidence = {
            "probe": PAYLOAD,
            "cause": PAYLOAD,
            "target": PAYLOAD,
            "log": [PAYLOAD],
            "phases": {PAYLOAD: 0.1},
            "top_processes": [{"pid": 1, "name": PAYLOAD, "argv": [PAYLOAD], "user": PAYLOAD}],
            "differences": [
                {"kind": PAYLOAD, "key": {"k": PAYLOAD}, "left": {PAYLOAD: PAYLOAD}, "right": None, "fields": [PAYLOAD]}
            ],
            PAYLOAD: {PAYLOAD: [PAYLOAD]},
        }
        labels = {**item.labels, "alertname": PAYLOAD, PAYLOAD.replace(" ", "_"): PAYLOAD}
        annotations = {"summary": PAYLOAD, "summary_zh": PAYLOAD}
        return replace(item, labels=labels, annotations=annotations, evidence=evidence, source=PAYLOAD)

    world.alerts = [episode(item) for item in world.alerts]
    for number, item in list(world.known.items()):
        world.known[number] = replace(
            item,
            title=PAYLOAD,
            titles={"en": PAYLOAD, "zh": PAYLOAD},
            acknowledged_by=PAYLOAD,
            assigned_to=PAYLOAD,
            runbooks=tuple(RunbookLink(id=link.id, url=link.url, params={PAYLOAD: PAYLOAD}) for link in item.runbooks),
        )
        world.entries[number] = [
            TimelineEntry(
                at=item.opened_at,
                kind=kind,
                actor=PAYLOAD,
                data={"text": PAYLOAD, "summary": PAYLOAD, "reason": PAYLOAD},
            )
            for kind in ("note", "alert_firing", "resolved", PAYLOAD)
        ]
    world.sent = [replace(item, code=PAYLOAD, detail=PAYLOAD, channel=PAYLOAD) for item in world.sent]
    for probe, state in list(world.states.items()):
        assert state.last is not None
        last = replace(state.last, message=PAYLOAD, log=(PAYLOAD,), phases={PAYLOAD: 1.0})
        world.states[probe] = replace(state, last=last)
        world.histories[probe] = [last]
    for number, run in list(world.started.items()):
        steps = tuple(
            replace(
                step,
                title={"en": PAYLOAD},
                error=PAYLOAD,
                output={PAYLOAD: PAYLOAD, "items": [PAYLOAD, {PAYLOAD: PAYLOAD}]},
            )
            for step in run.steps
        )
        world.started[number] = replace(
            run, title={"en": PAYLOAD}, reason=PAYLOAD, requested_by=PAYLOAD, params={PAYLOAD: PAYLOAD}, steps=steps
        )
    difference = Difference(
        kind=DifferenceKind.CHANGED,
        key={"k": PAYLOAD},
        left={PAYLOAD: PAYLOAD},
        right={PAYLOAD: None},
        fields=(PAYLOAD,),
        value_at_risk=Decimal(1),
    )
    world.reports[7] = replace(world.reports[7], reason=PAYLOAD, differences=(difference,), strategy=PAYLOAD)
    for name, card in list(world.cards.items()):
        steps_shown = tuple(
            replace(step, prose={"en": PAYLOAD}, title={"en": PAYLOAD}, undo={"en": PAYLOAD}) for step in card.steps
        )
        params = (
            *card.params,
            ParamField(name="extra", title={"en": PAYLOAD}, type="string", default=PAYLOAD, choices=(PAYLOAD,)),
        )
        world.cards[name] = replace(
            card,
            title={"en": PAYLOAD},
            prose={"en": PAYLOAD},
            facts={"what": {"en": PAYLOAD}},
            owner=PAYLOAD,
            serves=(PAYLOAD,),
            steps=steps_shown,
            params=params,
        )
        plan = world.plans[name]
        planned = tuple(
            replace(
                step,
                summary={"en": PAYLOAD},
                current=PAYLOAD,
                proposed=PAYLOAD,
                error=PAYLOAD,
                items=({PAYLOAD: PAYLOAD},),
            )
            for step in plan.steps
        )
        world.plans[name] = replace(plan, steps=planned, problems={PAYLOAD: PAYLOAD})
    return world


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_from_outside_is_shown_as_text(bad_night: World, language: str) -> None:
    browser = Browser(_poisoned(bad_night))
    for page in PAGES:
        response = browser.get(page + ("&" if "?" in page else "?") + f"lang={language}")
        assert response.status_code == 200, page
        found = [part for part in ("<script>alert", "<img", "49{%", "49{#") if part in response.text]
        assert found == [], page


def test_hostile_text_does_reach_the_pages_it_belongs_to(bad_night: World) -> None:
    """Guards the test above: an empty page would pass it too."""
    browser = Browser(_poisoned(bad_night))
    for page in (
        "/incidents/3",
        "/runs/1",
        "/audits/runs/7",
        "/runbooks/erp-restart?incident=3",
        "/probes/erp-api",
        "/deliveries",
    ):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in browser.get(page).text, page


def test_a_runbook_cannot_link_to_a_script_or_load_a_picture(bad_night: World) -> None:
    prose = "[click](javascript:alert(1)) ![x](https://evil.example/p.png) [ok](https://example.com/)"
    bad_night.cards["erp-restart"] = replace(bad_night.cards["erp-restart"], prose={"en": prose})
    page = Browser(bad_night).get("/runbooks/erp-restart?lang=en").text
    assert 'href="javascript:' not in page
    assert "<img" not in page
    assert 'href="https://example.com/"' in page


@pytest.mark.parametrize(("language", "problem"), [("en", "its lines add up to 0.00"), ("zh-CN", "明细合计为 0.00")])
def test_a_validation_shows_each_row_with_its_value_and_why_in_the_readers_language(
    bad_night: World, language: str, problem: str
) -> None:
    page = Browser(bad_night).get(f"/validations/runs/3?lang={language}&rule=sum-amount").text
    assert problem in page
    assert "CY-00049" in page
    assert "CY-00050" not in page
    assert "锟斤拷" not in page


def test_what_broke_a_rule_is_shown_as_text_never_as_markup(bad_night: World) -> None:
    page = Browser(bad_night).get("/validations/runs/3?offset=50").text
    assert "CY-锟斤拷&lt;b&gt;" in page
