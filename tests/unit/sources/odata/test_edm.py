"""What a service says it has, in the spellings of both versions."""

import pytest

from tillwatch.errors import SchemaMismatch
from tillwatch.sources.odata import edm
from tillwatch.sources.odata.edm import Version

V2 = b"""<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices>
<Schema Namespace="STOCK_SRV" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">
 <EntityType Name="StockType"><Key><PropertyRef Name="Material"/><PropertyRef Name="Plant"/></Key>
  <Property Name="Material" Type="Edm.String" Nullable="false"/>
  <Property Name="Plant" Type="Edm.String" sap:filterable="false"/>
  <Property Name="Counted" Type="Edm.DateTime" sap:display-format="Date"/>
  <Property Name="Quantity" Type="Edm.Decimal" Precision="31" Scale="14"/>
 </EntityType>
 <EntityContainer Name="C"><EntitySet Name="Stock" EntityType="STOCK_SRV.StockType"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"""

V4 = b"""<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="Shop.Core" Alias="self" xmlns="http://docs.oasis-open.org/odata/ns/edm">
 <EnumType Name="State"><Member Name="Open"/></EnumType>
 <TypeDefinition Name="Money" UnderlyingType="Edm.Decimal"/>
 <EntityType Name="base"><Key><PropertyRef Name="id"/></Key><Property Name="id" Type="Edm.Guid"/></EntityType>
 <EntityType Name="item" BaseType="self.base"><Property Name="price" Type="self.Money"/>
  <Property Name="state" Type="self.State"/><Property Name="tags" Type="Collection(Edm.String)"/>
  <Property Name="address" Type="self.Address"/></EntityType>
 <EntityType Name="company" BaseType="self.base"><NavigationProperty Name="items" Type="Collection(self.item)"/></EntityType>
 <EntityContainer Name="C"><EntitySet Name="companies" EntityType="self.company"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"""


def test_keys_types_and_annotations_of_a_v2_service() -> None:
    model = edm.parse(V2)
    stock = model.entity_set("Stock", "x")
    assert (model.version, stock.key) == (Version.V2, ("Material", "Plant"))
    assert {name: (kind.type, kind.filterable, kind.day) for name, kind in stock.properties.items()} == {
        "Material": ("Edm.String", True, False),
        "Plant": ("Edm.String", False, False),
        "Counted": ("Edm.DateTime", True, True),
        "Quantity": ("Edm.Decimal", True, False),
    }


def test_inherited_keys_enumerations_and_contained_sets_of_a_v4_service() -> None:
    model = edm.parse(V4)
    items = model.entity_set("companies(1)/items", "x")
    assert (model.version, items.key) == (Version.V4, ("id",))
    assert items.properties["price"].type == "Edm.Decimal"
    assert (items.properties["state"].type, items.properties["state"].enumerated) == ("Shop.Core.State", True)
    assert items.structures == {"tags", "address"}


def test_what_is_not_there_is_named_with_what_is() -> None:
    model = edm.parse(V2)
    with pytest.raises(SchemaMismatch, match="x: the service has no entity set 'Stok'; did you mean 'Stock'"):
        model.entity_set("Stok", "x")
    with pytest.raises(SchemaMismatch, match="no property 'Quantty'; did you mean 'Quantity'"):
        model.entity_set("Stock", "x").property("Quantty", "x")
    with pytest.raises(SchemaMismatch, match="a structure or many values"):
        edm.parse(V4).entity_set("items", "x").property("tags", "x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"<!DOCTYPE html><html></html>", "a page"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x/>', "a page, or declares entities"),
        (b"{}", "not XML"),
        (b"<html/>", "begins with <html>"),
    ],
)
def test_what_describes_no_service_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(edm.NotMetadata, match=reason):
        edm.parse(text)
