"""Only a process that is surely gone is called gone."""

import subprocess
import sys

import pytest

from tillwatch.app.owners import is_gone, own_name

ME = own_name()
HOST, PID, _ = ME.rsplit(":", 2)


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_has_ended_is_gone() -> None:
    assert is_gone(f"{HOST}:{ended()}:abcdef", me=ME)


@pytest.mark.parametrize(
    "owner",
    [ME, f"{HOST}:{PID}:another", f"{HOST}:1:abcdef", "elsewhere:99999999:abcdef", "nonsense", f"{HOST}:x:y", ""],
    ids=["this process", "its number given anew", "init", "another machine", "nonsense", "no number", "empty"],
)
def test_any_doubt_is_no(owner: str) -> None:
    assert not is_gone(owner, me=ME)
