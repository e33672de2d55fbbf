"""Global options, exit codes, and errors that say what to do."""

from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.conftest import Run, edit

from tillwatch import __version__
from tillwatch.cli import main as command
from tillwatch.cli.main import hoist
from tillwatch.errors import RefusedError, StoreError


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        (["audit", "run", "x", "--json"], ["--json", "audit", "run", "x"]),
        (["check", "-C", "dir", "--live"], ["-C", "dir", "check", "--live"]),
        (["check", "--chain=dir", "--lang", "en"], ["--chain=dir", "--lang", "en", "check"]),
        (["runbook", "run", "x", "--", "--json"], ["runbook", "run", "x", "--", "--json"]),
        (["check", "-C"], ["-C", "check"]),
        ([], []),
    ],
)
def test_global_options_may_stand_anywhere(written: list[str], understood: list[str]) -> None:
    assert hoist(written) == understood


@given(st.lists(st.sampled_from(["a", "--json", "-C", "dir", "--", "--lang", "--x=y"])))
def test_no_word_is_lost_or_invented(words: list[str]) -> None:
    assert sorted(hoist(words)) == sorted(words)


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out == f"tillwatch {__version__}\n"


def test_an_unknown_command_or_option_is_a_usage_error(run: Run) -> None:
    assert run("chek").code == 2
    ended = run("check", "--fast")
    assert (ended.code, ended.out) == (2, "")
    assert "--fast" in ended.err


def test_an_unknown_language_is_a_usage_error(run: Run, chain: Path) -> None:
    ended = run("-C", chain, "--lang", "fr", "check")
    assert (ended.code, ended.err) == (2, "--lang 'fr' is not a language we speak; choose: en, zh\n")


def test_a_missing_chain_directory_says_how_to_name_or_make_one(run: Run, tmp_path: Path) -> None:
    ended = run("-C", tmp_path, "channel", "list")
    assert ended.code == 2
    assert ended.err == (
        f"tillwatch.yaml: not found in '{tmp_path}'; name the chain directory with -C DIR, or make one with 'tillwatch init DIR'\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(RefusedError("not approved"), 4), (StoreError("disk full"), 3), (KeyboardInterrupt(), 130)],
    ids=["refused", "store", "interrupted"],
)
def test_every_error_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True)
    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "app", app)
    ended = run()
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.strip() == str(error)


def test_a_defect_of_ours_is_never_taken_for_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True)
    def fail() -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(command, "app", app)
    ended = run()
    assert ended.code == 3
    assert "ZeroDivisionError: oops" in ended.err
    assert "please report it" in ended.err


def test_no_colour_and_no_wrapping_when_piped(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "http://127.0.0.1:9999/hook", f"http://127.0.0.1:9999/{'x' * 300}")
    lines = run("-C", chain, "channel", "list").out.splitlines()
    assert len(lines) == 2
    assert not [line for line in lines if "\x1b" in line]
