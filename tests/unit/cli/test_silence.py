"""`tillwatch silence`: set, seen with what it matches, ended."""

from pathlib import Path

from tests.unit.cli.conftest import Run


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
