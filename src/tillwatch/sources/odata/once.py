"""Entities that several addresses find. A service that takes upper and lower case for the same finds one under every
spelling it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tillwatch.sources.odata.fetching import Fetched, Strand
from tillwatch.sources.odata.wire import Entity, Page


@dataclass(kw_only=True)
class Once:
    """Leaves out what an earlier address gave. What one address gives twice stays: that is the service's own fault, and
    to be seen."""

    #: Properties of the set's own key.
    key: Sequence[str]
    _starts: set[str] = field(default_factory=set)
    _given: set[tuple[str, ...]] = field(default_factory=set)
    _giving: set[tuple[str, ...]] = field(default_factory=set)

    def begin(self, strand: Strand) -> Strand:
        self._starts.add(strand.start)
        return strand

    def page(self, fetched: Fetched) -> Page:
        """All pages of an address come before the first one of the next."""
        if fetched.url in self._starts:
            self._given |= self._giving
            self._giving = set()
        return replace(fetched.page, entities=tuple(filter(self._is_new, fetched.page.entities)))

    def _is_new(self, entity: Entity) -> bool:
        if not self.key or any(name not in entity for name in self.key):
            return True
        key = tuple(str(entity[name]) for name in self.key)
        self._giving.add(key)
        return key not in self._given
