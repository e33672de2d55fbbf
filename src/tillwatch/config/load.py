"""A chain directory in, one frozen ChainConfig or every problem of every file out."""

import os
from collections.abc import Mapping as Environment
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from tillwatch.config import presets, references
from tillwatch.config.bind import bind
from tillwatch.config.declared import ChainConfig as ChainConfig
from tillwatch.config.schema import CalendarFile, ChainFile, ChecksFile, OncallFile, RoutesFile, StoreSpec
from tillwatch.config.secrets import resolve
from tillwatch.config.yaml import Node
from tillwatch.config.yaml import load as load_yaml
from tillwatch.errors import ConfigError, Problem, UsageError

#: A chain of a thousand shops needs fewer files; more are a wrong folder.
MAX_FILES = 5_000

_SQLITE = "sqlite:///"


M = TypeVar("M", bound=BaseModel)


class _Reader:
    """Reads the files of one chain directory and collects their problems."""

    def __init__(self, root: Path, *, secrets: bool, environment: Environment[str, str]) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self._secrets = secrets
        self._environment = environment

    def node(self, path: Path) -> Node | None:
        try:
            node = load_yaml(path, root=self.root)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None
        if not self._secrets:
            return node
        return resolve(node, root=self.root, environment=self._environment, problems=self.problems)

    def optional(self, name: str) -> Node | None:
        """A file that a chain may do without."""
        return self.node(self.root / name) if (self.root / name).is_file() else None

    def bound(self, node: Node | None, model: type[M]) -> M | None:
        return bind(node, model, problems=self.problems) if node else None

    def files(self, folder: str, pattern: str, *, wrong_suffix: str) -> list[Path]:
        """Files below `folder`; one that only misses by its suffix is a problem, not silently left out."""
        base = self.root / folder
        found = sorted(path for path in base.glob(pattern) if path.is_file())
        wanted = Path(pattern).suffix
        for path in sorted(base.glob(pattern.removesuffix(wanted) + wrong_suffix)):
            name = path.relative_to(self.root).as_posix()
            self.problems.append(Problem(file=name, message=f"not read; rename it to {path.stem}{wanted}"))
        if len(found) > MAX_FILES:
            self.problems.append(Problem(file=folder, message=f"{len(found)} files; at most {MAX_FILES}"))
            return []
        return found


def load(root: Path, *, secrets: bool = True, environment: Environment[str, str] = os.environ) -> ChainConfig:
    """Read the chain directory `root`.

    1. Parse every file strictly, fill in secrets (unless `secrets` is False: they then stay as written).
    2. Bind each file to its model.
    3. Check ids and references across files on the nodes, so that one bad entry hides no other.
    Raises ConfigError with all problems of all files.
    """
    root = root.absolute()
    if not (root / ChainFile.path).is_file():
        fix = "name the chain directory with -C DIR, or make one with 'tillwatch init DIR'"
        raise ConfigError([Problem(file=ChainFile.path, message=f"not found in '{root}'; {fix}")])
    reader = _Reader(root, secrets=secrets, environment=environment)
    chain_node = reader.node(root / ChainFile.path)
    found = [reader.node(path) for path in reader.files("probes", "**/*.yaml", wrong_suffix=".yml")]
    check_nodes = [node and presets.expand(node) for node in found]
    routes_node = reader.node(root / RoutesFile.path)
    oncall_node, calendar_node = reader.optional(OncallFile.path), reader.optional(CalendarFile.path)
    chain = reader.bound(chain_node, ChainFile)
    checks = [reader.bound(node, ChecksFile) for node in check_nodes]
    routes = reader.bound(routes_node, RoutesFile)
    oncall = reader.bound(oncall_node, OncallFile) or OncallFile()
    calendar = reader.bound(calendar_node, CalendarFile) or CalendarFile()
    rules = reader.files("alerts/rules", "*.yml", wrong_suffix=".yaml")
    runbooks = reader.files("runbooks", "*.md", wrong_suffix=".markdown")
    nodes = references.Nodes(
        chain=chain_node,
        checks=tuple(node for node in check_nodes if node),
        routes=routes_node,
        oncall=oncall_node,
        calendar=calendar_node,
        oncall_is_readable=oncall_node is not None or not (root / OncallFile.path).is_file(),
    )
    reader.problems.extend(references.check(nodes))
    if reader.problems or chain is None or routes is None:
        raise ConfigError(list(dict.fromkeys(reader.problems)))
    return ChainConfig(
        root=root,
        chain=chain.chain,
        store=_below(root, chain.store),
        listen=chain.listen,
        compare=chain.compare,
        sites=chain.sites,
        systems=chain.systems,
        interfaces=chain.interfaces,
        channels=chain.channels,
        services=chain.services,
        offenders=chain.offenders,
        probes=tuple(probe for file in checks if file for probe in file.probes),
        audits=tuple(audit for file in checks if file for audit in file.audits),
        acceptances=tuple(acceptance for file in checks if file for acceptance in file.acceptances),
        validations=tuple(validation for file in checks if file for validation in file.validations),
        route=routes.route,
        receivers=routes.receivers,
        heartbeats=routes.heartbeats,
        inhibitions=routes.inhibitions,
        maintenance=routes.maintenance,
        webhooks=routes.webhooks,
        people=oncall.people,
        rotas=oncall.rotas,
        overrides=oncall.overrides,
        escalations=oncall.escalations,
        calendar=calendar.calendar,
        windows=calendar.windows,
        rules=tuple(rules),
        runbooks=tuple(runbooks),
        places=references.places(nodes),
    )


def _below(root: Path, store: StoreSpec) -> StoreSpec:
    """A relative SQLite file lies in the chain directory, wherever the process was started."""
    if not store.url.startswith(_SQLITE):
        return store
    return StoreSpec(url=f"{_SQLITE}{root / store.url.removeprefix(_SQLITE)}")


def pack_root() -> Path:
    """The default chain directory that ships with the product: in the wheel, else the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "_pack", package.parents[1]):
        if (candidate / ChainFile.path).is_file():
            return candidate
    raise UsageError(f"the default chain directory is not part of this installation ({package}); reinstall tillwatch")
