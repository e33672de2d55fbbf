"""Where a running lab keeps its parts: one folder, one description file, everything else found from it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tillwatch.errors import UsageError
from tillwatch.lab.catalogue import Shop
from tillwatch.lab.erp import Erp

#: Named so that a process without a command line argument still finds its lab.
_DESCRIPTION = "lab.json"


@dataclass(frozen=True, kw_only=True)
class Ports:
    erp: int
    inbox: int
    server: int
    prometheus: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast life in the lab runs, in seconds."""

    #: Mean time between two sales of one shop.
    sale_seconds: float = 4.0
    sync_seconds: float = 0.5
    pull_seconds: float = 10.0
    book_seconds: float = 30.0


DEFAULT_PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class Lab:
    root: Path
    ports: Ports
    pace: Pace = DEFAULT_PACE

    @property
    def chain(self) -> Path:
        """The chain directory rendered for this lab."""
        return self.root / "chain"

    @property
    def run(self) -> Path:
        """Pid files and logs."""
        return self.root / "run"

    @property
    def faults(self) -> Path:
        """The control file that asks for faults."""
        return self.root / "faults.json"

    @property
    def injected(self) -> Path:
        """What was really injected, one JSON line each, written by who injected it."""
        return self.root / "injected.jsonl"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox.db"

    @property
    def erp(self) -> Erp:
        return Erp(folder=self.root / "erp", port=self.ports.erp)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.server}"

    @property
    def inbox_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.inbox}"

    def till(self, shop: Shop) -> Path:
        return self.root / "tills" / f"{shop.id}.db"

    def save(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"ports": asdict(self.ports), "pace": asdict(self.pace)}, indent=2)
        temporary = self.root / f"{_DESCRIPTION}.new"
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(self.root / _DESCRIPTION)

    @classmethod
    def load(cls, root: Path) -> "Lab":
        """Raises UsageError when `root` holds no lab."""
        try:
            document = json.loads((root / _DESCRIPTION).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"{root}: no lab here; start one with: tillwatch demo --dir {root}") from error
        return cls(root=root.resolve(), ports=Ports(**document["ports"]), pace=Pace(**document["pace"]))
