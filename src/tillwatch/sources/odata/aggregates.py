"""Counts and sums by group, made by the service: $apply of OData v4, where it has it."""

from collections.abc import Sequence

from tillwatch.errors import SchemaMismatch
from tillwatch.model.audit import Value
from tillwatch.sources.odata import query
from tillwatch.sources.odata.catalogue import Relation
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.fetching import Strand
from tillwatch.sources.odata.literals import Unreadable
from tillwatch.sources.odata.reading import Reader
from tillwatch.sources.odata.session import Meter, Unsupported
from tillwatch.sources.odata.wire import Entity
from tillwatch.sources.totals import Total

_ROWS = "tillwatch_rows"
_SUM = "tillwatch_sum_{}"


def totals(reader: Reader, relation: Relation, by: str, sums: Sequence[str]) -> dict[Value, Total]:
    """Raises Unsupported for a service that cannot."""
    where = f"system {reader.session.system!r}, dataset {relation.name!r}"
    if relation.dialect.version is Version.V2:
        raise Unsupported(f"{where}: OData v2 cannot count and sum by group")
    if absent := [name for name in (by, *sums) if name not in relation.columns]:
        raise SchemaMismatch(f"{where} has no field {', '.join(map(repr, absent))}")
    group, kinds = relation.columns[by], [relation.columns[name] for name in sums]
    measures = [f"$count as {_ROWS}"]
    measures += [f"{kind.name} with sum as {_SUM.format(number)}" for number, kind in enumerate(kinds)]
    grouped = f"groupby(({group.name}),aggregate({','.join(measures)}))"
    condition = query.everywhere(*relation.conditions)
    asked = query.address(relation, apply=f"filter({condition})/{grouped}" if condition else grouped)
    strand = Strand(start=reader.session.url(asked), follow=reader.links())
    found: dict[Value, Total] = {}
    for fetched in reader.fetcher(relation, Meter()).pages([strand]):
        for entity in fetched.page.entities:
            try:
                found[relation.dialect.value(entity[group.name], group)] = _total(relation, entity, kinds)
            except (KeyError, Unreadable) as error:
                raise Unsupported(f"{where}: counts and sums came in another form: {error}") from None
    return found


def _total(relation: Relation, entity: Entity, kinds: Sequence[Property]) -> Total:
    rows = relation.dialect.value(entity[_ROWS], Property(name=_ROWS, type="Edm.Int64"))
    summed = [
        relation.dialect.value(entity[_SUM.format(number)], Property(name=kind.name, type="Edm.Decimal"))
        for number, kind in enumerate(kinds)
    ]
    return Total(rows=int(str(rows)), sums=tuple(summed))
