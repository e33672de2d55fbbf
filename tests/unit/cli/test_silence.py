"""`tillwatch silence`: set, seen with what it matches, ended."""

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run

from tillwatch.app import build
from tillwatch.config.load import load
from tillwatch.model.alert import Alert


def test_a_silence_is_added_listed_and_expired(run: Run, chain: Path) -> None:
    matcher, pair = 'site="chaoyang"', "severity!=critical"
    added = run(
        "-C", chain, "silence", "add", matcher, pair, "--comment", "换收银机", "--actor", "li", "--minutes", "90"
    )
    id = added.out.strip()
    assert added.code == 0
    assert "matches 0 alerts now" in added.err
    (kept,) = run("-C", chain, "--json", "silence", "list").document
    assert (kept["id"], kept["state"], kept["matches"]) == (id, "active", 0)
    assert kept["matchers"] == ['site="chaoyang"', 'severity!="critical"']
    assert "换收银机" in run("-C", chain, "silence", "list").out
    assert run("-C", chain, "silence", "expire", id).code == 0
    assert run("-C", chain, "--json", "silence", "list").document == []
    (ended,) = run("-C", chain, "--json", "silence", "list", "--all").document
    assert ended["state"] == "expired"


def test_a_silence_that_mutes_everything_is_a_usage_error(run: Run, chain: Path) -> None:
    refused = run("-C", chain, "silence", "add", 'site=~".*"', "--comment", "x")
    assert (refused.code, refused.out) == (2, "")
    assert "mutes everything" in refused.err


def test_expiring_what_is_not_there_is_a_usage_error(run: Run, chain: Path) -> None:
    assert run("-C", chain, "silence", "expire", "nobody").code == 2


def test_a_preview_says_what_would_be_matched_and_sets_nothing(run: Run, chain: Path) -> None:
    shown = run("-C", chain, "--json", "silence", "add", 'site="chaoyang"', "--preview")
    assert (shown.code, shown.document["matches"], shown.document["incidents"]) == (0, 0, [])
    assert "nothing was set" in shown.err
    assert run("-C", chain, "--json", "silence", "list", "--all").document == []


def test_a_silence_without_a_reason_is_a_usage_error(run: Run, chain: Path) -> None:
    refused = run("-C", chain, "silence", "add", 'site="chaoyang"')
    assert (refused.code, "--comment is missing" in refused.err) == (2, True)


def test_matches_name_the_incidents(run: Run, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as alive:
        alive.setenv("ERP_PASSWORD", "unused")
        application = build(load(chain, secrets=False))
    alert = Alert(labels={"alertname": "Down", "site": "chaoyang"}, starts_at=application.clock.now(), source="x")
    application.ingest.receive([alert], source="x")
    application.stop()
    added = run("-C", chain, "silence", "add", 'site="chaoyang"', "--comment", "x")
    assert "matches 1 alerts now, of incident 1; ends" in added.err
    (kept,) = run("-C", chain, "--json", "silence", "list").document
    assert (kept["matches"], kept["incidents"]) == (1, [1])
    preview = run("-C", chain, "silence", "add", 'site="chaoyang"', "--preview")
    assert "1 of 1" in preview.out
