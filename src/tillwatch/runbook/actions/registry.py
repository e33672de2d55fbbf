"""The actions there are. A runbook may only name these."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import UsageError
from tillwatch.runbook.actions.base import Action


class Registry(Mapping[str, Action[Any]]):
    """Actions by name. Each name is taken once."""

    def __init__(self, actions: Iterable[Action[Any]]) -> None:
        self._actions: dict[str, Action[Any]] = {}
        for action in actions:
            if action.name in self._actions:
                raise ValueError(f"two actions are called '{action.name}'")
            self._actions[action.name] = action

    def __getitem__(self, name: str) -> Action[Any]:
        """Raises UsageError with a suggestion when there is no such action."""
        if name not in self._actions:
            raise UsageError(f"unknown action '{name}'{did_you_mean(name, self._actions, what='actions')}")
        return self._actions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._actions

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def __len__(self) -> int:
        return len(self._actions)
