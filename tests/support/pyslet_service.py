"""Runs an OData v2 server that others wrote (pyslet, from PyPI) with stock in memory; prints its port.

Run as a process of its own: it is from 2017, and its ways with Python are its own.
"""

import io
import sys
import uuid
from decimal import Decimal
from wsgiref.simple_server import WSGIRequestHandler, make_server

from pyslet.iso8601 import TimePoint
from pyslet.odata2 import metadata
from pyslet.odata2.memds import InMemoryEntityContainer
from pyslet.odata2.server import ReadOnlyServer

METADATA = b"""<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><edmx:DataServices m:DataServiceVersion="2.0">
<Schema Namespace="Shop" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">
 <EntityContainer Name="Container" m:IsDefaultEntityContainer="true">
  <EntitySet Name="Stock" EntityType="Shop.StockType"/></EntityContainer>
 <EntityType Name="StockType"><Key><PropertyRef Name="Plant"/><PropertyRef Name="Material"/></Key>
  <Property Name="Plant" Type="Edm.String" Nullable="false"/>
  <Property Name="Material" Type="Edm.String" Nullable="false"/>
  <Property Name="Quantity" Type="Edm.Decimal" Precision="31" Scale="14"/>
  <Property Name="Counted" Type="Edm.DateTime"/>
  <Property Name="Changed" Type="Edm.DateTimeOffset"/>
  <Property Name="Id" Type="Edm.Guid"/>
 </EntityType>
</Schema></edmx:DataServices></edmx:Edmx>"""
#: Rows it gives at once, with a link to the next.
PAGE = 100


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests have their own eyes."""


def main(rows: int) -> None:
    document = metadata.Document()
    document.read(io.BytesIO(METADATA))
    InMemoryEntityContainer(document.root.DataServices["Shop.Container"])
    with document.root.DataServices["Shop.Container.Stock"].open() as stock:
        for number in range(rows):
            entity = stock.new_entity()
            entity["Plant"].set_from_value("1000" if number % 3 else "")
            entity["Material"].set_from_value(f"门'{number:04d}")
            entity["Quantity"].set_from_value(None if number == 7 else Decimal(number) / Decimal(10**14))
            entity["Counted"].set_from_value(TimePoint.from_str("2026-11-24T09:00:00"))
            entity["Changed"].set_from_value(TimePoint.from_str(f"2026-11-24T09:00:{number % 60:02d}+08:00"))
            entity["Id"].set_from_value(uuid.UUID(int=number))
            stock.insert_entity(entity)
        stock.set_topmax(PAGE)
    server = make_server("127.0.0.1", 0, lambda environ, start: service(environ, start), handler_class=_Quiet)
    service = ReadOnlyServer(service_root=f"http://127.0.0.1:{server.server_port}/")
    service.set_model(document)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
