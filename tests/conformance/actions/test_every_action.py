"""What every action owes the engine: a harmless plan, its key, its time, its stop, and no secrets."""

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from tests.support.action_services import DIGEST, SECRET, Kit

from tillwatch.errors import TillwatchError
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.actions.base import MAX_ITEMS_SHOWN, Happened, PlanReport, Stopped
from tillwatch.runbook.redact import Redactor, secrets_of
from tillwatch.store.types import dumps

TEXT = {"zh": "好", "en": "fine"}
#: Arguments with which each action works on the recorders. An action without an entry fails the suite.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "alert.clear": {"within": "1s"},
    "audit.run": {"audit": "orders"},
    "http.probe": {"target": "http://erp.test:8000/"},
    "http.request": {
        "target": "http://erp.test:8000/orders",
        "json": {"a": "1"},
        "happened": {"target": "http://erp.test:8000/orders/1"},
    },
    "manual": {"ask": TEXT},
    "notify.send": {"channels": ["ops"], "text": TEXT},
    "probe.run": {"system": "erp"},
    "process.offenders": {"offender": "job"},
    "process.start_service": {"service": "erp"},
    "process.stop_service": {"service": "erp"},
    "process.stop_offender": {"offender": "job"},
    "source.plan": {"run": "7"},
    "source.repair": {"plan": "1", "digest": DIGEST},
    "source.replay": {"plan": "1", "digest": DIGEST},
    "source.undo": {"plan": "1", "digest": DIGEST},
    "sql.read": {"statement": "count"},
    "sql.run": {"statement": "zero", "params": {"sku": "0001"}},
    "validation.run": {"validation": "lines"},
    "wait.for": {"duration": "5s"},
}
CALLED = [name for name in REGISTRY if not REGISTRY[name].by_people]
#: Idempotent by the other side: the declared command, and apply, which searches before it sends (under test with it).
BY_CONTRACT = {"process.start_service", "process.stop_service", "source.repair", "source.replay", "source.undo"}
ACTING = [name for name in CALLED if REGISTRY[name].effect is not Effect.READ]
#: The key reaches the other side where there is another side; the rest names what it changes by itself.
KEYED = {"http.request", "notify.send"}


@pytest.fixture
def shop(kit: Kit) -> Kit:
    with sqlite3.connect(kit.folder / "shop.db") as database:
        database.execute("CREATE TABLE stock (sku TEXT, quantity INTEGER)")
        database.executemany("INSERT INTO stock VALUES (?, 5)", [("0001",), ("0002",), ("0003",)])
    database.close()
    return kit


def test_every_action_stands_in_this_suite() -> None:
    assert set(ARGUMENTS) == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_plan_speaks_both_languages_and_changes_nothing(name: str, shop: Kit) -> None:
    before = shop.footprint()
    report = REGISTRY[name].plan(shop.context(name, ARGUMENTS[name]))
    assert isinstance(report, PlanReport)
    assert set(report.summary) == {"zh", "en"}
    assert all(report.summary.values())
    assert len(report.items) <= MAX_ITEMS_SHOWN
    assert report.items_total >= len(report.items)
    assert shop.footprint() == before


@pytest.mark.parametrize("name", CALLED)
def test_an_output_can_be_stored_and_holds_no_secret(name: str, shop: Kit) -> None:
    text = dumps(shop.do(name, ARGUMENTS[name]))
    assert SECRET not in text


@pytest.mark.parametrize("name", sorted(set(ACTING) - BY_CONTRACT))
def test_doing_it_twice_under_one_key_leaves_what_doing_it_once_leaves(name: str, shop: Kit) -> None:
    shop.do(name, ARGUMENTS[name])
    if REGISTRY[name].effect is Effect.ONCE:
        found = REGISTRY[name].happened(shop.context(name, ARGUMENTS[name]))
        assert found.state is Happened.DONE, "the engine would do it again"
        return
    once = shop.footprint()
    shop.do(name, ARGUMENTS[name])
    assert shop.footprint() == once


@pytest.mark.parametrize("name", sorted(KEYED))
def test_the_key_reaches_the_other_side(name: str, shop: Kit) -> None:
    shop.do(name, ARGUMENTS[name])
    assert "run-1-step-do" in str(shop.fakes.effects)


@pytest.mark.parametrize("name", ["wait.for", "source.repair", "source.replay", "source.undo"])
def test_a_stop_is_noticed_before_the_effect(name: str, shop: Kit) -> None:
    before = shop.footprint()
    with pytest.raises(Stopped):
        shop.do(name, ARGUMENTS[name], stop=lambda: True)
    assert shop.footprint() == before


@pytest.mark.parametrize("name", REGISTRY)
def test_unknown_arguments_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        REGISTRY[name].Params.model_validate({**ARGUMENTS[name], "nonsense": "1"})


@pytest.mark.parametrize("name", REGISTRY)
def test_the_policy_is_sound(name: str) -> None:
    action = REGISTRY[name]
    assert action.default_timeout <= action.max_timeout
    assert type(action).__doc__, "say in a sentence what it does"


@pytest.mark.parametrize(
    ("name", "service"),
    [("probe.run", "probes"), ("audit.run", "audits"), ("source.plan", "repairs"), ("notify.send", "enqueue")],
)
def test_a_process_without_a_service_says_so(name: str, service: str, shop: Kit) -> None:
    missing: dict[str, Any] = {service: None}
    shop.services = replace(shop.services, **missing)
    with pytest.raises(TillwatchError, match="this process has no"):
        shop.do(name, ARGUMENTS[name])


def test_secrets_of_the_configuration_are_taken_out_of_everything_kept(kit: Kit) -> None:
    redactor = Redactor(secrets_of(kit.config))
    assert redactor.document({"a": [f"x{SECRET}y", {SECRET: 1}]}) == {"a": ["x***y", {"***": 1}]}
    assert secrets_of(kit.config) == {SECRET}
