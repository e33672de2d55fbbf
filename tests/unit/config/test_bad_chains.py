"""Every folder in `bad/` is a broken chain directory; `expected.txt` holds exactly what is said about it.

A folder holds only the files that differ from `bad/_base`, which is a chain directory without a fault.
"""

import shutil
from pathlib import Path

import pytest

from tillwatch.config.load import load
from tillwatch.errors import ConfigError

BAD = Path(__file__).parent / "bad"
CASES = sorted(path for path in BAD.iterdir() if path.is_dir() and path.name != "_base")
ENVIRONMENT = {"EMPTY": ""}


def chain(case: Path, tmp_path: Path) -> Path:
    root = tmp_path / "chain"
    shutil.copytree(BAD / "_base", root)
    shutil.copytree(case, root, dirs_exist_ok=True)
    return root


def test_the_base_has_no_fault(tmp_path: Path) -> None:
    config = load(chain(BAD / "_base", tmp_path), environment={})
    assert ([p.id for p in config.probes], [a.id for a in config.audits]) == (["erp-api"], ["orders"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_chain_is_refused_with_all_its_faults_each_at_its_place(case: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(chain(case, tmp_path), environment=ENVIRONMENT)
    said = [str(problem).replace(str(tmp_path), "") for problem in caught.value.problems]
    assert "\n".join(said) + "\n" == (case / "expected.txt").read_text(encoding="utf-8")
