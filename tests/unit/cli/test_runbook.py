"""`tillwatch runbook …` with the server down: list, lint, plan, run, confirm, stop."""

from pathlib import Path

from tests.unit.cli.conftest import Run


def test_every_runbook_of_the_pack_is_listed_and_clean(run: Run, chain: Path) -> None:
    listed = run("-C", chain, "--json", "runbook", "list")
    assert listed.code == 0
    assert {"erp-restart", "orders-replay", "host-relieve"} <= {book["id"] for book in listed.document}
    assert run("-C", chain, "--json", "runbook", "lint").document["problems"] == []


def test_a_malformed_runbook_is_explained_with_its_line_and_exit_code_2(run: Run, chain: Path) -> None:
    path = chain / "runbooks" / "watchdog.md"
    path.write_text(path.read_text().replace("do: manual", "do: manul", 1))
    ended = run("-C", chain, "runbook", "lint")
    assert ended.code == 2
    assert "runbooks/watchdog.md:" in ended.err
    assert "unknown action 'manul'; did you mean 'manual'?" in ended.err


def test_a_plan_with_wrong_parameters_says_which(run: Run, chain: Path) -> None:
    ended = run("-C", chain, "runbook", "plan", "erp-restart", "system=epr", "service=erp")
    assert ended.code == 2
    assert "'system': there is no system 'epr'; did you mean 'erp'?" in ended.err
    assert run("-C", chain, "runbook", "plan", "erp-restart", "system").code == 2


def test_a_plan_reads_only_and_shows_every_step(run: Run, chain: Path) -> None:
    ended = run("-C", chain, "--json", "runbook", "plan", "orders-replay", "audit=orders-chaoyang")
    assert ended.code == 0
    assert ended.document["preview"] == "partial"
    assert [step["id"] for step in ended.document["steps"]] == ["recheck", "repair_plan", "apply", "alert_clear"]
    assert run("-C", chain, "--json", "runbook", "runs").document == []


def test_a_run_of_steps_for_people_goes_from_confirmation_to_success(run: Run, chain: Path) -> None:
    started = run("-C", chain, "--json", "runbook", "run", "watchdog", "--actor", "ann")
    assert started.code == 0
    assert started.document["state"] == "waiting_manual"
    assert "go on with: tillwatch runbook confirm 1 step_1" in started.err
    refused = run("-C", chain, "runbook", "confirm", "1", "step_1", "--actor", "ann")
    assert refused.code == 2
    run("-C", chain, "runbook", "confirm", "1", "step_1", "--text", "looked", "--actor", "ann")
    ended = run("-C", chain, "--json", "runbook", "confirm", "1", "step_2", "--actor", "ann")
    assert ended.document["state"] == "succeeded"
    assert set(ended.document) >= {"run", "runbook", "state", "steps", "digest", "incident"}
    assert set(ended.document["steps"][0]) >= {"id", "phase", "state", "attempts", "seconds", "output"}


def test_a_second_run_on_a_target_is_refused_and_a_stop_frees_it(run: Run, chain: Path) -> None:
    run("-C", chain, "runbook", "run", "watchdog", "--actor", "ann")
    again = run("-C", chain, "runbook", "run", "watchdog", "--actor", "ben")
    assert again.code == 4
    assert "run 1 works on 'watchdog' already; join it at /runs/1" in again.err
    stopped = run("-C", chain, "--json", "runbook", "stop", "1", "--actor", "ben")
    assert stopped.document["state"] == "killed"
    assert run("-C", chain, "runbook", "run", "watchdog", "--actor", "ben").code == 0


def test_a_card_reads_in_the_language_asked_for(run: Run, chain: Path) -> None:
    assert "Is it really down?" in run("-C", chain, "--lang", "en", "runbook", "show", "erp-restart").out
    assert "确认故障真实存在" in run("-C", chain, "runbook", "show", "erp-restart").out
    unknown = run("-C", chain, "runbook", "show", "erp-restrat")
    assert unknown.code == 2
    assert "did you mean 'erp-restart'?" in unknown.err
