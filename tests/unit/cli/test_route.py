"""`tillwatch route explain`: who would be told now, and what would keep it from them."""

from pathlib import Path

import pytest
from tests.support.served_process import CHAIN
from tests.unit.cli.conftest import Run

ROUTES = """\
route: {receiver: ops, routes: [{matchers: ['severity="critical"'], receiver: people}]}
receivers:
  - {id: ops, channels: [ops]}
  - {id: people, oncall: primary, escalation: climb}
maintenance: [{id: nightly, matchers: ['site="chaoyang"'], schedule: "* * * * *", duration: 1h, comment: backup}]
inhibitions:
  - {id: line, source_matchers: ['alertname="LineDown"'], target_matchers: ['severity="warning"'], equal: [site]}
"""
ONCALL = """\
people: [{id: wang, name: 王芳, channels: [ops]}]
rotas: [{id: primary, rotations: [{members: [wang], start: "2026-01-01", every: weekly}]}]
escalations: [{id: climb, steps: [{notify: {person: wang}}]}]
"""


@pytest.fixture
def duty(tmp_path: Path) -> Path:
    (tmp_path / "alerts").mkdir()
    for name, text in (("tillwatch.yaml", CHAIN), ("alerts/routes.yaml", ROUTES), ("alerts/oncall.yaml", ONCALL)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_person_on_call_and_the_policy_are_named(run: Run, duty: Path) -> None:
    shown = run("-C", duty, "route", "explain", "severity=critical")
    assert shown.code == 0, shown.err
    assert "people is told through wang (on call in primary), the steps of climb after" in shown.out
    (receiver,) = run("-C", duty, "--json", "route", "explain", "severity=critical").document["receivers"]
    assert (receiver["oncall"], receiver["person"], receiver["escalation"]) == ("primary", "wang", "climb")


def test_a_maintenance_window_that_holds_and_an_inhibition_that_could_are_said(run: Run, duty: Path) -> None:
    shown = run("-C", duty, "route", "explain", "severity=warning", "site=chaoyang")
    assert "maintenance:nightly (backup)" in shown.out
    assert 'told to nobody while {alertname="LineDown"} fires with the same site: line' in shown.out
    elsewhere = run("-C", duty, "--json", "route", "explain", "severity=critical", "site=haidian").document
    assert (elsewhere["maintenance"], elsewhere["inhibitions"]) == ([], [])
