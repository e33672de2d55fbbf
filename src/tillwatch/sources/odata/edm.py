"""What a service says it has: entity sets, their keys and the types of their properties, from its $metadata. Pure."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch

#: A type inherits from a type inherits from … a model that goes on for longer is a circle.
_MAX_ANCESTORS = 20
#: Annotation of a v2 property: it cannot stand in $filter.
_NOT_FILTERABLE = "{http://www.sap.com/Protocols/SAPData}filterable"
_DISPLAY_FORMAT = "{http://www.sap.com/Protocols/SAPData}display-format"


class Version(enum.StrEnum):
    V2 = "2"
    V4 = "4"


class NotMetadata(ValueError):
    """The text is no description of an OData service; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """`type` is `Edm.…`, or the full name of an enumeration."""

    name: str
    type: str
    enumerated: bool = False
    filterable: bool = True
    #: A v2 time that means a day: there is no type for days in v2.
    day: bool = False


@dataclass(frozen=True, kw_only=True)
class EntitySet:
    name: str
    key: tuple[str, ...]
    properties: Mapping[str, Property]
    #: Names of properties that hold no single value.
    structures: frozenset[str] = frozenset()

    def property(self, name: str, where: str) -> Property:
        """Raises SchemaMismatch, beginning with `where`, naming what exists."""
        if name in self.structures:
            raise SchemaMismatch(f"{where}, which holds a structure or many values; map a property of one value")
        if name not in self.properties:
            known = did_you_mean(name, self.properties, what="it has")
            raise SchemaMismatch(f"{where}, but set {self.name!r} has no property {name!r}{known}")
        return self.properties[name]


@dataclass(frozen=True, kw_only=True)
class Model:
    version: Version
    sets: Mapping[str, EntitySet]
    #: By namespace and alias, what the schemas are called: shown to people.
    namespaces: tuple[str, ...] = ()

    def entity_set(self, path: str, where: str) -> EntitySet:
        """The set a path ends in. Raises SchemaMismatch naming what exists."""
        name = path.rpartition("/")[2]
        if name not in self.sets:
            known = did_you_mean(name, self.sets, what="it has")
            raise SchemaMismatch(f"{where}: the service has no entity set {name!r}{known}")
        return self.sets[name]


@dataclass
class _Found:
    """Everything declared, by full name."""

    entities: dict[str, ElementTree.Element] = field(default_factory=dict)
    #: Enumerations, and type definitions with what they stand for.
    enums: set[str] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    #: Navigation properties of entity types are sets too when they contain what they lead to: companies(…)/items.
    navigations: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def full(self, name: str) -> str:
        prefix, _, last = name.rpartition(".")
        return f"{self.aliases.get(prefix, prefix)}.{last}"


def parse(text: bytes) -> Model:
    """Raises NotMetadata."""
    if b"<!DOCTYPE" in text[:4096] or b"<!ENTITY" in text:
        raise NotMetadata("it is a page, or declares entities of its own")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise NotMetadata(f"it is not XML ({error})") from None
    if _local(root) != "Edmx":
        raise NotMetadata(f"it begins with <{_local(root)}>, not with <Edmx>")
    version = Version.V4 if root.get("Version", "").startswith("4") else Version.V2
    found = _found(root)
    sets = {
        name: _entity_set(found, name, full)
        for name, full in {**found.navigations, **found.sets}.items()
        if full in found.entities
    }
    return Model(version=version, sets=sets, namespaces=tuple(dict.fromkeys(found.aliases.values())))


def _found(root: ElementTree.Element) -> _Found:
    found = _Found()
    schemas = [element for element in root.iter() if _local(element) == "Schema"]
    for schema in schemas:
        namespace = schema.get("Namespace", "")
        found.aliases[namespace] = namespace
        if alias := schema.get("Alias"):
            found.aliases[alias] = namespace
    for schema in schemas:
        namespace = schema.get("Namespace", "")
        for element in schema:
            name, kind = f"{namespace}.{element.get('Name', '')}", _local(element)
            if kind == "EntityType":
                found.entities[name] = element
                found.navigations.update(_contained(found, element))
            elif kind == "EnumType":
                found.enums.add(name)
            elif kind == "TypeDefinition":
                found.definitions[name] = element.get("UnderlyingType", "")
            elif kind == "EntityContainer":
                for child in _children(element, "EntitySet"):
                    found.sets[child.get("Name", "")] = found.full(child.get("EntityType", ""))
    return found


def _contained(found: _Found, entity: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for child in _children(entity, "NavigationProperty"):
        kind = child.get("Type", "")
        if kind.startswith("Collection("):
            yield child.get("Name", ""), found.full(kind.removeprefix("Collection(").removesuffix(")"))


def _entity_set(found: _Found, name: str, full: str) -> EntitySet:
    key: tuple[str, ...] = ()
    properties: dict[str, Property] = {}
    structures: set[str] = set()
    for entity in _ancestry(found, full):
        for element in _children(entity, "Key"):
            key = tuple(reference.get("Name", "") for reference in _children(element, "PropertyRef"))
        for element in _children(entity, "Property"):
            described = _property(found, element)
            if described is None:
                structures.add(element.get("Name", ""))
            else:
                properties[described.name] = described
    return EntitySet(name=name, key=key, properties=properties, structures=frozenset(structures))


def _ancestry(found: _Found, full: str) -> Iterator[ElementTree.Element]:
    """The type and what it inherits from, the eldest first."""
    line: list[ElementTree.Element] = []
    while full in found.entities and len(line) < _MAX_ANCESTORS:
        line.append(found.entities[full])
        full = found.full(line[-1].get("BaseType", ""))
    return reversed(line)


def _property(found: _Found, element: ElementTree.Element) -> Property | None:
    kind = element.get("Type", "")
    full = kind if kind.startswith("Edm.") else found.full(kind)
    full = found.definitions.get(full, full)
    if not full.startswith("Edm.") and full not in found.enums:
        return None
    return Property(
        name=element.get("Name", ""),
        type=full,
        enumerated=full in found.enums,
        filterable=element.get(_NOT_FILTERABLE) != "false",
        day=full == "Edm.DateTime" and element.get(_DISPLAY_FORMAT) == "Date",
    )


def _children(element: ElementTree.Element, kind: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _local(child) == kind)


def _local(element: ElementTree.Element) -> str:
    """The name without its namespace: there are five of them, one a version."""
    return element.tag.rpartition("}")[2]
