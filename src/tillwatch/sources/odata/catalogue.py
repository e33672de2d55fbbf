"""What this service really has: its $metadata read once, then remembered, so that a mapping is checked before use."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tillwatch.errors import SchemaMismatch, SourceRejected
from tillwatch.sources.odata import edm
from tillwatch.sources.odata.edm import Model, Property
from tillwatch.sources.odata.literals import COMPARABLE, Dialect
from tillwatch.sources.odata.options import ODataDataset, ODataOptions
from tillwatch.sources.odata.session import Session


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A dataset as the service has it now."""

    name: str
    dataset: ODataDataset
    dialect: Dialect
    #: Canonical field: its property.
    columns: Mapping[str, Property]
    #: The set's own key, whatever an audit matches by.
    key: tuple[Property, ...]
    #: The properties in `where`, and its conditions as they stand in a filter.
    narrowed: tuple[Property, ...]
    conditions: tuple[str, ...]

    @property
    def keyset(self) -> bool:
        """Whether pages may begin after a key."""
        if self.dataset.paging != "auto":
            return self.dataset.paging == "keyset" and bool(self.key)
        return bool(self.key) and all(part.filterable and part.type in COMPARABLE for part in self.key)


class Catalogue:
    """Safe for several threads."""

    def __init__(self, session: Session, options: ODataOptions) -> None:
        self._session = session
        self._options = options
        self._lock = threading.Lock()
        self._model: Model | None = None

    def model(self, *, fresh: bool = False) -> Model:
        """Raises SourceRejected when the url is no OData service."""
        with self._lock:
            if self._model is not None and not fresh:
                return self._model
        answer = self._session.get(self._session.url("$metadata"), accept="application/xml")
        try:
            found = edm.parse(answer.body)
        except edm.NotMetadata as error:
            raise SourceRejected(
                f"system {self._session.system!r}: {self._options.url}/$metadata describes no OData service: {error}; "
                "check 'url'"
            ) from None
        with self._lock:
            self._model = found
        return found

    def relation(self, name: str, dataset: ODataDataset) -> Relation:
        """Raises SchemaMismatch naming what exists. What is missing is looked for once more: it may be new."""
        try:
            return self._relation(name, dataset, self.model())
        except SchemaMismatch:
            return self._relation(name, dataset, self.model(fresh=True))

    def _relation(self, name: str, dataset: ODataDataset, model: Model) -> Relation:
        where = f"system {self._session.system!r}, dataset {name!r}"
        entity_set = model.entity_set(dataset.set, where)
        dialect = Dialect(version=model.version, zone=self._options.timezone)
        columns = {
            field: entity_set.property(path, f"{where}: field {field!r} is mapped to {path!r}")
            for field, path in dataset.columns.items()
        }
        if dataset.track_changes and model.version is edm.Version.V2:
            raise SchemaMismatch(f"{where}: 'track_changes' needs OData v4, and this service speaks v2; remove it")
        if dataset.paging == "keyset" and not entity_set.key:
            raise SchemaMismatch(f"{where}: 'paging: keyset' needs a key, and set {entity_set.name!r} has none")
        return Relation(
            name=name,
            dataset=dataset,
            dialect=dialect,
            columns=columns,
            key=tuple(entity_set.properties[part] for part in entity_set.key if part in entity_set.properties),
            narrowed=tuple(entity_set.properties[path] for path in dataset.where if path in entity_set.properties),
            conditions=tuple(self._conditions(where, dataset, entity_set, dialect)),
        )

    def _conditions(self, where: str, dataset: ODataDataset, entity_set: edm.EntitySet, dialect: Dialect) -> list[str]:
        found = []
        for path, text in dataset.where.items():
            kind = entity_set.property(path, f"{where}: 'where' names {path!r}")
            value = dialect.typed(text, kind)
            if value is None:
                raise SchemaMismatch(f"{where}: 'where' wants {path} to be {text!r}, which is no {kind.type}")
            found.append(f"{path} eq {dialect.literal(value, kind)}")
        return found
