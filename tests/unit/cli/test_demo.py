"""`tillwatch demo`: what it refuses at once, and how it talks to a demo that already runs."""

from pathlib import Path

import pytest

from tillwatch.cli.main import main
from tillwatch.lab import demo, faults
from tillwatch.lab.layout import Lab, Ports


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    return int(code)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("demo", "--once"), "--once needs --fault; choose one of erp-down, lost-orders, invalid-data, host-pressure"),
        (
            ("demo", "--fault", "fire"),
            "there is no fault 'fire'; choose one of erp-down, lost-orders, invalid-data, host-pressure",
        ),
        (
            ("demo", "--once", "--fault", "erp-down", "--crash-at", "lunch"),
            "there is no stage 'lunch'; choose one of incident, run, approved",
        ),
    ],
)
def test_a_wrong_call_is_a_usage_error_before_anything_starts(
    arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert expected in capsys.readouterr().err


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.docx").write_text("years of work", encoding="utf-8")
    assert run("demo", "--dir", str(tmp_path), "--no-browser") == 2
    assert "choose another --dir" in capsys.readouterr().err
    assert (tmp_path / "thesis.docx").read_text(encoding="utf-8") == "years of work"


def test_a_fault_goes_into_the_demo_that_already_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(root=tmp_path, ports=Ports(erp=1, inbox=2, server=3, prometheus=4))
    monkeypatch.setattr(demo, "running", lambda _: lab)
    assert run("demo", "--fault", "lost-orders", "--dir", str(tmp_path)) == 0
    request = faults.asked(lab.faults)
    assert request is not None
    assert (request.shop, request.drop, request.wrong_quantity) == ("chaoyang", 2, 1)
    assert "http://127.0.0.1:3" in capsys.readouterr().err
