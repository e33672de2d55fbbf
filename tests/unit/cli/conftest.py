"""Commands run as a person runs them: through `main`, with what they print and how they end."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tillwatch.cli.main import main
from tillwatch.cli.scaffold import pack_files
from tillwatch.config.load import pack_root


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed: exactly one document, nothing beside it."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: str | Path) -> Ended:
        words: Sequence[str] = [str(argument) for argument in arguments]
        with pytest.raises(SystemExit) as caught:
            main(words)
        printed = capsys.readouterr()
        return Ended(code=int(caught.value.code or 0), out=printed.out, err=printed.err)

    return call


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the chain directory that ships, to be broken."""
    monkeypatch.setenv("ERP_PASSWORD", "secret")
    root = tmp_path / "chain"
    for file in pack_files(pack_root()):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes((pack_root() / file).read_bytes())
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
